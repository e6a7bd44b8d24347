"""The report formats by name, and the context that they share.

A format is a module of that name with a function ``write``, a ``Report``. It is imported only when requested, to keep
commands fast. ``page.py`` defines a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

from producer.errors import InputError

if TYPE_CHECKING:  # pydantic takes 100 ms, and `--help` needs only names
    from producer.contract import Impact
    from producer.reports.component_dates import ComponentDates
    from producer.reports.page import Page
    from producer.reports.site_days import Day
    from producer.reports.sources import Sources


@dataclass(frozen=True, slots=True)
class ReportContext:
    """The context of a report, besides the pages.

    ``generated_at`` has a time zone; ``scanned_ms`` is when the last page's scan ended (Redis time), 0 if unknown.
    ``fail_on`` is the lowest impact that fails the run; ``None`` never fails.
    ``width`` is the number of columns for formats that wrap; ``None`` asks the terminal. ``trends`` has the days on
    which a host's pages were scanned, oldest first; ``dates`` has the first sighting of component barriers by
    ``issue_id``; ``notes`` are sentences about what the report lacks. ``category`` names sites and state
    (``category.py``), to distinguish reports of several scans. ``sources`` are the files that may contain the pages'
    markup, if there are any.
    """

    generated_at: datetime
    title: str = "Accessibility report"
    fail_on: Impact | None = None
    width: int | None = None
    trends: Mapping[str, Sequence[Day]] = field(default_factory=dict[str, "Sequence[Day]"])
    dates: Mapping[str, ComponentDates] = field(default_factory=dict[str, "ComponentDates"])
    notes: tuple[str, ...] = ()
    category: str = ""
    sources: Sources | None = None
    scanned_ms: int = 0


Report: TypeAlias = "Callable[[Iterable[Page], ReportContext, TextIO], None]"
"""Writes the pages to a file in the given order; reads them once, and never counts a missing page as passed."""

FORMATS: Final = {
    "table": "report.txt",
    "json": "report.json",
    "jsonl": "report.jsonl",
    "csv": "report.csv",
    "markdown": "report.md",
    "junit": "junit.xml",
    "sarif": "report.sarif",
    "html": "report.html",
    "gitlab": "gl-code-quality-report.json",
}
"""The file name of each format in a folder."""


def load_report(name: str) -> Report:
    """Return the function that writes the format ``name``; raises ``InputError`` for an unknown one."""
    if name not in FORMATS:
        msg = f"format {name!r} is unknown: expected one of {', '.join(FORMATS)}"
        raise InputError(msg)
    report: Report = import_module(f"{__package__}.{name}").write
    return report
