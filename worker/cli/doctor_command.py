"""What ``sightline doctor`` does: the examination, or the distances of paraphrases, printed."""

from __future__ import annotations

import asyncio
import os
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

import click

from producer.cli.terminal import is_terminal
from producer.errors import ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line
from producer.settings import misspelt, setting_names
from worker.doctor.examination import examine
from worker.doctor.line import Level, Line, has_error
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

SUBJECT: Final = 18
INDENT: Final = 8 + SUBJECT + 1
MAX_TEXT: Final = 1_000
COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def look_at_all(*, as_json: bool) -> int:
    """Print a line for each subject and return the exit code."""
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="error", form="console")
    hints = misspelt(os.environ, setting_names(WorkerSettings))
    lines = asyncio.run(examine(settings, misspelt=hints))
    for line in lines:
        _say([line_of({"v": 1, **asdict(line)})] if as_json else _text(line))
    if not as_json:
        click.echo(summary(lines))
    return ServiceError.exit_code if has_error(lines) else 0


def summary(lines: Iterable[Line]) -> str:
    """Return how many lines are errors and warnings, or that all is well."""
    levels = Counter(line.level for line in lines)
    found = [counted(levels[level], level.value) for level in (Level.ERROR, Level.WARNING) if levels[level]]
    return ", ".join(found) or "all is well"


def _text(line: Line) -> Iterable[str]:
    """Yield the line and what to do about it; for a person, folded under itself."""
    level = f"{line.level:<8}"
    shown = click.style(level, fg=COLOURS[line.level]) if is_terminal() else level
    first, *rest = _folded(one_line(line.text, limit=MAX_TEXT))
    yield f"{shown}{line.subject:<{SUBJECT}} {first}"
    todo = _folded(f"→ {one_line(line.todo, limit=MAX_TEXT)}") if line.todo else []
    for more in (*rest, *todo):
        yield f"{'':<{INDENT}}{more}"


def _folded(text: str) -> list[str]:
    """Return ``text`` in lines that fit beside the subject; in one where a program reads."""
    if not is_terminal():
        return [text]
    width = max(40, shutil.get_terminal_size().columns - INDENT)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def compare_paraphrases(*, as_json: bool) -> int:
    """Print the distances, and what they say about the threshold; return the exit code."""
    from worker.doctor.paraphrases import advice, measure, use  # noqa: PLC0415  RedisVL: half a second

    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="warning", form="console")
    measured = asyncio.run(measure(settings))
    if as_json:
        _say(line_of({"v": 1, **asdict(pair)}) for pair in measured.pairs)
        _say([line_of({"v": 1, "counts": dict(measured.counts)})])
        return 0
    kinds = {True: "same", False: "other"}
    _say(f"{one.distance:.4f}  {kinds[one.asks_the_same]:<5}  {one.first}  /  {one.second}" for one in measured.pairs)
    _say([advice(measured.pairs, threshold=measured.threshold), use(measured.counts)])
    return 0


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
