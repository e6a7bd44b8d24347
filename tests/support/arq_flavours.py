"""Runs the program of ``arq_program.py`` on either worker: ``Stock`` is plain arq, ``Streamed`` is Sightline.

``Streamed`` replaces only the two classes that a user would replace.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from arq.worker import Worker

from producer.keys import Keys
from tests.support.arq_program import FUNCTIONS, HOOKS
from tests.support.queue import until
from worker.queue.arq_pool import create_pool as create_stream_pool
from worker.queue.arq_worker import ArqWorker


class Flavour(Protocol):
    """The differences between arq's own queue and Sightline's."""

    url: str

    async def open_pool(self) -> ArqRedis: ...

    def job(self, job_id: str, pool: Any) -> Job: ...

    def worker(self, pool: ArqRedis | None, **options: Any) -> Worker: ...


class Stock:
    def __init__(self, url: str, keys: Keys) -> None:
        self.url = url
        self._queue = f"{keys.environment}:arq"

    async def open_pool(self) -> ArqRedis:
        return await create_pool(RedisSettings.from_dsn(self.url), default_queue_name=self._queue)

    def job(self, job_id: str, pool: Any) -> Job:
        return Job(job_id, pool, self._queue)

    def worker(self, pool: ArqRedis | None, **options: Any) -> Worker:
        options.pop("lease_s", None)
        given: dict[str, Any] = {"queue_name": None, **options}
        return Worker(redis_pool=pool, **given)


class Streamed:
    def __init__(self, url: str, keys: Keys) -> None:
        self.url = url
        self._environment = keys.environment

    async def open_pool(self) -> ArqRedis:
        return await create_stream_pool(RedisSettings.from_dsn(self.url), environment=self._environment)

    def job(self, job_id: str, pool: Any) -> Job:
        return Job(job_id, pool)

    def worker(self, pool: ArqRedis | None, **options: Any) -> Worker:
        given: dict[str, Any] = {"lease_s": 1.0, **options}
        return ArqWorker(redis_pool=pool, environment=self._environment, **given)


class Program:
    """The program, run by one worker; ``notes`` lists its actions, in order."""

    def __init__(self, worker: Worker, notes: list[Any]) -> None:
        self.worker, self.notes = worker, notes

    def of(self, job_id: str) -> list[tuple[Any, ...]]:
        """Return the notes about one job."""
        return [
            tuple(rest) for what, *rest in (note for note in self.notes if isinstance(note, tuple)) if what == job_id
        ]


def program(flavour: Flavour, pool: ArqRedis | None, **options: Any) -> Program:
    notes: list[Any] = []
    given: dict[str, Any] = {"functions": FUNCTIONS, "poll_delay": 0.05, "handle_signals": False, **HOOKS, **options}
    return Program(flavour.worker(pool, ctx={"notes": notes}, **given), notes)


async def burst(flavour: Flavour, *functions: Any, **options: Any) -> Program:
    """Run what is queued to its end, on a worker with connections of its own."""
    made = program(flavour, await flavour.open_pool(), functions=list(functions), burst=True, **options)
    await made.worker.async_run()
    await made.worker.close()
    return made


@asynccontextmanager
async def running(flavour: Flavour, **options: Any) -> AsyncGenerator[Program]:
    """Run the program on a worker with separate connections until the block ends."""
    pool = await flavour.open_pool()
    started = program(flavour, pool, **options)
    task = asyncio.create_task(started.worker.async_run())
    await until(lambda: "startup" in started.notes or task.done(), what="the worker's start")
    yield started
    for ending in (started.worker.close(), task):
        with contextlib.suppress(asyncio.CancelledError):  # how arq's worker stops, and the jobs it still runs
            await ending
    await pool.aclose()


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None, "expected the id to be free"
    return job


def ticks_of(*workers: Program) -> list[str]:
    """Return the ids under which the cron job ran."""
    return [note[0] for worker in workers for note in worker.notes if note[1:] == ("tick",)]
