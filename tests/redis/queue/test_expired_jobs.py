"""The entry of an ended job that is no longer kept: dropped with a log event, and the job is unchanged."""

from __future__ import annotations

from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from tests.support.queue import add, events_of, running_worker, submitted, until
from worker.queue.stream import JobStream

OLD_ID = "1600000000000-0"


async def test_an_ended_job_whose_hash_has_expired_stays_what_it_was(
    client: Client, redis: Redis, redis_url: str, keys: Keys
):
    job_id = await submitted(client)
    await client.cancel(job_id)
    await redis.delete(keys.job(job_id))
    await redis.xadd(keys.lane("batch"), {"id": job_id, "kind": "add"})  # left by a client of the release before
    events = await events_of(redis, keys)

    with capture_logs() as logs:
        async with running_worker(redis_url, keys, [add]):
            await until(lambda: _is_empty(redis, keys), what="the entry being dropped")

    result = await client.result(job_id)
    assert result is not None
    assert result.state is JobState.CANCELLED
    assert not await redis.exists(keys.job(job_id), keys.dead)
    assert await events_of(redis, keys) == events
    assert [line["job_id"] for line in logs if line["event"] == "entry.dropped"] == [job_id]


async def test_an_entry_older_than_jobs_are_kept_is_of_an_expired_job(
    stream: JobStream, redis: Redis, redis_url: str, keys: Keys
):
    await redis.delete(keys.lane("batch"))
    await redis.xadd(keys.lane("batch"), {"id": "expired", "kind": "add"}, id=OLD_ID)
    await stream.lanes.ensure_groups()

    async with running_worker(redis_url, keys, [add]):
        await until(lambda: _is_empty(redis, keys), what="the entry being dropped")

    assert not await redis.exists(keys.job("expired"), keys.result("expired"), keys.dead)


async def test_a_new_entry_of_a_job_that_nobody_knows_of_is_a_dead_letter(redis: Redis, redis_url: str, keys: Keys):
    await redis.xadd(keys.lane("batch"), {"id": "unknown", "kind": "add"})

    async with running_worker(redis_url, keys, [add]):
        await until(lambda: _is_empty(redis, keys), what="the entry being rejected")

    assert await redis.xlen(keys.dead) == 1
    assert await redis.exists(keys.result("unknown"))


async def _is_empty(redis: Redis, keys: Keys) -> bool:
    return await redis.xlen(keys.lane("batch")) == 0
