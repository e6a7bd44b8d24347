"""What ``sightline reindex`` does: one move to another embedding model, with its progress."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import Final

import click
from redis.asyncio import Redis

from producer.cli.terminal import is_terminal
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.indexes import search_errors
from worker.memory.vectors.reindex import Progress, Reindexed, Tell, reindex
from worker.models.protocols import OpenEmbedder
from worker.models.routing import open_embedders
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

TOLD_EVERY_S: Final = 1.0
"""Lines of progress in a log."""


def move_to(model: str, *, as_json: bool) -> None:
    """Move to ``model`` and say what came of it."""
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="warning", form="console")
    try:
        with _progress(as_json=as_json or not is_terminal()) as tell:
            done = asyncio.run(_run(settings, model, tell))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"sightline: stopped; go on with: sightline reindex --to {model}", err=True)
        raise click.Abort from None
    if as_json or not is_terminal():
        click.echo(line_of({"v": 1, **asdict(done)}))
        return
    click.echo(outcome_text(done, setting=settings.embedding_model))


def outcome_text(done: Reindexed, *, setting: str) -> str:
    """Return what a reindex came to; ``setting`` is EMBEDDING_MODEL, as this shell has it."""
    vectors = f"{counted(done.documents, 'document')}, {counted(done.written, 'vector')} made now"
    about = {
        "moved": f"all vectors are of {done.model!r} now ({done.dims} dimensions): {vectors}",
        "given up": f"given up; {done.model!r} stays in use: {vectors}",
        "unchanged": f"{done.model!r} is in use already: {vectors}",
    }[done.what]
    if setting == done.model:
        return about
    return f"{about}\nset EMBEDDING_MODEL={done.model} for the workers: they use it already, and ask for it at a start"


async def _run(settings: WorkerSettings, model: str, tell: Tell) -> Reindexed:
    redis, keys = open_redis(settings), Keys(settings.environment)
    try:
        with redis_errors(settings):
            async with search_errors(), open_embedders(settings, redis, keys, worker="reindex") as open_embedder:
                return await _reindex(settings, redis, keys, model, tell=tell, open_embedder=open_embedder)
    finally:
        await redis.aclose()


async def _reindex(
    settings: WorkerSettings, redis: Redis, keys: Keys, model: str, *, tell: Tell, open_embedder: OpenEmbedder
) -> Reindexed:
    # EMBEDDING_DIMS is of the model that the setting names, not of another.
    dims = settings.embedding_dims if model == settings.embedding_model else 0
    embedder = await open_embedder(model, dims)
    # A model that is not there is told before anything is announced to the workers.
    await embedder.embed_documents(["a first text"])
    return await reindex(Embeddings(redis, keys, embedder, open_embedder), embedder, tell=tell)


@contextlib.contextmanager
def _progress(*, as_json: bool) -> Generator[Tell]:
    """Give what shows progress: a bar on a terminal's stderr, else a line of JSON now and then."""
    if as_json:
        yield _lines()
        return
    from rich.console import Console  # noqa: PLC0415  30 ms for those who see it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

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
