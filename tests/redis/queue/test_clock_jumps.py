"""Redis' clock jumps: idle times say nothing then, and no healthy worker loses its job by it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.support.queue import open_stream, start_one, submitted
from worker.queue.stream import JobStream

HOUR_MS = 3_600_000
LEASE_MS = 10_000


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 10_000, -10_000])
async def test_a_jump_of_redis_clock_renews_each_lease_once_and_steals_no_job(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, jump_ms: int
):
    await submitted(client)
    held = await start_one(stream)
    async with open_stream(redis, keys, consumer="w2") as other:
        await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=LEASE_MS)
        await jump(other, redis, keys, held.entry, jump_ms)

        taken = await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=LEASE_MS)

        (row,) = await cast("Any", redis).xpending_range(keys.lane("batch"), GROUP, "-", "+", 5)
        assert taken == ("0-0", [])
        assert (row["consumer"], row["times_delivered"]) == (b"w1", 1)
        assert row["time_since_delivered"] < LEASE_MS
        assert await stream.finish(held, commit=None) == "committed"


async def test_a_job_of_a_dead_worker_is_reclaimed_a_lease_after_the_jump(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    held = await start_one(stream)
    async with open_stream(redis, keys, consumer="w2") as other:
        await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=LEASE_MS)
        await jump(other, redis, keys, held.entry, HOUR_MS)
        await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=LEASE_MS)
        await set_idle(redis, keys, held.entry, LEASE_MS)

        _, entries = await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=LEASE_MS)

        assert [entry.job_id for entry in entries] == [held.job_id]


async def jump(stream: JobStream, redis: Redis, keys: Keys, entry: str, by_ms: int) -> None:
    """What ``stream`` sees when Redis' clock is moved: another time than it expects, other idle times."""
    known_ms, known_at = stream._redis_clock[Lane.BATCH]
    stream._redis_clock[Lane.BATCH] = known_ms - by_ms, known_at
    await set_idle(redis, keys, entry, max(0, by_ms))


async def set_idle(redis: Redis, keys: Keys, entry: str, idle_ms: int) -> None:
    await redis.xclaim(keys.lane("batch"), GROUP, "w1", 0, [entry], idle=idle_ms, justid=True)
