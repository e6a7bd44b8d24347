"""``sightline reindex``: changes the embedding model and shows the progress."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from producer.cli.terminal import json_option
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted
from worker.cli.connect import read_settings, with_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys
    from worker.memory.vectors.reindex import Progress, Reindexed, Tell
    from worker.settings import WorkerSettings

GOES_ON: Final = "vectors may have been written; run it again to continue"
TOLD_EVERY_S: Final = 1.0
"""Seconds between lines of progress in a log."""


@click.command()
@click.option("--to", "model", required=True, metavar="MODEL", help="Ollama's name of the new model, or builtin.")
@json_option("Progress and result as lines of JSON.")
def reindex(*, model: str, as_json: bool) -> None:
    """Rebuild the vectors of all scans and memories with another embedding model.

    Workers continue: they write vectors of both models, and searches use the old one until the end. Then all workers
    change at once, without a restart. If the command is stopped or killed, run it again to continue where it stopped.
    To abandon a change, name the model that is in use. Only MODEL is called: the current one may be gone.

    \b
    sightline reindex --to nomic-embed-text
    nohup sightline reindex --to mxbai-embed-large --json >reindex.log 2>&1 &
    """
    settings = read_settings()
    try:
        with _progress(as_json=as_json) as tell:
            done = with_redis(settings, partial(_move, model=model, tell=tell), doubt=lambda: GOES_ON)
    except KeyboardInterrupt:
        raise click.Abort(f"stopped; continue with: sightline reindex --to {model}") from None
    click.echo(line_of({"v": 1, **asdict(done)}) if as_json else _outcome(done, setting=settings.embedding_model))


def _outcome(done: Reindexed, *, setting: str) -> str:
    """Return the result of a reindex as text; ``setting`` is this shell's EMBEDDING_MODEL."""
    vectors = f"{counted(done.documents, 'document')}, {counted(done.written, 'vector')} computed now"
    about = {
        "moved": f"all vectors are now of {done.model!r} ({done.dims} dimensions): {vectors}",
        "given up": f"abandoned; {done.model!r} stays in use: {vectors}",
        "unchanged": f"{done.model!r} is already in use: {vectors}",
    }[done.what]
    if done.shortened:
        about += f"\n{counted(done.shortened, 'text')} too long for it: only the beginning was embedded"
    if done.refused:
        about += f"\n{counted(done.refused, 'text')} refused by it: not found by meaning"
    if setting == done.model:
        return about
    return f"{about}\nset EMBEDDING_MODEL={done.model} for the workers, which need it at their next start"


async def _move(settings: WorkerSettings, redis: Redis, keys: Keys, *, model: str, tell: Tell) -> Reindexed:
    from worker.memory.vectors.embeddings import Embeddings
    from worker.memory.vectors.generations import read_record
    from worker.memory.vectors.reindex import reindex
    from worker.models.routing import open_embedders

    # EMBEDDING_DIMS belongs to the model of the setting, not to another.
    dims = settings.embedding_dims if model == settings.embedding_model else 0
    record = await read_record(redis, keys)
    is_given_up = record is not None and record.coming is not None and record.active.model == model
    async with open_embedders(settings, redis, keys, worker="reindex") as open_embedder:
        embedder = await open_embedder(model, record.active.dims if record and is_given_up else dims)
        if not is_given_up:
            await embedder.embed_documents(["a first text"])  # a missing model is reported before workers hear of it
        return await reindex(Embeddings(redis, keys, embedder, open_embedder), embedder, tell=tell)


@contextlib.contextmanager
def _progress(*, as_json: bool) -> Generator[Tell]:
    """Yield a function that shows progress: a bar on a terminal's stderr, else occasional lines of JSON."""
    if as_json:
        yield _lines()
        return
    from rich.console import Console  # takes 30 ms to import
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("looking", total=None)

        def show(progress: Progress) -> None:
            bar.update(task, description=progress.step, completed=progress.done, total=progress.total)

        yield show


def _lines() -> Callable[[Progress], None]:
    last = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.done == progress.total or time.monotonic() - last >= TOLD_EVERY_S:
            last = time.monotonic()
            click.echo(line_of({"v": 1, **asdict(progress)}))
            sys.stdout.flush()

    return tell
