"""What ``sightline doctor`` does: the examination, or the distances of paraphrases, printed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import asdict

import click

from producer.cli.terminal import is_terminal
from producer.errors import ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from producer.settings import misspelt, setting_names
from worker.doctor.examination import examine
from worker.doctor.line import Level, Line, has_error
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def look_at_all(*, as_json: bool) -> int:
    """Print a line for each subject and return the exit code."""
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="error", form="console")
    hints = misspelt(os.environ, setting_names(WorkerSettings))
    lines = asyncio.run(examine(settings, misspelt=hints))
    for line in lines:
        _say([line_of({"v": 1, **asdict(line)})] if as_json else _text(line))
    return ServiceError.exit_code if has_error(lines) else 0


def _text(line: Line) -> Iterable[str]:
    level = f"{line.level:<8}"
    shown = click.style(level, fg=COLOURS[line.level]) if is_terminal() else level
    yield f"{shown}{line.subject:<18} {one_line(line.text)}"
    if line.todo:
        yield f"{'':<26} → {one_line(line.todo)}"


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
