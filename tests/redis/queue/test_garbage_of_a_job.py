"""A malformed entry that names another job is rejected, and that job is unaffected."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, JobState
from producer.keys import Keys
from tests.support.queue import add, claim_one, events_of, running_worker, start_one
from worker.queue.delivery import Delivery
from worker.queue.outcome import describe
from worker.queue.stream import JobStream

WAIT_S = 60
UNREADABLE = describe(ValueError("unreadable"))


async def test_a_rejected_entry_leaves_the_job_it_names_and_its_result_alone(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job = await client.submit("add", {"a": 7})
    await stream.finish(await start_one(stream), commit=None, value_json="7")
    entry_id = await redis.xadd(keys.lane("batch"), {"id": job.job_id, "kind": "add", "v": "nine", "payload": "{}"})

    standing, _ = await stream.reject(await claim_one(stream), UNREADABLE)

    result = await client.result(job.job_id)
    row = cast("list[Any]", await redis.xrange(keys.dead))[0][1]
    rejected = json.loads((await events_of(redis, keys))[-1])
    assert standing == "committed"
    assert isinstance(result, FunctionResult)
    assert result.value == 7
    assert row[b"id"].decode() == rejected["job_id"] == f"batch-{entry_id.decode()}"


async def test_a_waiter_is_not_woken_by_garbage_with_its_jobs_name(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    job = await client.submit("add", {"a": 7}, defer_s=0.5)
    waiting = asyncio.create_task(client.wait(job.job_id, timeout_s=WAIT_S))
    await redis.xadd(keys.lane("batch"), {"id": job.job_id, "kind": "add", "v": "nine", "payload": "{}"})

    async with running_worker(redis_url, keys, [add]):
        result = await waiting

    assert result.state is JobState.SUCCEEDED


async def test_a_job_hash_with_nonsense_for_numbers_keeps_no_other_job_from_its_start(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    jobs = [(await client.submit("add", {"a": number})).job_id for number in range(2)]
    nonsense = {"attempt": "soon", "tries": "nan", "fence": "inf", "enqueued_ms": "never", "v": "x", "error": b"\xff"}
    await cast("Any", redis).hset(keys.job(jobs[0]), mapping=nonsense)
    entries = await stream.claim(slots=2, for_batch=2, turns=0)

    broken, healthy = await asyncio.gather(*(stream.start(entry, tries=3) for entry in entries))

    assert isinstance(broken, Delivery)
    assert isinstance(healthy, Delivery)
    assert (broken.fence, broken.attempt, broken.tries) == (1, 1, 3)
    assert await stream.finish(broken, commit=None) == "committed"
    assert await stream.finish(healthy, commit=None) == "committed"


async def test_a_job_submitted_in_an_impossible_year_ends_like_any_other(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    job = await client.submit("add", {"a": 7})
    await cast("Any", redis).hset(keys.job(job.job_id), "enqueued_ms", "9" * 15)

    async with running_worker(redis_url, keys, [add]):
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
