"""A deleted stream or group: its jobs are queued again, also after an interrupted walk."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, Lane
from producer.contract.terms import SUBMITTED
from producer.keys import GROUP, Keys
from tests.support.queue import add, open_stream, running_worker, start_one, submitted, until
from worker.queue import lane_reader
from worker.queue.delivery import Delivery
from worker.queue.stream import JobStream

WAIT_S = 60


async def test_jobs_of_a_deleted_stream_are_queued_again(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    waiting = await submitted(client)
    finished = await submitted(client)
    entries = await stream.claim(slots=2, for_batch=2, turns=0)
    done = await stream.start(next(entry for entry in entries if entry.job_id == finished), tries=3)
    assert isinstance(done, Delivery)
    await stream.finish(done, commit=None)
    await redis.delete(keys.lane("batch"))

    made = await stream.lanes.ensure_groups()

    assert made == {Lane.BATCH: 1}
    assert (await start_one(stream)).job_id == waiting


async def test_the_jobs_are_walked_once_for_all_lanes(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    jobs = {lane: await submitted(client, lane=lane) for lane in SUBMITTED}
    await redis.delete(*map(keys.lane, Lane))
    scan, walks = redis.scan, list[int]()

    async def counted(cursor: int, **options: Any) -> Any:
        walks.append(cursor)
        return await scan(cursor, **options)

    monkeypatch.setattr(stream.lanes._redis, "scan", counted)
    made = await stream.lanes.ensure_groups()

    assert made == {Lane.INTERACTIVE: 1, Lane.BATCH: 1, Lane.ASSESS: 0}
    assert walks.count(0) == 1
    assert {(await start_one(stream)).job_id for _ in jobs} == set(jobs.values())


async def test_keys_that_are_no_jobs_hide_no_job_of_a_deleted_stream(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    waiting = await submitted(client)
    await redis.set(keys.job("overwritten"), "no hash")
    await cast("Any", redis).hset(keys.job("").encode() + b"\xff", "state", "queued")
    await redis.delete(keys.lane("batch"))

    assert await stream.lanes.ensure_groups() == {Lane.BATCH: 1}
    assert (await start_one(stream)).job_id == waiting


async def test_a_job_whose_entry_id_another_job_has_in_the_new_stream_is_queued_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    first = await submitted(client)
    entry = await cast("Any", redis).hget(keys.job(first), "entry")
    await redis.delete(keys.lane("batch"))
    await redis.xadd(keys.lane("batch"), {"id": "other", "kind": "add", "payload": '{"a": 1}'}, id=entry)
    await redis.xadd(keys.lane("batch"), {"kind": "add", "payload": '{"a": 1}'})

    assert await stream.lanes.ensure_groups() == {Lane.BATCH: 1}
    assert await stream.lanes.ensure_groups() == {}
    started = {(await start_one(stream)).job_id for _ in range(3)}
    assert {"other", first} < started


async def test_cancelling_a_job_of_a_deleted_stream_deletes_no_entry_of_another_job(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    first = await submitted(client)
    entry = await cast("Any", redis).hget(keys.job(first), "entry")
    await redis.delete(keys.lane("batch"))
    await redis.xadd(keys.lane("batch"), {"id": "other", "kind": "add", "payload": '{"a": 1}'}, id=entry)

    await client.cancel(first)

    await stream.lanes.ensure_groups()
    assert (await start_one(stream)).job_id == "other"


async def test_a_walk_that_is_cut_short_is_walked_again(
    client: Client, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    async with open_stream(redis, keys) as stream:
        jobs = {await submitted(client) for _ in range(3)}
        await redis.delete(keys.lane("batch"))
        with monkeypatch.context() as cut:

            def lost(*_: object) -> None:
                raise RedisConnectionError("cut")

            cut.setattr("producer.redis.script_pipe.ScriptPipe.call", lost)
            with pytest.raises(RedisConnectionError):
                await stream.lanes.ensure_groups()

        made = await stream.lanes.ensure_groups()

        assert made == {Lane.BATCH: 3}
        assert {(await start_one(stream)).job_id for _ in jobs} == jobs


async def test_a_stream_deleted_while_no_worker_ran_loses_no_job(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    async with open_stream(redis, keys):
        before = await submitted(client)
    await redis.delete(keys.lane("batch"))
    after = await submitted(client)  # makes the stream anew, without a group

    async with running_worker(redis_url, keys, [add]):
        states = [(await client.wait(job_id, timeout_s=WAIT_S)).state for job_id in (before, after)]

    assert states == [JobState.SUCCEEDED, JobState.SUCCEEDED]


@pytest.mark.parametrize("what", ["group", "stream"])
async def test_a_group_or_stream_deleted_under_the_worker_loses_no_job(
    client: Client, redis_url: str, keys: Keys, redis: Redis, what: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane_reader, "BLOCK_MS", 100)
    async with running_worker(redis_url, keys, [add]) as worker:
        worker.allow_pick_jobs = False
        await until(lambda: not any(event.is_set() for event in worker.job_loop._drained.values()), what="no reads")
        job = await client.submit("add", {"a": 2})
        if what == "group":
            await redis.xgroup_destroy(keys.lane("batch"), GROUP)
        else:
            await redis.delete(keys.lane("batch"))
        worker.allow_pick_jobs = True
        worker.job_loop.look_again()

        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 2


async def test_due_jobs_stay_while_redis_refuses_to_tell_of_them(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    job = await client.submit("add", {"a": 1}, defer_s=60)
    await redis.zadd(keys.scheduled, {job.job_id: 1})  # due
    refusal = ResponseError("BUSY Redis is busy running a script")

    async def refused(*_: object, **__: object) -> list[Any]:
        return [refusal]

    with monkeypatch.context() as busy:
        busy.setattr("redis.asyncio.client.Pipeline.execute", refused)
        with pytest.raises(ResponseError, match="BUSY"):
            await stream.lanes.promote_due(limit=10)

    assert await redis.zscore(keys.scheduled, job.job_id) is not None
