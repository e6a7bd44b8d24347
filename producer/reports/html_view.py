"""What the HTML report shows beside the pages' own data: verdict, charts, advice without repetition. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from producer.contract import IMPACTS, Finding, Impact, Priority
from producer.reports.failure_summary import summary_line
from producer.reports.formats import ReportContext
from producer.reports.page import Page, Summary, elements, impact_of
from producer.reports.plain_text import counted, one_line
from producer.reports.site_days import Day

WORST_FIRST: Final = tuple(reversed(IMPACTS))
BAR_WIDTH: Final = 1000
"""Of a bar, in the units of its viewBox."""
COLUMN_WIDTH: Final = 20
"""Of a day in the trend, in pixels where there is room."""
TREND_HEIGHT: Final = 72
TREND_DAYS: Final = 45
_GAP: Final = 5
_PICTURES: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"RIFF", "webp"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence that everything else explains; ``kind`` is its colour."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """One impact's part of a bar or column."""

    impact: Impact
    start: float
    size: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The newest days of one host: a column of parts for each, and what a person compares."""

    host: str
    days: tuple[Day, ...]
    columns: tuple[tuple[float, tuple[Part, ...]], ...]

    @property
    def width(self) -> int:
        """Of the chart, in pixels."""
        return COLUMN_WIDTH * len(self.days)


def verdict_of(summary: Summary, context: ReportContext) -> Verdict:
    """Return the verdict of the run; what was not seen comes before what was found."""
    failing = ""
    if summary.failing and context.fail_on:
        new = "new " if "new" in summary.marked else ""
        failing = f"{counted(summary.failing, 'page')} with {new}barriers that are {context.fail_on.value} or worse."
    if summary.not_scanned:
        missing = f"{counted(summary.not_scanned, 'page')} could not be scanned, so this is not a pass."
        return Verdict("worse", f"{missing} {failing}".rstrip())
    if failing:
        return Verdict("bad", failing)
    if summary.total:
        new = "new and " if "known" in summary.marked else ""
        return Verdict("some", f"Barriers were found, none {new}at or over the threshold.")
    return Verdict("good", "No barriers were found.")


def bar_of(counts: Mapping[Impact, int]) -> Sequence[Part]:
    """Return the parts of a bar that is ``BAR_WIDTH`` long, worst first."""
    whole = max(sum(counts.values()), 1)
    return _stacked([(impact, BAR_WIDTH * counts[impact] / whole) for impact in WORST_FIRST])


def trend_of(host: str, days: Sequence[Day]) -> Trend | None:
    """Return the trend of the days on which a page was read; None where there is nothing to compare."""
    read = [day for day in days if day.scans > day.unread][-TREND_DAYS:]
    if len(read) < 2:  # noqa: PLR2004  one day is no trend
        return None
    highest = max(day.per_page for day in read) or 1.0
    columns: list[tuple[float, tuple[Part, ...]]] = []
    for number, day in enumerate(read):
        scale = TREND_HEIGHT / highest / (day.scans - day.unread)
        sizes = [(impact, getattr(day, impact.value) * scale) for impact in IMPACTS]
        parts = _stacked(sizes[::-1])
        top = TREND_HEIGHT - sum(size for _, size in sizes)
        placed = tuple(Part(part.impact, round(top + part.start, 1), part.size) for part in parts)
        columns.append((number * COLUMN_WIDTH + _GAP / 2, placed))
    return Trend(one_line(host), tuple(read), tuple(columns))


def _stacked(sizes: Iterable[tuple[Impact, float]]) -> Sequence[Part]:
    parts: list[Part] = []
    start = 0.0
    for impact, size in sizes:
        if size > 0:
            parts.append(Part(impact, round(start, 1), round(size, 1)))
        start += size
    return parts


def day_text(day: str) -> str:
    """Return ``25 November 2026`` for ``2026-11-25``."""
    return date.fromisoformat(day).strftime("%-d %B %Y")


def since_before(pages: Iterable[Page]) -> str:
    """Return what changed against each page's previous scan, in words; ``''`` where no page has one."""
    compared = [
        changes for page in pages if page.result and (changes := page.result.changes) is not None and changes.previous
    ]
    if not compared:
        return ""
    new, fixed = sum(len(one.new) for one in compared), sum(len(one.fixed) for one in compared)
    unchanged = sum(one.unchanged for one in compared)
    return (
        f"Since the previous scan of {counted(len(compared), 'page')}: "
        f"{new:,} new, {fixed:,} fixed, {unchanged:,} unchanged."
    )


def page_counts(page: Page) -> dict[Impact, int]:
    """Return the elements that break a rule, by impact, worst first."""
    counts = dict.fromkeys(WORST_FIRST, 0)
    for finding in page.findings:
        counts[impact_of(finding)] += elements(finding)
    return counts


def worst_first(pages: Iterable[Page]) -> list[Page]:
    """Return the pages that could not be scanned, then the others by their worst barriers; else in their order."""
    return sorted(pages, key=lambda page: (page.is_scanned, [-number for number in page_counts(page).values()]))


def shared_summary(finding: Finding, *, limit: int) -> str:
    """Return the failure summary that the first ``limit`` elements have in common; ``''`` where they differ."""
    summaries = {node.failure_summary for node in finding.nodes[:limit]}
    return summaries.pop() if len(summaries) == 1 else ""


def advice(finding: Finding, item: Priority | None, source: str) -> list[tuple[str, str]]:
    """Return what was written about a finding, as label and text, without what the report says by itself.

    The builtin model has no reasons of its own, and its fix is axe-core's summary in one line.
    """
    if item is None:
        return []
    summary = finding.nodes[0].failure_summary if finding.nodes else ""
    fix = one_line(item.fix).removesuffix("…").rstrip()
    # Releases up to 0.1 put the summary's lines together without anything between.
    is_repeated = bool(fix) and any(line.startswith(fix) for line in (summary_line(summary), one_line(summary)))
    written = (
        ("Who is affected", item.who),
        ("Why", "" if source == "builtin" else item.why),
        ("Fix", "" if is_repeated else item.fix),
    )
    return [(label, text) for label, text in written if text]


def picture(page: Page, fingerprint: str) -> str:
    """Return the picture of an element as a data URI; ``''`` where there is none, or it is none."""
    data = page.pictures.get(fingerprint, b"")
    for start, kind in _PICTURES:
        if data.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return ""
