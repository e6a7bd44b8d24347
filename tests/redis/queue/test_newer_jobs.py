"""A rolling release: an older worker requeues a newer release's jobs unchanged, and a newer one runs them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, JobState
from producer.keys import Keys
from tests.support.queue import job_fields, running_worker, until
from worker.queue import executor

WAIT_S = 60
NEWER = "2"


async def add(_: dict[Any, Any], a: int) -> int:
    return a + 1


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "NEWER_PAUSE_S", 0.1)


async def test_an_old_worker_requeues_newer_jobs_until_a_newer_worker_takes_them(
    client: Client, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    job = await client.submit("add", {"a": 7})
    await cast("Any", redis).hset(keys.job(job.job_id), "v", NEWER)

    async with running_worker(redis_url, keys, [add], max_tries=1):
        await until(lambda: _was_requeued(redis, keys, job.job_id, times=3), what="the job requeued three times")
    before = await job_fields(redis, keys, job.job_id)
    monkeypatch.setattr(executor, "WIRE_VERSION", int(NEWER))
    async with running_worker(redis_url, keys, [add], max_tries=1):
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert before["attempt"] == "0"
    assert "waits for a newer worker" in before["error"]
    assert result.state is JobState.SUCCEEDED
    assert isinstance(result, FunctionResult)
    assert result.value == 8


async def test_a_newer_job_added_by_hand_is_kept_whole_though_this_worker_cannot_read_it(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    unreadable = {"kind": "paint", "payload": '["a newer shape"]', "args": '{"a": 1}', "v": NEWER}
    entry = await redis.xadd(keys.lane("batch"), cast("Any", unreadable))
    job_id = f"batch-{entry.decode()}"

    async with running_worker(redis_url, keys, [add]):
        await until(lambda: _was_requeued(redis, keys, job_id, times=2), what="the job requeued")

    kept = await job_fields(redis, keys, job_id)
    assert {name: kept[name] for name in unreadable} == unreadable
    assert kept["attempt"] == "0"
    assert await redis.xlen(keys.dead) == 0
    assert (await client.job(job_id)).state is JobState.SCHEDULED or kept["state"] == "queued"


async def _was_requeued(redis: Redis, keys: Keys, job_id: str, *, times: int) -> bool:
    fields = await job_fields(redis, keys, job_id)
    return int(fields.get("fence", 0)) > times and "NewerJob" in fields["error"]
