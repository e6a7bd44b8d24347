"""Entries of a consumer: updated only by it, reclaimed when it is silent, and never lost with its name."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from producer.client.client import Client
from producer.client.queue_view import lost_workers
from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.support.queue import claim_one, open_stream, running_worker, start_one, submitted
from worker.queue.delivery import Delivery
from worker.queue.stream import JobStream
from worker.queue.worker import func


async def test_progress_is_noted_for_the_holder_only(client: Client, stream: JobStream):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    stale = await stream.start(entry, tries=3)
    fresh = await stream.start(entry, tries=3)
    assert isinstance(stale, Delivery)
    assert isinstance(fresh, Delivery)

    noted = [await stream.note_progress(fresh, "audit"), await stream.note_progress(stale, "too late")]

    assert noted == [True, False]
    assert (await client.job(job_id)).progress == "audit"


async def test_a_silent_consumers_entries_are_taken_over_and_fresh_ones_are_not(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    async with open_stream(redis, keys, consumer="gone") as gone:
        await start_one(gone)

    _, fresh = await stream.reclaim(Lane.BATCH, cursor="0-0", count=10, min_idle_ms=60_000)
    _, silent = await stream.reclaim(Lane.BATCH, cursor="0-0", count=10, min_idle_ms=0)

    assert fresh == []
    assert len(silent) == 1
    second = await stream.start(silent[0], tries=3)
    assert isinstance(second, Delivery)
    assert second.attempt == 2


async def test_only_consumers_that_hold_nothing_are_removed(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    async with open_stream(redis, keys, consumer="holder") as holder:
        await start_one(holder)
    async with open_stream(redis, keys, consumer="idle") as idle:
        await idle.claim(slots=1, for_batch=1, turns=0)

    removed = await stream.lanes.reap_consumers(idle_ms=0)

    names = {info["name"] for info in await redis.xinfo_consumers(keys.lane("batch"), GROUP)}
    assert removed >= 1
    assert b"holder" in names
    assert b"idle" not in names


async def test_a_worker_that_stops_is_gone_and_one_that_was_killed_is_lost(redis: Redis, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [func(_nothing, name="nothing")]):
        while_it_runs = await lost_workers(redis, keys)
    async with open_stream(redis, keys, consumer="killed") as killed:
        await killed.claim(slots=1, for_batch=1, turns=0)

    assert while_it_runs == []
    assert await lost_workers(redis, keys) == ["killed"]


async def _nothing(ctx: dict[Any, Any]) -> None:
    del ctx
