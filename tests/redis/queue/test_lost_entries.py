"""Entries that somebody trimmed, deleted or skipped: their jobs are queued again, once, without a walk of all jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import GROUP, Keys
from tests.support.queue import add, job_fields, open_stream, running_worker, start_one, submitted, until
from worker.queue import lanes, upkeep
from worker.queue.stream import JobStream

DELETE_EACH = "for _, row in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do redis.call('XDEL', KEYS[1], row[1]) end"
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


async def test_what_waits_runs_or_has_ended_is_left_alone(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    ended, runs, waits = [await submitted(client) for _ in range(3)]
    done, running = await start_one(stream), await start_one(stream)
    await stream.finish(done, commit=None)

    assert await stream.lanes.restore_lost() == 0

    assert (done.job_id, running.job_id) == (ended, runs)
    assert (await job_fields(redis, keys, waits))["state"] == "queued"
    assert set(await redis.zrange(keys.recent("batch"), 0, -1)) == {runs.encode(), waits.encode()}


async def test_a_running_job_whose_entry_is_trimmed_commits_and_one_of_a_dead_worker_runs_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
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


async def test_a_lost_entry_leads_to_jobs_that_an_older_client_has_submitted(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    unlisted, listed = [await submitted(client) for _ in range(2)]
    await redis.zrem(keys.recent("batch"), unlisted)
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)

    assert await stream.lanes.restore_lost() == 2
    assert {(await start_one(stream)).job_id for _ in range(2)} == {unlisted, listed}


async def test_a_worker_finds_a_lost_entry_by_itself(
    client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "RESTORE_EVERY_S", 0.05)
    async with running_worker(redis_url, keys, [add]) as worker:
        worker.allow_pick_jobs = False
        await until(lambda: not any(event.is_set() for event in worker.job_loop._drained.values()), what="no reads")
        job = await submitted(client)
        await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)
        worker.allow_pick_jobs = True
        worker.job_loop.look_again()

        assert (await client.wait(job, timeout_s=60)).state is JobState.SUCCEEDED


async def test_a_long_backlog_is_looked_through_piece_by_piece_and_ended_jobs_leave_the_list(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lanes, "LOOK_AT_ONCE", 2)
    monkeypatch.setattr(lanes, "FIRST_LOOKED_AT", 1)
    jobs = [await submitted(client, job_id=f"j{number}") for number in range(9)]
    for _ in range(4):
        await stream.finish(await start_one(stream), commit=None)
    await redis.zadd(keys.recent("batch"), {b"\xff no job": 1, b"no job": 2})
    entry = (await job_fields(redis, keys, jobs[7]))["entry"]
    await redis.xdel(keys.lane("batch"), entry)

    found = [await stream.lanes.restore_lost() for _ in range(3)]

    assert sorted(found) == [0, 0, 1]
    assert set(await redis.zrange(keys.recent("batch"), 0, -1)) == {job.encode() for job in jobs[4:]}
