"""Garbage that names somebody's job is rejected, and the job goes on as if it had never been there."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from redis.asyncio import Redis

from producer.client import Client
from producer.contract import FunctionResult, JobState
from producer.keys import Keys
from tests.support.queue import claim_one, events_of, running_worker, start_one
from worker.outcome import describe
from worker.stream import JobStream

WAIT_S = 15
UNREADABLE = describe(ValueError("unreadable"))


async def add(_: dict[Any, Any], a: int) -> int:
    return a


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


async def test_who_waits_for_a_job_is_not_woken_by_garbage_of_its_name(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    job = await client.submit("add", {"a": 7}, defer_s=0.5)
    waiting = asyncio.create_task(client.wait(job.job_id, timeout_s=WAIT_S))
    await redis.xadd(keys.lane("batch"), {"id": job.job_id, "kind": "add", "v": "nine", "payload": "{}"})

    async with running_worker(redis_url, keys, [add]):
        result = await waiting

    assert result.state is JobState.SUCCEEDED
