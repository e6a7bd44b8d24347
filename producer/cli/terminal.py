"""Output of commands: lines for a person or JSON, and a progress bar. Rich is imported only to draw one."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import textwrap
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from producer.cli.ci import ci_system
from producer.cli.connect import environment
from producer.contract.nearest import nearest
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted

if TYPE_CHECKING:
    from producer.contract import JsonObject
    from producer.reports.summary import Summary

T = TypeVar("T")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class NamingGroup(click.Group):
    """A group whose error for an unknown command names the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown one names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            meant = nearest(args[0], self.list_commands(ctx))
            if not meant or args[0].startswith("-"):
                raise
            raise click.UsageError(f"No such command {args[0]!r}: did you mean {meant!r}?", ctx) from None


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def is_for_people() -> bool:
    """Return whether people read a report on stdout: in a terminal, and in the log of a CI job.

    A CI log is a pipe, or a file that also receives stderr (Jenkins); a file that receives only stdout is meant for a
    program.
    """
    return is_terminal() or (bool(ci_system(environment())) and not _is_file_of_its_own())


def _is_file_of_its_own() -> bool:
    try:
        out = os.fstat(sys.stdout.fileno())
        if not stat.S_ISREG(out.st_mode):
            return False
        return not os.path.samestat(out, os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError):  # a stream without a descriptor, or a closed one
        return False


def json_option(text: str = "One line of JSON. Default in a pipe.") -> Callable[[_Command], _Command]:
    """Add ``--json`` to a command, as ``as_json``: also true if stdout is not a terminal."""
    return click.option("--json", "as_json", is_flag=True, callback=_given_or_piped, help=text)


def _given_or_piped(_context: click.Context, _option: click.Parameter, given: bool) -> bool:
    return given or not is_terminal()


def print_each(
    items: Sequence[T], *, as_json: bool, document: Callable[[T], JsonObject], line: Callable[[T], str], nothing: str
) -> None:
    """Print a line for each item; without items, ``nothing`` for a person and nothing as JSON."""
    for item in items:
        click.echo(line_of({"v": 1, **document(item)}) if as_json else line(item))
    if not items and not as_json:
        click.echo(nothing)


MAX_WAIT_S: Final = 366 * 86_400


class Seconds(click.FloatRange):
    """A number of seconds above 0, up to ``most`` or a year; click's own range accepts NaN."""

    def __init__(self, most: float | None = None) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fails for anything else."""
        number: float = super().convert(value, param, ctx)
        if not number <= MAX_WAIT_S:  # nor is NaN
            self.fail(f"{value!r}: expected a number of seconds up to {MAX_WAIT_S:,}.", param, ctx)
        return number


def folded(text: str) -> str:
    """Return prose wrapped at the terminal's width; addresses are not broken."""
    width = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)


class Bar:
    """A progress bar drawn by Rich: pages submitted, then results received. Without ``drawn`` nothing is shown."""

    def __init__(self, total: int, drawn: Any = None) -> None:
        self._drawn = drawn
        self._total = total
        self._in = 0
        self._task = drawn.add_task("Queueing", total=total) if drawn else None

    def queued(self, job_id: str, url: str, is_new: bool) -> None:
        """Count a queued page."""
        del job_id, url, is_new
        self._in += 1
        if self._drawn and self._in < self._total:
            self._drawn.update(self._task, completed=self._in)
        elif self._drawn:  # restarted, so that the speed of queueing does not distort the estimate for scanning
            self._drawn.reset(self._task, description="Scanning", total=self._total)

    def advance(self, seen: Summary) -> None:
        """Count a finished page, and show the totals in ``seen``."""
        if self._drawn:
            text = f"Scanning: {seen.with_barriers:,} with barriers"
            text += f", {counted(seen.not_scanned, 'page')} not scanned" if seen.not_scanned else ""
            self._drawn.update(self._task, advance=1, description=text)


@contextlib.contextmanager
def progress(total: int, *, may_mix: bool) -> Generator[Bar]:
    """Draw a bar on stderr until the block ends; ``may_mix`` if lines go to stdout meanwhile.

    The estimate is based on the most recent pages, and left out until there are some.
    """
    if not sys.stderr.isatty() or (may_mix and sys.stdout.isatty()):
        yield Bar(total)
        return
    from rich.console import Console  # takes 30 ms: only if it is shown
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        *([] if console.width < NARROW else [BarColumn(bar_width=None)]),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as drawn:
        yield Bar(total, drawn)


NARROW = 60
"""Below this width the numbers leave no room for a bar."""
