"""Batches of one lane take turns: ten pages do not wait for five thousand."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState, Lane
from producer.errors import QueueFull
from producer.keys import GROUP, Keys
from tests.support.queue import add, running_worker, settings_for, start_one, submitted, until
from worker.queue import lanes
from worker.queue.delivery import Entry
from worker.queue.stream import JobStream

SLOTS = 2


async def batch_of(client: Client, name: str, number: int) -> list[str]:
    ids = [f"{name}-{i}" for i in range(number)]
    jobs = client.submit_many("add", [{"a": 1}] * number, batch=name, job_ids=ids)
    return [job.job_id async for job in jobs]


async def claimed(stream: JobStream, *, slots: int = SLOTS) -> list[Entry]:
    return await stream.claim(slots=slots, for_batch=slots, turns=0)


async def test_jobs_without_a_batch_are_read_as_they_came_until_a_batch_comes(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    jobs = [await submitted(client) for _ in range(20)]
    first = await claimed(stream)
    assert not await redis.exists(keys.waiting("batch"))  # nothing to put in order, and nothing spent on it

    few = await batch_of(client, "ci", 3)
    taken = [entry.job_id for _ in range(5) for entry in await claimed(stream)]

    assert [job_id for job_id in taken if job_id in few] == few
    assert [*(entry.job_id for entry in first), *(job_id for job_id in taken if job_id not in few)] == jobs[:9]


async def test_a_retried_job_of_a_batch_takes_its_turn_behind_jobs_without_one(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    (retried,) = await batch_of(client, "ci", 1)
    await stream.requeue(await start_one(stream))
    jobs = [await submitted(client) for _ in range(3)]

    assert [entry.job_id for entry in await claimed(stream, slots=1)] == [retried]
    assert [entry.job_id for _ in range(3) for entry in await claimed(stream, slots=1)] == jobs
    assert await cast("Any", redis).hget(keys.turns("batch"), "batched") is None


async def test_a_worker_with_thousands_of_slots_claims_for_all_of_them(stream: JobStream, redis: Redis, keys: Keys):
    add_waiting = """for i = 1, 8100 do
        redis.call('ZADD', KEYS[2], 1, redis.call('XADD', KEYS[1], '*', 'kind', 'add', 'payload', '{}'))
    end"""
    await cast("Any", redis).eval(add_waiting, 2, keys.lane("batch"), keys.waiting("batch"))
    await redis.xgroup_setid(keys.lane("batch"), GROUP, "$")

    assert len(await claimed(stream, slots=8_050)) == 8_050


async def test_ten_pages_behind_five_thousand_are_claimed_within_twelve_claims_a_slot(
    client: Client, stream: JobStream
):
    await batch_of(client, "night", 5_000)
    few = await batch_of(client, "ci", 10)

    taken = [entry.job_id for _ in range(12) for entry in await claimed(stream)]

    assert [job_id for job_id in taken if job_id in few] == few
    assert [job_id for job_id in taken if job_id.startswith("night")] == [f"night-{n}" for n in range(len(taken) - 10)]


async def test_a_batch_that_comes_while_another_is_worked_on_is_served_at_once(client: Client, stream: JobStream):
    await batch_of(client, "night", 50)
    for _ in range(10):
        await claimed(stream)
    few = await batch_of(client, "ci", 3)

    taken = [entry.job_id for _ in range(3) for entry in await claimed(stream)]

    assert [job_id for job_id in taken if job_id in few] == few


async def test_a_batch_that_comes_late_does_not_make_up_for_the_turns_it_missed(client: Client, stream: JobStream):
    await batch_of(client, "night", 50)
    for _ in range(10):
        await claimed(stream)
    few = await batch_of(client, "ci", 20)

    taken = [entry.job_id for _ in range(5) for entry in await claimed(stream)]

    assert len(set(taken) & set(few)) == 5


async def test_jobs_without_a_batch_and_entries_added_by_hand_are_one_flow(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await claimed(stream)
    alone = [await submitted(client, job_id=f"alone-{n}") for n in range(4)]
    by_hand = await cast("Any", redis).xadd(keys.lane("batch"), {"kind": "add", "payload": "{}"})
    few = await batch_of(client, "ci", 3)

    taken = [(await claimed(stream, slots=1))[0].job_id for _ in range(8)]

    assert taken[0] == alone[0]  # nobody waited before it
    assert [job for job in taken if job not in few] == [*alone, f"batch-{by_hand.decode()}"]
    assert taken.index(few[-1]) == 6


async def test_a_batch_is_served_again_after_its_jobs_were_done_though_turns_were_lost(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await batch_of(client, "night", 20)
    await claimed(stream, slots=30)
    await claimed(stream, slots=30)
    await redis.delete(keys.turns("batch"))
    first, second = await batch_of(client, "night", 0), await batch_of(client, "ci", 20)
    late = [await submitted(client, batch="night", job_id=f"late-{n}") for n in range(3)]

    taken = [entry.job_id for _ in range(5) for entry in await claimed(stream)]

    assert first == []
    assert [job for job in taken if job in late] == late
    assert len(set(taken) & set(second)) == 7


async def test_an_idle_worker_gets_what_another_one_has_put_in_order(redis_url: str, redis: Redis, keys: Keys):
    async with running_worker(redis_url, keys, [add]) as worker:
        blocked = worker.job_loop._drained[Lane.BATCH]
        await until(blocked.is_set, what="a blocking read")
        await until(lambda: _is_blocked(redis), what="a blocked client")
        one_step = redis.pipeline(transaction=True)  # blocked reads are served after it
        for number in range(4):
            one_step.xadd(keys.lane("batch"), {"kind": "add", "payload": '{"a": 1}', "id": f"j{number}"})
        one_step.xreadgroup(GROUP, "w2", {keys.lane("batch"): ">"}, count=2)
        one_step.xreadgroup(GROUP, "w2", {keys.lane("batch"): ">"}, count=2, noack=True)
        *_, kept, ordered = await one_step.execute()
        turns = {entry_id: turn for turn, (entry_id, _) in enumerate(ordered[0][1], start=1)}
        await redis.zadd(keys.waiting("batch"), turns)

        await until(lambda: _has_run(redis, keys, "j2", "j3"), what="the jobs that another worker has put in order")

        assert len(kept[0][1]) == 2
        assert await redis.zcard(keys.waiting("batch")) == 0


async def _is_blocked(redis: Redis) -> bool:
    return int((await redis.info("clients"))["blocked_clients"]) >= 2


async def _has_run(redis: Redis, keys: Keys, *jobs: str) -> bool:
    states = [await cast("Any", redis).hget(keys.job(job), "state") for job in jobs]
    return states == [JobState.SUCCEEDED.encode()] * len(jobs)


async def test_entries_lost_while_they_wait_for_their_turn_are_queued_again_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 0)
    jobs = await batch_of(client, "night", 6)
    first = (await claimed(stream, slots=1))[0]
    assert await stream.lanes.restore_lost() == 0

    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)

    assert await stream.lanes.restore_lost() == 5
    taken = [entry.job_id for _ in range(9) for entry in await claimed(stream)]
    assert sorted([first.job_id, *taken]) == jobs


async def test_jobs_in_order_of_a_deleted_stream_or_turns_are_queued_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    jobs = await batch_of(client, "night", 4)
    first = (await claimed(stream, slots=1))[0]
    await redis.delete(keys.waiting("batch"))
    assert await stream.lanes.restore_lost() == 3

    await redis.delete(keys.lane("batch"))
    await stream.lanes.ensure_groups()

    assert sorted({(await start_one(stream)).job_id for _ in jobs}) == jobs
    assert first.job_id in jobs


async def test_cancelled_jobs_fill_no_backlog(client: Client, redis_url: str, keys: Keys, stream: JobStream):
    async with Client(settings_for(redis_url, keys, backlog_limit=3)) as bounded:
        jobs = await batch_of(bounded, "night", 3)
        with pytest.raises(QueueFull):
            await submitted(bounded)
        await claimed(stream, slots=1)  # it is held; of the others, one is put in order and one is cancelled unread
        for job_id in jobs:
            await bounded.cancel(job_id)

        again = [await submitted(bounded), await submitted(bounded)]

        assert (await client.queue()).lanes["batch"].queued == 2
        assert [entry.job_id for entry in await claimed(stream)] == again
