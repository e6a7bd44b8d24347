"""``sightline arq drain``: moves arq's queue onto the stream and prints a line for each job that stays."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from producer.cli.terminal import NamingGroup, json_option
from producer.errors import InputError, RedisUnreachable, ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, printable

if TYPE_CHECKING:
    from worker.queue.arq_drain import Drained
    from worker.queue.arq_pool import StreamPool
    from worker.queue.arq_wire import Deserializer

NO_READER: Final = (
    "arq's jobs are pickled by default, and unpickling can run any code: give --settings with a "
    "class that has a job_deserializer, or --trust-pickle if you trust all that can write to that Redis"
)


@dataclass(frozen=True, slots=True)
class Source:
    """arq's queue, and the deserializer of its values."""

    pool: StreamPool
    queue_name: str
    deserializer: Deserializer


@dataclass(slots=True)
class Tally:
    """Counts of the jobs of arq's queue by outcome; ``moved`` includes the ``deferred``."""

    moved: int = 0
    deferred: int = 0
    left: list[Drained] = field(default_factory=list["Drained"])

    def add(self, job: Drained) -> None:
        """Count one job."""
        self.moved += job.is_moved
        self.deferred += job.is_deferred
        if not job.is_moved:
            self.left.append(job)

    def print(self, *, as_json: bool) -> None:
        """Print each job that stays, then the counts."""
        for job in self.left:
            line = line_of({"v": 1, "left": job.job_id, "reason": job.reason})
            click.echo(line if as_json else printable(f"left {job.job_id}: {job.reason}"))
        counts = {"moved": self.moved, "deferred": self.deferred, "left": len(self.left)}
        text = f"{counted(self.moved, 'job')} moved ({self.deferred:,} deferred), {len(self.left):,} left"
        click.echo(line_of({"v": 1, **counts}) if as_json else text)


@click.group(cls=NamingGroup)
def arq() -> None:
    """Switch a program from arq to Sightline (docs/arq.md)."""


@arq.command(short_help="Move the jobs of arq's queue onto the stream.")
@click.option("--settings", metavar="SETTINGS", help="The program's settings class, such as tasks.WorkerSettings.")
@click.option(
    "--trust-pickle", is_flag=True, help="Unpickle the jobs. Anyone who can write to that Redis can then run code here."
)
@click.option("--queue", metavar="NAME", help="arq's queue. Default: that of SETTINGS, else arq:queue.")
@json_option("One line of JSON for each job that stays, and one of counts. Default in a pipe.")
def drain(*, settings: str | None, trust_pickle: bool, queue: str | None, as_json: bool) -> None:
    """Move the jobs of arq's queue onto the stream, with their ids, delays and attempts.

    Stop arq's producers and workers first. Each job moves in one step, so a killed command neither loses nor duplicates
    jobs; run it again to continue. Jobs that an arq worker is running or that cannot be read stay in arq's queue; each
    is named, and the exit code is 3.

    SETTINGS supplies Redis, queue, environment and serializers; its job_deserializer reads arq's jobs. Without one,
    --trust-pickle is needed. Without SETTINGS, REDIS_URL is used.

    \b
    sightline arq drain --settings tasks.WorkerSettings
    sightline arq drain --trust-pickle --queue mail
    """
    import asyncio

    tally = Tally()
    try:
        asyncio.run(_drain(tally, settings, queue, trust_pickle=trust_pickle))
    except BaseException:  # a full queue or Ctrl-C ends it halfway
        if tally != Tally():
            tally.print(as_json=as_json)
        raise
    tally.print(as_json=as_json)
    if tally.left:
        left = counted(len(tally.left), "job")
        raise ServiceError(f"{left} left in arq's queue: run this again once the causes are fixed")


async def _drain(tally: Tally, settings: str | None, queue: str | None, *, trust_pickle: bool) -> None:
    from worker.queue.arq_drain import drain as drain_queue

    async with _opened(settings, queue, trust_pickle=trust_pickle) as source:
        async for job in drain_queue(source.pool, source.queue_name, source.deserializer):
            tally.add(job)


@contextlib.asynccontextmanager
async def _opened(settings: str | None, queue: str | None, *, trust_pickle: bool) -> AsyncGenerator[Source]:
    """Connect to the program's Redis, else to REDIS_URL; raises ``InputError`` without a deserializer."""
    from arq.constants import default_queue_name
    from redis.exceptions import RedisError

    from producer.redis.connection import open_redis, redis_errors
    from producer.settings import ClientSettings
    from worker.cli.arq_program import load_settings
    from worker.queue.arq_pool import StreamPool, create_pool

    sys.path.insert(0, str(Path.cwd()))
    program: object = load_settings(settings) if settings else None
    reader = pickle.loads if trust_pickle else getattr(program, "job_deserializer", None)
    if reader is None:
        raise InputError(NO_READER)
    name = queue or getattr(program, "queue_name", None) or default_queue_name
    environment = getattr(program, "environment", None)
    if program is None:
        given = ClientSettings.from_env(os.environ)
        with redis_errors(given):
            async with StreamPool.over(open_redis(given, gives_up=True), environment=given.environment) as pool:
                yield Source(pool, name, reader)
        return
    try:
        serializer = getattr(program, "job_serializer", None)
        where = getattr(program, "redis_settings", None)
        async with await create_pool(where, job_serializer=serializer, environment=environment) as pool:
            yield Source(pool, name, reader)
    except (RedisError, OSError) as error:
        raise RedisUnreachable(f"the Redis of redis_settings in {settings!r} refuses this: {error}") from error
