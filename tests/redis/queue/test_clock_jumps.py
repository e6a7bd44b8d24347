"""Redis' clock jumps: idle times are then meaningless, and no healthy worker loses its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.support.queue import open_stream, start_one, submitted
from tests.support.redis_clock import CONFIG, RedisClock, has_compiler
from worker.own_redis.server import EmbeddedRedis
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


@pytest.mark.skipif(not has_compiler(), reason="no C compiler: Redis' clock cannot be set")
def test_a_redis_clock_that_is_set_is_the_one_that_redis_goes_by(tmp_path: Path):
    clock = RedisClock(tmp_path)
    with (
        EmbeddedRedis(tmp_path / "redis", config=CONFIG, variables=clock.variables, die_with_parent=True) as server,
        BlockingRedis.from_url(server.url) as client,
    ):
        before = cast("tuple[int, int]", client.time())[0]
        client.set("a minute", "", ex=60)

        clock.set(wrong_s=3600)

        assert 3590 < cast("tuple[int, int]", client.time())[0] - before < 3700
        assert client.get("a minute") is None
