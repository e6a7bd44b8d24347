"""A worker's periodic steps: a failing step does not affect the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.errors import QueueFull, RedisUnreachable
from producer.keys import GROUP, Keys
from tests.support.queue import claim_one, open_stream, until
from tests.support.queue_loop import Begun, running_loop
from tests.support.signals import Signal
from worker.queue import upkeep
from worker.queue.delivery import Entry
from worker.queue.loop import Loop
from worker.queue.stream import JobStream

LEASE_S = 0.6


@contextlib.asynccontextmanager
async def tended(
    stream: JobStream, redis_url: str, keys: Keys, *, failure: Exception, lease_s: float = LEASE_S
) -> AsyncGenerator[list[Entry]]:
    """A worker whose clock has steps that fail at every turn; gives the entries that it takes."""

    async def fails() -> None:
        raise failure

    async def nothing() -> None:
        pass

    def describe() -> dict[str, Any]:
        raise failure

    await stream.claim(slots=1, for_batch=1, turns=0)
    assert stream.pipe._connection is not None
    stream.pipe._connection.opened_at -= 3600  # Redis has answered for long
    async with running_loop(stream, redis_url, keys, Begun, max_jobs=4, lease_s=lease_s) as (loop, executor, leases):
        leases.up_since -= 3600
        clock = upkeep.Upkeep(
            stream,
            leases,
            loop,
            lease_s=lease_s,
            poll_s=0.05,
            beat=fails,
            describe=describe,
            fire_schedules=nothing,
            wake=nothing,
        )
        running = asyncio.create_task(clock.run())
        try:
            yield executor.entries
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    "failure", [QueueFull("the queue is full"), ResponseError("WRONGKEY schedules"), TypeError("a strange record")]
)
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
    client: Client, redis: Redis, redis_url: str, keys: Keys, failure: Any, monkeypatch: pytest.MonkeyPatch
):
    looks = Signal("the loop's look for ended leases")
    monkeypatch.setattr(Loop, "_reclaim", looks.after(Loop._reclaim))
    monkeypatch.setattr(upkeep, "RECLAIM_EVERY_S", 0.05)
    await client.submit("add", {})
    async with open_stream(redis, keys, consumer="dead") as dead, open_stream(redis, keys, consumer="w2") as stream:
        entry = await claim_one(dead)
        await redis.xclaim(keys.lane("batch"), GROUP, "dead", 0, [entry.id], idle=3_600_000, justid=True)
        async with tended(stream, redis_url, keys, failure=failure, lease_s=600) as begun:
            await looks.times(4)

    assert begun == []
