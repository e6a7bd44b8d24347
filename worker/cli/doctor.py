"""``sightline doctor``: prints the checks, or the distances of paraphrases."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

import click

from producer.cli.terminal import is_terminal
from producer.errors import ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line
from worker.cli.connect import read_settings
from worker.doctor.line import Level, Line, has_error

if TYPE_CHECKING:
    from worker.doctor.paraphrases import Measured

SUBJECT: Final = 18
INDENT: Final = 8 + SUBJECT + 1
MAX_TEXT: Final = 1_000
COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command()
@click.option("--cache", is_flag=True, help="Show how far apart the embedding model puts paraphrases.")
@click.option("--strict", is_flag=True, help="Treat having no live worker as an error, not a warning.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per check.")
def doctor(*, cache: bool, strict: bool, as_json: bool) -> int:
    """Check everything Sightline depends on and say how to fix what is wrong.

    Workers and model hosts are judged by what workers report, not by this machine's settings. Nothing is changed. Exits
    0, with warnings too, or 3 on an error. --cache shows the cosine distances between questions of the same meaning and
    of different meanings, to help choose CACHE_DISTANCE_THRESHOLD.

    \b
    sightline doctor
    sightline doctor --cache
    """
    import asyncio

    if cache:
        from worker.doctor.paraphrases import measure

        _print_distances(asyncio.run(measure(read_settings())), as_json=as_json)
        return 0
    from producer.settings import misspelt, setting_names
    from worker.doctor.examination import examine

    settings = read_settings(level="error")
    lines = asyncio.run(examine(settings, misspelt=misspelt(os.environ, setting_names(type(settings))), strict=strict))
    for line in lines:
        click.echo(line_of({"v": 1, **asdict(line)}) if as_json else "\n".join(_text(line)))
    if not as_json:
        click.echo(summary(lines))
    return ServiceError.exit_code if has_error(lines) else 0


def summary(lines: Iterable[Line]) -> str:
    """Return the numbers of errors and warnings, or "no problems"."""
    levels = Counter(line.level for line in lines)
    found = [counted(levels[level], level.value) for level in (Level.ERROR, Level.WARNING) if levels[level]]
    return ", ".join(found) or "no problems"


def _text(line: Line) -> Iterable[str]:
    """Yield the line and its advice; for a person, wrapped and indented."""
    level, width = f"{line.level:<8}", sys.maxsize
    if is_terminal():
        level, width = click.style(level, fg=COLOURS[line.level]), max(40, get_terminal_size().columns - INDENT)
    wrap = partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    first, *rest = wrap(one_line(line.text, limit=MAX_TEXT)) or [""]
    yield f"{level}{line.subject:<{SUBJECT}} {first}"
    todo = wrap(f"→ {one_line(line.todo, limit=MAX_TEXT)}") if line.todo else []
    for more in (*rest, *todo):
        yield f"{'':<{INDENT}}{more}"


def _print_distances(measured: Measured, *, as_json: bool) -> None:
    from worker.doctor.paraphrases import advice, use

    if as_json:
        documents = [*map(asdict, measured.pairs), {"counts": dict(measured.counts)}]
        click.echo("\n".join(line_of({"v": 1, **document}) for document in documents))
        return
    for one in measured.pairs:
        kind = "same" if one.asks_the_same else "other"
        click.echo(f"{one.distance:.4f}  {kind:<5}  {one.first}  /  {one.second}")
    click.echo(f"{advice(measured.pairs, threshold=measured.threshold)}\n{use(measured.counts)}")
