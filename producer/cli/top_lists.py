"""Lists of the live board that fill the remaining space: failing pages, errors, ended batches, events. Pure.

``top_board.py`` puts them together with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from producer.cli.status_text import clock, pages_text
from producer.client.queue_info import BatchInfo
from producer.reports.plain_text import middle_cut, one_line
from producer.views.activity import Activity, FailingPage
from producer.views.board import Trouble

NARROW: Final = 60
"""Width in columns below which names are shortened and numbers lose their labels."""
ROOMY: Final = 100
_DAY_MS: Final = 86_400_000
_TIME: Final = "%H:%M:%S"


class Row(Text):
    """A line that can be chosen: ``row_id`` is ``batch:NAME`` or ``job:ID``."""

    row_id = ""


def row(row_id: str) -> Row:
    """Return an empty line for a batch or a job."""
    line = Row()
    line.row_id = row_id
    return line


def troubles(found: Sequence[Trouble], now_ms: int, width: int) -> list[Text]:
    """Return the newest errors."""
    lines = [Text("Last errors", style="bold")] if found else []
    for trouble in found:
        line = row(f"job:{trouble.job_id}").append(_when(trouble.at_ms, now_ms))
        line.append(trouble.what, style="not dim red" if trouble.what == "dead" else "not dim yellow")
        if width >= NARROW:
            job_id = one_line(trouble.job_id)
            line.append(f"  {job_id if width >= ROOMY else middle_cut(job_id, 12)} ")
        lines.append(line.append(f" {one_line(trouble.message, limit=300)}", style="not dim"))
    return lines


def failing(found: Sequence[FailingPage], now_ms: int, width: int) -> list[Text]:
    """Return the pages that the last scan could not read."""
    lines = [Text("Failing pages", style="bold")] if found else []
    for page in found:
        line = row(f"job:{page.job_id}").append(_when(page.at_ms, now_ms))
        line.append(page.status, style="yellow" if page.status == "partial" else "red")
        room = max(8, width - line.cell_len - 2)
        lines.append(line.append(f"  {middle_cut(one_line(page.url.partition('://')[2] or page.url), room)}"))
    return lines


def ended(batches: Sequence[BatchInfo], now_ms: int, width: int) -> list[Text]:
    """Return the batches that ended last, with the outcomes of their pages."""
    lines = [Text("Ended batches", style="bold")] if batches else []
    for batch in batches:
        line = row(f"batch:{batch.batch_id}").append(_when(batch.finished_ms or now_ms, now_ms))
        counts = pages_text(batch.pages) if batch.pages.total else f"{batch.succeeded:,} succeeded"
        counts += f", {batch.dead:,} dead" if batch.dead else ""
        counts += f", {batch.cancelled:,} cancelled" if batch.cancelled else ""
        room = max(8, width - line.cell_len - len(counts) - 2)
        line.append(f"{middle_cut(one_line(batch.batch_id), room)}  ")
        lines.append(line.append(counts, style="red" if batch.not_passed else "dim"))
    return lines


def activity(found: Sequence[Activity], now_ms: int) -> list[Text]:
    """Return the newest events."""
    lines = [Text("Last events", style="bold")] if found else []
    for one in found:
        what = Text(_when(one.at_ms, now_ms), style="dim").append(one_line(one.what, limit=30), style="not dim cyan")
        lines.append(what.append(f"  {one_line(one.about, limit=300)}", style="not dim"))
    return lines


def _when(at_ms: int, now_ms: int) -> str:
    return f"{clock(at_ms, _TIME if now_ms - at_ms < _DAY_MS else '%d %b'):<8} "
