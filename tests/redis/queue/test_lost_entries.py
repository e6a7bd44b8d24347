"""Trimmed, deleted or skipped entries: their jobs are queued again, once, without unnecessary searches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ErrorInfo, JobState, Lane
from producer.keys import GROUP, Keys
from tests.support.queue import add, job_fields, open_stream, running_worker, start_one, submitted, until
from worker.queue import lane_reader, lanes, upkeep
from worker.queue.delivery import NotStarted
from worker.queue.stream import JobStream

LOSSES: dict[str, Callable[[Any, str], Awaitable[object]]] = {
    "trimmed": lambda redis, lane: redis.xtrim(lane, maxlen=0, approximate=False),
    "cut by an XADD": lambda redis, lane: redis.execute_command("XADD", lane, "MAXLEN", "0", "*", "a", "b"),
    "deleted": lambda redis, lane: redis.eval(
        "for _, row in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do redis.call('XDEL', KEYS[1], row[1]) end",
        1,
        lane,
    ),
    "skipped": lambda redis, lane: redis.xgroup_setid(lane, GROUP, "$"),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_jobs_without_an_entry_are_queued_again_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, loss: str
):
    jobs = {await submitted(client) for _ in range(3)}
    await LOSSES[loss](redis, keys.lane("batch"))

    async with open_stream(redis, keys, consumer="w2") as other:
        found = await asyncio.gather(stream.lanes.restore_lost(), other.lanes.restore_lost())

    assert sum(found) == 3
    assert {(await start_one(stream)).job_id for _ in jobs} == jobs
    assert await stream.claim(slots=5, for_batch=5, turns=0) == []


def look_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 0)
    monkeypatch.setattr(lanes, "SEARCH_EVERY_MS", 0)


def count_searches(stream: JobStream, monkeypatch: pytest.MonkeyPatch) -> list[Lane]:
    """Return a list that gets the lane of each search."""
    searched: list[Lane] = []
    search = stream.lanes._restore_entries

    async def counted(found: Sequence[Lane]) -> dict[Lane, Counter[bytes]]:
        searched.extend(found)
        return await search(found)

    monkeypatch.setattr(stream.lanes, "_restore_entries", counted)
    return searched


async def test_jobs_that_wait_run_or_have_ended_are_not_queued_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    ended, runs, waits = [await submitted(client) for _ in range(3)]
    done, running = await start_one(stream), await start_one(stream)
    await stream.finish(done, commit=None)

    assert await stream.lanes.restore_lost() == 0

    assert (done.job_id, running.job_id) == (ended, runs)
    assert (await job_fields(redis, keys, waits))["state"] == "queued"


async def test_a_running_job_whose_entry_is_trimmed_commits_and_one_of_a_dead_worker_runs_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    look_at_any_time(monkeypatch)
    commits, orphan = [await submitted(client) for _ in range(2)]
    delivery, _ = await start_one(stream), await start_one(stream)
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)
    assert await stream.lanes.restore_lost() == 0

    assert await stream.finish(delivery, commit=None) == "committed"
    async with open_stream(redis, keys, consumer="w2") as other:
        await other.reclaim(delivery.lane, cursor="0-0", count=10, min_idle_ms=0)  # drops what is in no stream
        assert await other.lanes.restore_lost() == 1
        again = await start_one(other)

    assert delivery.job_id == commits
    assert (again.job_id, again.attempt) == (orphan, 2)


async def test_jobs_that_end_run_or_are_cancelled_start_no_search(
    client: Client, stream: JobStream, monkeypatch: pytest.MonkeyPatch
):
    look_at_any_time(monkeypatch)
    searches = count_searches(stream, monkeypatch)
    for delay_s in (0.0, 60.0, 0.0, 0.0):
        await submitted(client, defer_s=delay_s)
    await client.cancel(await submitted(client))
    await stream.finish(await start_one(stream), commit=None)
    retried = await start_one(stream)
    await stream.retry(retried, delay_s=60, error=ErrorInfo(type="Oops", message="again"))
    await stream.requeue(await start_one(stream))

    assert await stream.lanes.restore_lost() == 0
    assert searches == []


async def test_an_entry_submitted_again_without_its_login_starts_no_search(
    stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    look_at_any_time(monkeypatch)
    searches = count_searches(stream, monkeypatch)
    payload = '{"url": "https://ann:t0ken@shop.example/"}'
    await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": payload})
    [entry] = await stream.claim(slots=1, for_batch=1, turns=0)

    started = await stream.start(entry, tries=3)

    assert started == NotStarted("resubmitted")
    assert await stream.lanes.restore_lost() == 0
    assert searches == []
    assert await redis.xlen(keys.lane("batch")) == 1


async def test_one_of_a_fleet_searches_and_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 0)
    searches = count_searches(stream, monkeypatch)
    await submitted(client)
    await redis.xadd(keys.lane("batch"), {"by": "hand"})
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)

    async with open_stream(redis, keys, consumer="w2") as other:
        others = count_searches(other, monkeypatch)
        found = [await lane.restore_lost() for lane in (stream.lanes, other.lanes, stream.lanes)]

    assert (found, searches, others) == ([1, 0, 0], [Lane.BATCH], [])


async def test_one_of_a_fleet_looks_at_a_time(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 600_000)
    assert await stream.lanes.restore_lost() == 0
    await submitted(client)
    await LOSSES["skipped"](redis, keys.lane("batch"))

    async with open_stream(redis, keys, consumer="w2") as other:
        assert await other.lanes.restore_lost() == 0, "too early for another look"
        monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 0)
        assert await other.lanes.restore_lost() == 1


async def test_a_search_whose_worker_was_killed_is_made_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanes, "LOOK_EVERY_MS", 0)
    await submitted(client)
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)
    about = (keys.lane("batch"), keys.waiting("batch"), keys.turns("batch"))
    skipped, gone, token = await stream.pipe.call(lanes.LOOK, about, (GROUP, 0, lanes.SEARCH_EVERY_MS))
    assert (skipped, gone) == (0, 1)

    assert await stream.lanes.restore_lost() == 0  # somebody searches
    monkeypatch.setattr(lanes, "SEARCH_EVERY_MS", 0)
    assert await stream.lanes.restore_lost() == 1
    assert await stream.pipe.call(lanes.SETTLE_SEARCH, about[2:], (gone, token)) == b"other"
    assert await stream.lanes.restore_lost() == 0


async def test_a_clock_that_was_set_back_stops_no_look(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await submitted(client)
    in_an_hour = int((await redis.time())[0] + 3600) * 1000
    await cast("Any", redis).hset(keys.turns("batch"), mapping={"looked_ms": in_an_hour, "searched_ms": in_an_hour})
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)

    assert await stream.lanes.restore_lost() == 1


async def test_entries_added_by_hand_and_skipped_run_in_the_end(stream: JobStream, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {"kind": "add", "payload": "{}"})
    await redis.xgroup_setid(keys.lane("batch"), GROUP, "$")

    assert await stream.lanes.restore_lost() == 1
    assert (await start_one(stream)).kind == "add"


async def test_entries_whose_turns_were_deleted_wait_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    look_at_any_time(monkeypatch)
    jobs = {await submitted(client, batch="night") for _ in range(3)}
    first = (await stream.claim(slots=1, for_batch=1, turns=0))[0]
    assert await redis.delete(keys.waiting("batch")) == 1

    assert await stream.lanes.restore_lost() == 2
    rest = [await start_one(stream) for _ in range(2)]
    assert {first.job_id, *(one.job_id for one in rest)} == jobs


async def test_a_look_examines_a_part_of_a_large_backlog_and_the_next_one_the_rest(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    look_at_any_time(monkeypatch)
    async for _ in client.submit_many("add", ({"a": 1} for _ in range(4_100)), batch="night"):
        pass
    await stream.claim(slots=1, for_batch=1, turns=0)
    await redis.xgroup_setid(keys.lane("batch"), GROUP, "$")
    assert await redis.zcard(keys.waiting("batch")) == 4_000

    assert [await stream.lanes.restore_lost() for _ in range(3)] == [0, 99, 0]
    assert await redis.zcard(keys.waiting("batch")) == 4_099


async def test_a_worker_finds_a_lost_entry_by_itself(
    client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "RESTORE_EVERY_S", 0.05)
    monkeypatch.setattr(lane_reader, "BLOCK_MS", 100)
    async with running_worker(redis_url, keys, [add]) as worker:
        worker.allow_pick_jobs = False
        await until(lambda: not any(event.is_set() for event in worker.job_loop._drained.values()), what="no reads")
        job = await submitted(client)
        await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)
        worker.allow_pick_jobs = True
        worker.job_loop.look_again()

        assert (await client.wait(job, timeout_s=60)).state is JobState.SUCCEEDED
