"""What a terminal shows while jobs run: a bar with an honest estimate. Rich is imported when there is one to draw."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.reports.page import Page, Summary


def is_terminal() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout.isatty()


@contextlib.contextmanager
def progress(total: int, *, shown: bool) -> Generator[Callable[[Page], None]]:
    """Draw a bar on stderr while pages come in; yields what to call with each page.

    The estimate is made from the speed of the newest pages, and left out until there is one.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  30 ms for those who see it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from producer.reports.page import Summary  # noqa: PLC0415  pydantic, for those who only ask is_terminal()

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    seen = Summary()
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("Scanning", total=total)

        def advance(page: Page) -> None:
            seen.add(page, fail_on=None)
            bar.update(task, advance=1, description=_description(seen))

        yield advance


def _description(seen: Summary) -> str:
    text = f"Scanning: {seen.with_barriers:,} with barriers"
    return f"{text}, {counted(seen.not_scanned, 'page')} not scanned" if seen.not_scanned else text
