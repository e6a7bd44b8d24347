"""The charts of the HTML report: a bar of impacts, and the days of a site; ``assets/report.html.jinja`` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import IMPACTS, Impact
from producer.reports.plain_text import one_line
from producer.reports.site_days import Day

COLUMN_WIDTH: Final = 20
"""Width of a day in the trend, in pixels, if there is room."""
TREND_HEIGHT: Final = 72
TREND_DAYS: Final = 45
_GAP: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a bar or column for one impact."""

    impact: Impact
    start: float
    size: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The newest days of one host: a column of parts for each, and the figures.

    ``by_component``: new and fixed are counted in component barriers; in days of earlier releases in elements.
    """

    host: str
    days: Sequence[Day]
    columns: Sequence[tuple[float, Sequence[Part]]]
    width: int
    by_component: bool = False


def trend_of(host: str, days: Sequence[Day]) -> Trend | None:
    """Return the trend of the days with a scanned page; None if there is nothing to compare."""
    read = [day for day in days if day.scans > day.unread][-TREND_DAYS:]
    if len(read) < 2:  # noqa: PLR2004  one day is no trend
        return None
    highest = max(day.per_page for day in read) or 1.0
    columns: list[tuple[float, Sequence[Part]]] = []
    for number, day in enumerate(read):
        scale = TREND_HEIGHT / highest / (day.scans - day.unread)
        sizes = [(impact, getattr(day, impact.value) * scale) for impact in IMPACTS]
        top = TREND_HEIGHT - sum(size for _, size in sizes)
        columns.append((number * COLUMN_WIDTH + _GAP / 2, stacked(sizes[::-1], top=top)))
    by_component = any(day.barriers_new or day.barriers_mended for day in read)
    return Trend(one_line(host), read, columns, COLUMN_WIDTH * len(read), by_component)


def stacked(sizes: Iterable[tuple[Impact, float]], *, top: float = 0.0) -> Sequence[Part]:
    """Return the consecutive parts of a bar or column, starting at ``top``; empty impacts are left out."""
    parts: list[Part] = []
    start = 0.0
    for impact, size in sizes:
        if size > 0:
            parts.append(Part(impact, round(top + round(start, 1), 1), round(size, 1)))
        start += size
    return parts
