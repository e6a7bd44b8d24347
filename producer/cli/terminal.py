"""What a terminal shows while jobs run: a bar with an honest estimate. Rich is imported when there is one to draw."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.reports.page import Page, Summary


def is_terminal() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout.isatty()


def folded(text: str) -> str:
    """Return prose with its lines broken between words at the terminal's width; an address stays in one piece."""
    width = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)


class Bar:
    """What is told of a run's progress; this one shows nothing of it."""

    def queued(self, job_id: str, url: str, is_new: bool) -> None:
        """Take note of a page that is in the queue."""

    def advance(self, page: Page) -> None:
        """Take note of a page that is done."""


class _DrawnBar(Bar):
    """The same, drawn by Rich: first the pages go in, then their results come out."""

    def __init__(self, drawn: Any, total: int, seen: Summary) -> None:
        self._drawn = drawn
        self._seen = seen
        self._total = total
        self._in = 0
        self._task = drawn.add_task("Queueing", total=total)

    def queued(self, job_id: str, url: str, is_new: bool) -> None:
        del job_id, url, is_new
        self._in += 1
        if self._in < self._total:
            self._drawn.update(self._task, completed=self._in)
        else:  # anew, so that the speed of queueing says nothing about that of scanning
            self._drawn.reset(self._task, description="Scanning", total=self._total)

    def advance(self, page: Page) -> None:
        self._seen.add(page, fail_on=None)
        if page.outcome != "refused":
            self._drawn.update(self._task, advance=1, description=_description(self._seen))


@contextlib.contextmanager
def progress(total: int, *, may_mix: bool) -> Generator[Bar]:
    """Draw a bar on stderr until the block ends; ``may_mix`` where lines go to stdout meanwhile.

    The estimate is made from the speed of the newest pages, and left out until there is one.
    """
    if not sys.stderr.isatty() or (may_mix and sys.stdout.isatty()):
        yield Bar()
        return
    from rich.console import Console  # noqa: PLC0415  30 ms for those who see it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from producer.reports.page import Summary  # noqa: PLC0415  pydantic, for those who only ask is_terminal()

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        *([] if console.width < NARROW else [BarColumn(bar_width=None)]),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as drawn:
        yield _DrawnBar(drawn, total, Summary())


NARROW = 60
"""Columns under which the numbers leave no room for a bar."""


def _description(seen: Summary) -> str:
    text = f"Scanning: {seen.with_barriers:,} with barriers"
    return f"{text}, {counted(seen.not_scanned, 'page')} not scanned" if seen.not_scanned else text
