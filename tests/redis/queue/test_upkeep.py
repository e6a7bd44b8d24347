"""What a worker does by the clock: a step that fails costs no other one its turn."""

from __future__ import annotations

import asyncio
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
from worker.queue.entries import Entry
from worker.queue.leases import LeaseKeeper
from worker.queue.places import Places
from worker.queue.stream import JobStream
from worker.queue.upkeep import Upkeep

LEASE_S = 0.6


def upkeep_of(stream: JobStream, redis_url: str, keys: Keys, *, begun: list[Entry], failure: Exception) -> Upkeep:
    """The upkeep of a worker one of whose steps fails at every turn."""

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
    return Upkeep(
        stream,
        leases,
        Places(4),
        begin=begun.append,
        lease_s=LEASE_S,
        poll_s=0.05,
        beat=fails,
        describe=lambda: {"name": stream.consumer},
        pipe_watch=lambda: None,
        fire_schedules=nothing,
    )


@pytest.mark.parametrize("failure", [QueueFull("the queue is full"), ResponseError("WRONGKEY schedules")])
async def test_a_step_that_redis_refuses_at_every_turn_keeps_no_dead_workers_job_from_running(
    client: Client, redis: Redis, redis_url: str, keys: Keys, failure: Exception
):
    job = await client.submit("add", {})
    async with open_stream(redis, keys, consumer="dead") as dead, open_stream(redis, keys, consumer="w2") as stream:
        await claim_one(dead)
        begun: list[Entry] = []
        running = asyncio.create_task(upkeep_of(stream, redis_url, keys, begun=begun, failure=failure).run())

        await until(lambda: begun, what="the reclaim")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [entry.job_id for entry in begun] == [job.job_id]


@pytest.mark.parametrize("failure", [RedisConnectionError("gone"), RedisUnreachable("gone")])
async def test_nothing_is_reclaimed_while_redis_comes_and_goes(
    client: Client, redis: Redis, redis_url: str, keys: Keys, failure: Any
):
    await client.submit("add", {})
    async with open_stream(redis, keys, consumer="dead") as dead, open_stream(redis, keys, consumer="w2") as stream:
        await claim_one(dead)
        begun: list[Entry] = []
        upkeep = upkeep_of(stream, redis_url, keys, begun=begun, failure=failure)
        running = asyncio.create_task(upkeep.run())
        await asyncio.sleep(2.5 * LEASE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert begun == []
