"""Redis' clock jumps: idle times are then meaningless, and no healthy worker loses its job."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from arq.worker import Retry, func
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState, Lane
from producer.keys import GROUP, Keys
from producer.stored.controls import control_of, lift, put
from tests.support.queue import BOOM, job_fields, open_stream, running_worker, settings_for, start_one, submitted, until
from tests.support.redis_clock import CONFIG, RedisClock, has_compiler
from worker.own_redis.server import EmbeddedRedis
from worker.queue.arq_pool import StreamPool
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


async def retried(client: Client, stream: JobStream, **options: Any) -> str:
    """A job that is scheduled for its next attempt in a minute."""
    job_id = await submitted(client)
    delivery = await start_one(stream)
    assert await stream.retry(delivery, delay_s=60, error=BOOM, **options) == "committed"
    return job_id


async def set_clock_back(redis: Redis, *members: str, sets: tuple[str, ...]) -> None:
    """Leave what Redis' clock leaves when it is set back by an hour: due times an hour later."""
    for key in sets:
        for member in members:
            await redis.zincrby(key, HOUR_MS, member)


async def due_in_ms(redis: Redis, key: str, job_id: str) -> float:
    seconds, micros = await redis.time()
    score = await redis.zscore(key, job_id)
    assert score is not None
    return score - (seconds * 1000 + micros / 1000)


