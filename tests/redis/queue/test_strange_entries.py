"""Malformed entries and keys of wrong types: the worker reports them and continues."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.client.queue_view import jobs_of_batch
from producer.contract import FunctionResult, JobState
from producer.errors import RedisUnsuitable
from producer.keys import Keys
from tests.support.queue import add, events_of, running_worker, until

WAIT_S = 60
WHY = ("'done' is not a valid JobState", "invalid literal for int", "invalid literal for int")


async def test_garbage_lands_on_the_dead_letter_stream_and_the_worker_goes_on(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    lane = keys.lane("batch")
    garbage: list[dict[Any, Any]] = [
        {"kind": "add", "payload": "{broken"},
        {"kind": "add", "payload": "[1, 2]"},
        {"kind": "add", "payload": "{}", "args": "7"},
        {"payload": "{}"},
        {"kind": "add"},
        {"kind": "k" * 101, "payload": "{}"},
        {"kind": "add", "payload": "{}", "id": "no good"},
        {"kind": "add", "payload": "{}", "v": "nine"},
        {b"\xff\xfe\x00": b"\x80" * 1000},
        {"kind": "add", "payload": "x" * 10_000_000},
        {"kind": "nobody-knows", "payload": "{}"},
        {"kind": "add", "payload": '{"a": 1, "unknown": 2}'},
    ]
    async with running_worker(redis_url, keys, [add]):
        for fields in garbage:
            await redis.xadd(lane, fields)
        good = await redis.xadd(lane, {"kind": "add", "payload": '{"a": 1}'})
        result = await client.wait(f"batch-{good.decode()}", timeout_s=WAIT_S)
        await until(lambda: _length_is(redis, keys.dead, len(garbage)), what="the garbage on the dead-letter stream")

    rows = cast("list[Any]", await redis.xrange(keys.dead))
    assert isinstance(result, FunctionResult)
    assert result.value == 1
    assert all(row[1][b"reason"] for row in rows)
    assert await redis.xlen(lane) == 0
    assert max(len(value) for row in rows for value in row[1].values()) < 200_000


async def test_an_entry_from_a_clock_in_the_future_runs_and_later_ones_too(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    future = "99999999999999-0"
    await redis.xadd(keys.lane("batch"), {"kind": "add", "payload": '{"a": 1}'}, id=future)

    async with running_worker(redis_url, keys, [add]):
        first = await client.wait(f"batch-{future}", timeout_s=WAIT_S)
        later = await client.submit("add", {"a": 2})
        second = await client.wait(later.job_id, timeout_s=WAIT_S)
        enqueued_ms = (await client.job(later.job_id)).enqueued_ms

    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert abs(enqueued_ms / 1000 - time.time()) < 60


async def test_a_copied_entry_runs_its_job_once(client: Client, redis_url: str, keys: Keys, redis: Redis):
    job = await client.submit("add", {"a": 1})
    await redis.xadd(keys.lane("batch"), {"id": job.job_id, "kind": "add"})

    async with running_worker(redis_url, keys, [add]):
        await client.wait(job.job_id, timeout_s=WAIT_S)
        await until(lambda: _length_is(redis, keys.lane("batch"), 0), what="an empty lane")

    assert len(await events_of(redis, keys)) == 1


async def test_a_key_of_the_wrong_type_is_reported_and_the_job_commits_once_it_is_gone(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    await redis.set(keys.events, "in the way")
    job = await client.submit("add", {"a": 1})
    async with running_worker(redis_url, keys, [add]) as worker:
        await until(lambda: worker.executor.refusals > 0, what="a refused commit")
        assert (await client.job(job.job_id)).state is JobState.RUNNING

        await redis.delete(keys.events)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
    assert len(await events_of(redis, keys)) == 1


async def _length_is(redis: Redis, key: str, length: int) -> bool:
    return await redis.xlen(key) == length


async def test_a_hash_that_was_written_by_hand_is_named(client: Client, redis: Redis, keys: Keys) -> None:
    changed = [(await client.submit("scan", {"url": f"https://a.example/{n}"}, batch="b")).job_id for n in range(2)]
    await cast("Any", redis).hset(keys.job(changed[0]), "state", "done")
    await cast("Any", redis).hset(keys.job(changed[1]), "attempt", "two")
    await cast("Any", redis).hset(keys.batch("b"), "total", "many")

    said: list[str] = []
    for read in (*(partial(client.job, one) for one in changed), partial(client.batch, "b")):
        with pytest.raises(RedisUnsuitable) as refused:
            await read()
        said.append(str(refused.value))
    with pytest.raises(RedisUnsuitable, match=changed[0]):
        await jobs_of_batch(redis, keys, "b")
    with pytest.raises(RedisUnsuitable, match=changed[0]):
        await client.wait(changed[0], timeout_s=0)

    assert all(f"has a value that Sightline did not write: {why}" in text for why, text in zip(WHY, said, strict=True))
