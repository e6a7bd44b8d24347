"""Report as one JSON document: the request, every page as stored in Redis, the component barriers, and the totals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from producer.reports.components import document
from producer.reports.formats import ReportContext
from producer.reports.jsonl import line_of
from producer.reports.page import Page
from producer.reports.summary import summarise


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the document page by page, ``component_barriers`` and ``summary`` last; holds all pages in memory."""
    listed = list(pages)
    about = {"v": 1, "title": context.title, "generated_at": context.generated_at.isoformat()}
    head = line_of({**about, **_scanned(context)})
    out.write(f'{head[:-1]},"pages":[')
    for number, page in enumerate(listed):
        out.write(",\n" if number else "\n")
        out.write(line_of(page.document()))
    fail_on = context.fail_on.value if context.fail_on else None
    summary = summarise(listed, fail_on=context.fail_on)
    tail = line_of({"fail_on": fail_on, "component_barriers": document(listed), "summary": summary.document()})
    out.write(f"\n],{tail[1:]}\n")


def _scanned(context: ReportContext) -> dict[str, str]:
    if not context.scanned_ms:
        return {}
    return {"scanned_at": datetime.fromtimestamp(context.scanned_ms / 1000, tz=UTC).isoformat(timespec="milliseconds")}
