"""What a worker does by the clock: a step that fails costs no other one its turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
import redis as blocking_redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.errors import QueueFull, RedisUnreachable
from producer.keys import Keys
from tests.support.queue import claim_one, open_stream, until
from worker.queue.delivery import Entry, Started
from worker.queue.executor import Executor, HeldSlot
from worker.queue.leases import LeaseKeeper
from worker.queue.loop import Loop, Slots
from worker.queue.run import JobFunctions
from worker.queue.stream import JobStream
from worker.queue.upkeep import Upkeep

LEASE_S = 0.6


class Begun(Executor):
    """Takes note of what it is given."""

    entries: list[Entry]

    def begin(self, entry: Entry, start: Started | None, slot: HeldSlot | None) -> None:
        assert (start, slot is None) == (None, False)
        self.entries.append(entry)


@contextlib.asynccontextmanager
async def tended(stream: JobStream, redis_url: str, keys: Keys, *, failure: Exception) -> AsyncGenerator[list[Entry]]:
    """A worker whose clock has a step that fails at every turn; gives the entries that it takes."""

    async def fails() -> None:
        raise failure

    async def nothing() -> None:
        pass

    leases = LeaseKeeper(
        lambda: blocking_redis.Redis.from_url(redis_url),
        keys,
        consumer=stream.consumer,
        renew_s=LEASE_S,
        on_lost=lambda _: None,
        on_cancel=lambda _: None,
    )
    options = SimpleNamespace(allow_pick_jobs=True, burst=False, max_burst_jobs=-1, functions={}, max_tries=3)
    functions = JobFunctions(options, note_progress=stream.note_progress)
    executor = Begun(stream, leases, functions)
    executor.entries = []
    loop = Loop(stream, Slots(4), executor, functions, leases, options=options, lease_s=LEASE_S)
    upkeep = Upkeep(
        stream,
        leases,
        loop,
        lease_s=LEASE_S,
        poll_s=0.05,
        beat=fails,
        describe=lambda: {"name": stream.consumer},
        fire_schedules=nothing,
    )
    running = [asyncio.create_task(loop.run()), asyncio.create_task(upkeep.run())]
    try:
        yield executor.entries
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("failure", [QueueFull("the queue is full"), ResponseError("WRONGKEY schedules")])
async def test_a_step_that_redis_refuses_at_every_turn_keeps_no_dead_workers_job_from_running(
    client: Client, redis: Redis, redis_url: str, keys: Keys, failure: Exception
):
    job = await client.submit("add", {})
    async with open_stream(redis, keys, consumer="dead") as dead, open_stream(redis, keys, consumer="w2") as stream:
        await claim_one(dead)
        async with tended(stream, redis_url, keys, failure=failure) as begun:
            await until(lambda: begun, what="the reclaim")

    assert [entry.job_id for entry in begun] == [job.job_id]


@pytest.mark.parametrize("failure", [RedisConnectionError("gone"), RedisUnreachable("gone")])
async def test_nothing_is_reclaimed_while_redis_comes_and_goes(
    client: Client, redis: Redis, redis_url: str, keys: Keys, failure: Any
):
    await client.submit("add", {})
    async with open_stream(redis, keys, consumer="dead") as dead, open_stream(redis, keys, consumer="w2") as stream:
        await claim_one(dead)
        async with tended(stream, redis_url, keys, failure=failure) as begun:
            await asyncio.sleep(2.5 * LEASE_S)

    assert begun == []