async def test_after_a_clock_set_back_no_job_waits_longer_than_its_delay(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    again = await retried(client, stream)
    deferred = await submitted(client, defer_s=60)
    sooner = await submitted(client, defer_s=60)
    await redis.zincrby(keys.scheduled, -30_000, sooner)
    await set_clock_back(redis, again, deferred, sets=(keys.scheduled,))
    stream.lanes._was_set_back = True

    assert await stream.lanes.follow_clock() == 2
    assert 0 < await due_in_ms(redis, keys.scheduled, again) <= 60_000
    assert 0 < await due_in_ms(redis, keys.scheduled, deferred) <= 60_000
    assert await due_in_ms(redis, keys.scheduled, sooner) <= 30_000
    async with open_stream(redis, keys, consumer="w2") as other:
        other.lanes._was_set_back = True
        assert await other.lanes.follow_clock() == 0, "another worker finds nothing left to change"
    await redis.zincrby(keys.scheduled, HOUR_MS, again)
    assert await stream.lanes.follow_clock() == 0, "one walk for one change of the clock"


async def test_a_fixed_time_is_due_by_the_new_clock(redis_url: str, stream: JobStream, redis: Redis, keys: Keys):
    pool = StreamPool.from_url(redis_url)
    pool.environment = keys.environment
    job = await pool.enqueue_job("add", 1, _defer_until=datetime.now(UTC) + timedelta(hours=1))
    await pool.aclose()
    assert job is not None
    stream.lanes._was_set_back = True

    assert await stream.lanes.follow_clock() == 0
    assert await due_in_ms(redis, keys.scheduled, job.job_id) > HOUR_MS - 60_000


async def test_after_a_clock_set_back_a_job_still_waits_for_a_worker_that_knows_it(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await retried(client, stream, needs_function=True)
    kind = keys.waiting_for("add")
    await set_clock_back(redis, job_id, sets=(keys.scheduled, kind))
    stream.lanes._was_set_back = True

    assert await stream.lanes.follow_clock() == 1
    assert await redis.zscore(kind, job_id) == await redis.zscore(keys.scheduled, job_id)
    assert await stream.lanes.wake(["add"], room=1) == 1
    assert await stream.lanes.promote_due(limit=5) == 1


async def test_after_a_clock_set_back_a_job_still_waits_for_the_end_of_its_pause(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await put(redis, keys, control_of("host", "shop.example"))
    job_id = await retried(client, stream, control="host:shop.example")
    await set_clock_back(redis, job_id, sets=(keys.scheduled, keys.parked("host:shop.example")))
    stream.lanes._was_set_back = True

    assert await stream.lanes.follow_clock() == 1
    assert 0 < await due_in_ms(redis, keys.scheduled, job_id) <= 60_000
    await lift(redis, keys, control_of("host", "shop.example"))
    assert await stream.lanes.promote_due(limit=5) == 1


async def test_a_second_wait_for_a_function_ends_although_the_clock_was_set_back_after_the_first(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await retried(client, stream, needs_function=True, attempt_returned=True)
    fence, since = (await job_fields(redis, keys, job_id))["no_function"].split(":")
    await cast("Any", redis).hset(keys.job(job_id), "no_function", f"{fence}:{int(since) + HOUR_MS}")
    await stream.lanes.wake(["add"], room=1)
    await stream.lanes.promote_due(limit=5)

    await stream.retry(await start_one(stream), delay_s=60, error=BOOM, needs_function=True)

    assert 0 < await due_in_ms(redis, keys.scheduled, job_id) <= 60_000


async def test_a_worker_notices_that_the_clock_was_set_back(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await retried(client, stream)
    await stream.lanes.promote_due(limit=5)
    await set_clock_back(redis, job_id, sets=(keys.scheduled,))
    assert await stream.lanes.follow_clock() == 0, "as far as it knows, the clock is right"
    known_ms, known_at = cast("tuple[int, float]", stream.lanes._redis_clock)
    stream.lanes._redis_clock = known_ms + HOUR_MS, known_at

    await stream.lanes.promote_due(limit=5)

    assert await stream.lanes.follow_clock() == 1


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


async def test_a_worker_notices_after_its_start_that_the_clock_was_set_back(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await retried(client, stream)
    await set_clock_back(redis, job_id, sets=(keys.scheduled,))
    seconds, _ = await redis.time()
    await redis.xadd(keys.events, {"event": "{}"}, id=f"{seconds * 1000 + HOUR_MS}-0")
    async with open_stream(redis, keys, consumer="w2") as other:
        assert await other.lanes.promote_due(limit=5) == 0

        assert await other.lanes.follow_clock() == 1


async def test_a_worker_notices_that_the_clock_is_set_back_while_it_reads_it_for_the_first_time(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    job_id = await retried(client, stream)
    await set_clock_back(redis, job_id, sets=(keys.scheduled,))
    await redis.delete(keys.events)
    read = redis.time

    async def set_back_first() -> tuple[int, int]:
        seconds, _ = await read()
        await redis.xadd(keys.events, {"event": "{}"}, id=f"{seconds * 1000 + HOUR_MS}-0")
        return await read()

    async with open_stream(redis, keys, consumer="w2") as other:
        with monkeypatch.context() as patch:
            patch.setattr(other.redis, "time", set_back_first)
            await other.lanes.promote_due(limit=5)

        assert await other.lanes.follow_clock() == 1


@pytest.mark.skipif(not has_compiler(), reason="no C compiler: Redis' clock cannot be set")
async def test_a_retry_runs_in_time_although_redis_clock_is_set_back_meanwhile(tmp_path: Path, keys: Keys):
    clock = RedisClock(tmp_path)
    runs: list[float] = []

    async def twice(_: dict[Any, Any]) -> None:
        runs.append(time.monotonic())
        if len(runs) == 1:
            raise Retry(defer=2)

    with EmbeddedRedis(tmp_path / "redis", config=CONFIG, variables=clock.variables, die_with_parent=True) as server:
        clock.set(wrong_s=3600)
        client = Client(settings_for(server.url, keys))
        async with client, running_worker(server.url, keys, [func(cast("Any", twice), name="twice")]):
            job = await client.submit("twice", {})
            await until(lambda: client_sees(client, job.job_id, JobState.SCHEDULED), what="the retry is scheduled")
            clock.set(wrong_s=0)
            await client.wait(job.job_id, timeout_s=20)

    assert 1.5 < runs[1] - runs[0] < 10


@pytest.mark.skipif(not has_compiler(), reason="no C compiler: Redis' clock cannot be set")
async def test_a_job_of_a_dead_worker_runs_again_although_the_clock_was_set_back_before_the_next_worker_started(
    tmp_path: Path, keys: Keys
):
    clock, lease_ms = RedisClock(tmp_path), 300
    with EmbeddedRedis(tmp_path / "redis", config=CONFIG, variables=clock.variables, die_with_parent=True) as server:
        clock.set(wrong_s=3600)
        async with Client(settings_for(server.url, keys)) as client, Redis.from_url(server.url) as redis:
            job_id = await submitted(client)
            async with open_stream(redis, keys) as stream:
                await start_one(stream)
            clock.set(wrong_s=0)

            async with open_stream(redis, keys, consumer="w2") as other:
                assert await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=lease_ms) == ("0-0", [])
                await until(lambda: is_idle(redis, keys, lease_ms), what="the end of the lease", timeout_s=10)
                _, entries = await other.reclaim(Lane.BATCH, cursor="0-0", count=5, min_idle_ms=lease_ms)

    assert [entry.job_id for entry in entries] == [job_id]


async def is_idle(redis: Redis, keys: Keys, idle_ms: int) -> bool:
    rows = await cast("Any", redis).xpending_range(keys.lane("batch"), GROUP, "-", "+", 5)
    return all(row["time_since_delivered"] >= idle_ms for row in rows)


async def client_sees(client: Client, job_id: str, state: JobState) -> bool:
    return (await client.job(job_id)).state is state
