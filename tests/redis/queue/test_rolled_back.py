"""A Redis restored to an older state: a job may get the same entry and fence as its still running first run."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import GROUP, Keys
from tests.support.queue import job_fields, running_worker, until
from worker.queue.outcome import Succeeded
from worker.queue.worker import func


async def test_a_second_run_with_the_entry_and_fence_of_the_first_ends_as_any_other(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    runs: list[asyncio.Event] = []
    ends: list[Any] = []

    async def held(ctx: dict[Any, Any]) -> int:
        del ctx
        runs.append(asyncio.Event())
        await runs[-1].wait()
        return len(runs)

    async def after(ctx: dict[Any, Any]) -> None:
        ends.append(ctx["outcome"])

    async with running_worker(redis_url, keys, [func(held, name="held")], after_job_end=after, max_jobs=3) as worker:
        job = (await client.submit("held", {})).job_id
        await until(lambda: len(runs) == 1, what="the first run")
        before = await job_fields(redis, keys, job)
        await _roll_back(redis, keys, job, before["entry"])
        await client.submit("unknown", {})  # wakes the read
        await until(lambda: len(runs) == 2, what="the second run")

        assert (await job_fields(redis, keys, job))["fence"] == before["fence"]
        for run in runs:
            run.set()
        await until(lambda: sum(isinstance(end, Succeeded) for end in ends) == 2, what="both ends")
        assert (await client.wait(job, timeout_s=60)).state is JobState.SUCCEEDED
        assert worker.executor.running == []


async def _roll_back(redis: Redis, keys: Keys, job: str, entry: str) -> None:
    """Undo the start and the read of ``entry``."""
    lane = keys.lane("batch")
    async with redis.pipeline(transaction=True) as pipe:
        cast("Any", pipe).hset(keys.job(job), mapping={"state": "queued", "fence": 0, "attempt": 0})
        pipe.xack(lane, GROUP, entry)
        pipe.xgroup_setid(lane, GROUP, "0-0")
        await pipe.execute()
