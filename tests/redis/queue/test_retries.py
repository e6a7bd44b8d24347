"""retry.lua, promote.lua and requeue.lua: a job that is to run again."""

from __future__ import annotations

import json
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import ErrorInfo
from producer.keys import Keys
from tests.support.queue import BOOM, claim_one, events_of, job_fields, start_one, submitted
from worker.queue.lanes import PROMOTE
from worker.queue.stream import JobStream


async def test_retry_schedules_and_keeps_the_attempt_spent(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    delivery = await start_one(stream)

    standing = await stream.retry(delivery, delay_s=60, error=BOOM)

    fields = await job_fields(redis, keys, job_id)
    assert standing == "committed"
    assert (fields["state"], fields["attempt"]) == ("scheduled", "1")
    assert json.loads(fields["error"]) == {"type": "Boom", "message": "it broke"}
    assert await redis.xlen(keys.lane("batch")) == 0
    assert await stream.retry(delivery, delay_s=60, error=BOOM) == "already"


async def test_a_job_that_waits_on_for_one_reason_says_so_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    scans, host = (ErrorInfo(type="Busy", message=one) for one in ("scans have priority", "the host is busy"))
    announced: list[int] = []

    async with redis.pubsub() as live:
        await live.subscribe(keys.events_live)
        for error in (scans, scans, host, scans, BOOM, BOOM):
            is_wait = error is not BOOM
            await stream.retry(await start_one(stream), delay_s=0, error=error, attempt_returned=is_wait)
            await stream.lanes.promote_due(limit=10)
            announced.append(len(await events_of(redis, keys)))
        heard = [await live.get_message(ignore_subscribe_messages=True, timeout=1) for _ in range(6)]

    assert announced == [1, 1, 2, 3, 4, 5], "each failed attempt, and each change of what is waited for"
    assert len([one for one in heard if one]) == 5


async def test_retry_of_a_cancelled_job_does_not_wait(client: Client, stream: JobStream):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await client.cancel(job_id)

    await stream.retry(delivery, delay_s=60, error=BOOM)

    assert await stream.lanes.promote_due(limit=10) == 1
    assert (await start_one(stream)).is_cancelled


async def test_a_due_job_is_promoted_once_and_an_early_one_is_not(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    early = await submitted(client, defer_s=60)
    due = await submitted(client, defer_s=60)
    await redis.zadd(keys.scheduled, {due: 1})

    promoted = [await stream.lanes.promote_due(limit=10), await stream.lanes.promote_due(limit=10)]

    assert promoted == [1, 0]
    assert (await claim_one(stream)).job_id == due
    assert await redis.zscore(keys.scheduled, early) is not None


async def test_a_leftover_on_the_scheduled_set_is_cleared_away(stream: JobStream, redis: Redis, keys: Keys):
    await redis.zadd(keys.scheduled, {"ghost": 1})

    assert await stream.lanes.promote_due(limit=10) == 0
    assert await redis.zcard(keys.scheduled) == 0


async def test_a_stray_member_of_the_scheduled_set_blocks_no_job_behind_it(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await redis.set(keys.job("broken"), "not a hash")
    await redis.zadd(keys.scheduled, cast("Any", {"broken": 1, b"\xff\xfe": 2, "a,b": 3}))
    due = await submitted(client, defer_s=60)
    await redis.zadd(keys.scheduled, {due: 4})

    assert await stream.lanes.promote_due(limit=10) == 1
    assert (await claim_one(stream)).job_id == due
    assert await redis.zcard(keys.scheduled) == 0


async def test_requeue_returns_the_attempt_and_queues_the_job_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)

    assert await stream.requeue(delivery) == "committed"
    assert await stream.requeue(delivery) == "already"

    fields = await job_fields(redis, keys, job_id)
    again = await start_one(stream)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert (again.job_id, again.attempt, again.fence) == (job_id, 1, 2)


async def test_a_job_that_is_not_due_by_redis_clock_is_not_queued(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    await stream.retry(await start_one(stream), delay_s=60, error=BOOM)

    said = await stream.pipe.call(PROMOTE, (keys.scheduled, keys.job(job_id), keys.lane("batch")), (job_id, "batch"))

    assert said == b"early"
    assert (await job_fields(redis, keys, job_id))["state"] == "scheduled"
    assert await redis.xlen(keys.lane("batch")) == 0
