"""The formats a report comes in, by name, and what they have in common.

A format is one module with one function ``write`` that fits ``Report``. It is imported when it is asked for, so that
a command pays only for what it writes. What a page is stands in ``page.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, TextIO, cast

from producer.errors import InputError

if TYPE_CHECKING:  # pydantic takes 100 ms, and `--help` needs names only
    from producer.contract import Impact
    from producer.reports.page import Page
    from producer.reports.site_days import Day


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report says beside the pages.

    ``generated_at`` has a time zone. ``fail_on`` is the impact from which on a finding fails the run; ``None`` never
    fails. ``width`` is the number of columns for formats that wrap; ``None`` asks the terminal. ``trends`` has the days
    on which a host's pages were scanned, the first one first; ``notes`` is what the report lacks, in words.
    """

    generated_at: datetime
    title: str = "Accessibility report"
    fail_on: Impact | None = None
    width: int | None = None
    trends: Mapping[str, Sequence[Day]] = field(default_factory=dict[str, "Sequence[Day]"])
    notes: tuple[str, ...] = ()


class Report(Protocol):
    """Writes ``pages``, in their order, to ``out``; reads them once, and never calls a page it lacks a pass."""

    def __call__(self, pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
        """Write the report."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the module that writes it, and the file name it gets in a folder."""

    name: str
    module: str
    file_name: str


FORMATS: Final[dict[str, Format]] = {
    made.name: made
    for made in (
        Format("table", "producer.reports.table", "report.txt"),
        Format("json", "producer.reports.json", "report.json"),
        Format("jsonl", "producer.reports.jsonl", "report.jsonl"),
        Format("csv", "producer.reports.csv", "report.csv"),
        Format("markdown", "producer.reports.markdown", "report.md"),
        Format("junit", "producer.reports.junit", "junit.xml"),
        Format("sarif", "producer.reports.sarif", "report.sarif"),
        Format("html", "producer.reports.html", "report.html"),
    )
}


def load_report(name: str) -> Report:
    """Return the function that writes the format ``name``; raises ``InputError`` for an unknown one."""
    if name not in FORMATS:
        msg = f"format {name!r} is unknown: expected one of {', '.join(FORMATS)}"
        raise InputError(msg)
    return cast("Report", import_module(FORMATS[name].module).write)
