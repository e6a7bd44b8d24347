"""``sightline doctor``: whether all that Sightline needs is there and well."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from producer.cli.terminal import is_terminal
from producer.errors import ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from producer.settings import misspelt, setting_names

if TYPE_CHECKING:
    from worker.doctor.line import Line
    from worker.doctor.paraphrases import Pair

COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command(short_help="Check Redis, indexes, workers, browser and models.")
@click.option("--cache", is_flag=True, help="Show how far apart the embedding model puts paraphrases.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON each.")
def doctor(*, cache: bool, as_json: bool) -> int:
    r"""Look at all that Sightline needs, and say of each whether it is well and what to do if not.

    Nothing is changed. The exit code is 0, or 3 if there is an error. --cache shows the cosine distances between
    questions that ask the same, and between some that do not, for choosing the cache's threshold.

    \b
    sightline doctor
    sightline doctor --cache
    """
    from worker.settings import WorkerSettings  # noqa: PLC0415  --help needs none of it

    settings = WorkerSettings.from_env(os.environ)
    if cache:
        from worker.doctor.paraphrases import measure  # noqa: PLC0415  as above
        from worker.telemetry import configure_logging  # noqa: PLC0415  as above

        configure_logging(level="warning", form="console")
        show_pairs(asyncio.run(measure(settings)), as_json=as_json)
        return 0
    from worker.doctor.examination import examine  # noqa: PLC0415  as above
    from worker.doctor.line import has_error  # noqa: PLC0415  as above

    hints = misspelt(os.environ, setting_names(WorkerSettings))
    lines = asyncio.run(examine(settings, misspelt=hints))
    show_lines(lines, as_json=as_json)
    return ServiceError.exit_code if has_error(lines) else 0


def show_lines(lines: list[Line], *, as_json: bool) -> None:
    """Print the report."""
    for line in lines:
        if as_json:
            click.echo(line_of({"v": 1, **asdict(line)}))
            continue
        level = click.style(f"{line.level:<8}", fg=COLOURS[line.level]) if is_terminal() else f"{line.level:<8}"
        click.echo(f"{level}{line.subject:<18} {one_line(line.text)}")
        if line.todo:
            click.echo(f"{'':26} → {one_line(line.todo)}")


def show_pairs(pairs: list[Pair], *, as_json: bool) -> None:
    """Print the distances, and what they say about the threshold."""
    from worker.doctor.paraphrases import advice  # noqa: PLC0415  numpy and RedisVL

    for pair in pairs:
        if as_json:
            click.echo(line_of({"v": 1, **asdict(pair)}))
            continue
        kind = "same" if pair.asks_the_same else "other"
        click.echo(f"{pair.distance:.4f}  {kind:<5}  {pair.first}  /  {pair.second}")
    if not as_json:
        click.echo(advice(pairs))
