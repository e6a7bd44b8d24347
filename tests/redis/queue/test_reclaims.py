"""When a loop reclaims, and how it treats a reclaimed entry that it cannot run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.support.queue import claim_one, job_fields, open_stream, pending, submitted, until
from tests.support.queue_loop import Begun, running_loop
from worker.queue.delivery import Entry
from worker.queue.executor import Executor
from worker.queue.loop import Loop
from worker.queue.stream import JobStream

LEASE_S = 60


@pytest.fixture(autouse=True)
def up_for_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loop, "may_reclaim", True)


async def _is_requeued(redis: Redis, keys: Keys, entry: Entry) -> bool:
    fields = await job_fields(redis, keys, entry.job_id)
    return fields["entry"] != entry.id and await pending(redis, keys) == 0


async def end_lease(redis: Redis, keys: Keys, entry: Entry) -> None:
    """Make the entry as idle as one that its consumer has not renewed for a lease."""
    await redis.xclaim(keys.lane("batch"), GROUP, "lost", 0, [entry.id], idle=LEASE_S * 1000, justid=True)


def after_one_reclaim(stream: JobStream, act: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``act`` between Redis' reply to the first reclaim of batch and the loop's taking it."""
    reclaim, done = stream.reclaim, list[Lane]()

    async def overtaken(lane: Lane, **about: Any) -> tuple[str, list[Entry]]:
        reply = await reclaim(lane, **about)
        if lane is Lane.BATCH and not done:
            done.append(lane)
            await act()
        return reply

    monkeypatch.setattr(stream, "reclaim", overtaken)


async def test_a_reclaim_requested_while_another_is_on_its_way_is_not_lost(
    client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    job_id = await submitted(client)
    async with open_stream(redis, keys, consumer="lost") as lost, open_stream(redis, keys, consumer="w2") as stream:
        entry = await claim_one(lost)
        async with running_loop(stream, redis_url, keys, Begun, max_jobs=4, lease_s=LEASE_S) as (loop, executor, _):

            async def request_again() -> None:
                await end_lease(redis, keys, entry)
                loop.request_reclaim()

            after_one_reclaim(stream, request_again, monkeypatch)
            loop.request_reclaim()
            await until(lambda: executor.entries, what="the second reclaim")

    assert [begun.job_id for begun in executor.entries] == [job_id]


async def test_one_request_finds_an_ended_lease_behind_any_number_of_others(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    for _ in range(35):
        await submitted(client)
    async with open_stream(redis, keys, consumer="lost") as lost, open_stream(redis, keys, consumer="w2") as stream:
        entries = await lost.claim(slots=35, for_batch=35, turns=0)
        await end_lease(redis, keys, entries[-1])
        async with running_loop(stream, redis_url, keys, Begun, max_jobs=1, lease_s=LEASE_S) as (loop, executor, _):
            loop.request_reclaim()  # with one slot, XAUTOCLAIM looks at ten entries
            await until(lambda: executor.entries, what="the reclaim")

    assert [begun.job_id for begun in executor.entries] == [entries[-1].job_id]


@pytest.mark.parametrize("meanwhile", ["another job takes the slot", "the worker stops"])
async def test_an_entry_reclaimed_without_a_slot_or_after_a_stop_is_requeued_with_its_attempt(
    meanwhile: str, client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    job_id = await submitted(client)
    async with open_stream(redis, keys, consumer="lost") as lost, open_stream(redis, keys, consumer="w2") as stream:
        entry = await claim_one(lost)
        await end_lease(redis, keys, entry)
        async with running_loop(stream, redis_url, keys, Executor, max_jobs=1, lease_s=LEASE_S) as (loop, executor, _):

            async def interfere() -> None:
                if meanwhile == "the worker stops":
                    loop.stop()
                else:
                    executor.holders[Lane.BATCH].add(Entry("1-0", Lane.BATCH, "other", "add", {}))

            after_one_reclaim(stream, interfere, monkeypatch)
            loop.request_reclaim()
            await until(lambda: _is_requeued(redis, keys, entry), what="the entry requeued")

    fields = await job_fields(redis, keys, job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert [row[0].decode() for row in await redis.xrange(keys.lane("batch"))] == [fields["entry"]]
