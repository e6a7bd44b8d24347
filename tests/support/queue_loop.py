"""Runs a worker's loop without its clock: it reclaims when a test requests it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TypeVar

import redis as blocking_redis

from producer.keys import Keys
from worker.queue.delivery import Entry
from worker.queue.executor import Executor
from worker.queue.leases import LeaseKeeper
from worker.queue.loop import Loop
from worker.queue.run import JobFunctions
from worker.queue.stream import JobStream


class Begun(Executor):
    """Records the entries that it gets; they hold their slots for good."""

    def __init__(self, stream: JobStream, leases: LeaseKeeper, functions: JobFunctions) -> None:
        super().__init__(stream, leases, functions)
        self.entries: list[Entry] = []

    def begin(self, entry: Entry, *, has_slot: bool) -> None:
        assert has_slot
        self.holders[entry.lane].add(entry)
        self.entries.append(entry)


E = TypeVar("E", bound=Executor)


@asynccontextmanager
async def running_loop(
    stream: JobStream, redis_url: str, keys: Keys, executor_class: type[E], *, max_jobs: int, lease_s: float
) -> AsyncGenerator[tuple[Loop, E, LeaseKeeper]]:
    """Run a loop with its executor and leases, which are not renewed; it is stopped at the end."""
    leases = LeaseKeeper(
        lambda: blocking_redis.Redis.from_url(redis_url),
        keys,
        consumer=stream.consumer,
        renew_s=lease_s,
        on_lost=lambda _: None,
        on_cancel=lambda _: None,
    )
    options = SimpleNamespace(
        allow_pick_jobs=True,
        burst=False,
        max_burst_jobs=-1,
        queue_read_limit=100,
        max_jobs=max_jobs,
        functions={},
        max_tries=3,
    )
    functions = JobFunctions(options, note_progress=stream.note_progress)
    executor = executor_class(stream, leases, functions)
    loop = Loop(stream, executor, leases, lease_s=lease_s)
    running = asyncio.create_task(loop.run())
    try:
        yield loop, executor, leases
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
