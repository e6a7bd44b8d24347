"""Report as JSON lines: each page as soon as it is known, as it is in Redis; for pipes and for large runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:  # commands that print a line of JSON need ``line_of`` only
    from producer.contract import JsonObject
    from producer.reports.formats import ReportContext
    from producer.reports.page import Page

_C1: Final = re.compile(r"[\x7f-\x9f\u2028\u2029]")
"""Valid in JSON as they are, but terminals obey the first and some readers split lines at the others."""


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:  # noqa: ARG001  fits ``Report``
    """Write one line a page, each at once: memory holds one page."""
    for page in pages:
        out.write(line_of(page.document()) + "\n")
        out.flush()


def line_of(document: JsonObject) -> str:
    """Return ``document`` as one line of JSON that is safe to print."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _C1.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
