"""A stream at its last possible entry id: submits are refused, and no end of a job is partially committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, Lane
from producer.errors import RedisUnsuitable
from producer.keys import Keys
from tests.support.queue import BOOM, job_fields, start_one, submitted
from worker.queue.delivery import Delivery
from worker.queue.outcome import Commit, CounterWrite, EntryWrite, JobWrite
from worker.queue.stream import JobStream

LAST_ID = f"{2**64 - 1}-{2**64 - 1}"
ENDS: dict[str, Callable[[JobStream, Delivery], Awaitable[object]]] = {
    "finish": lambda stream, delivery: stream.finish(delivery, commit=None),
    "bury": lambda stream, delivery: stream.bury(delivery, BOOM),
    "retry": lambda stream, delivery: stream.retry(delivery, delay_s=1, error=BOOM),
}


async def exhaust(redis: Redis, stream: str) -> None:
    await redis.xadd(stream, {"a": "b"}, id=LAST_ID)


async def test_a_lane_at_its_last_id_refuses_submits_by_name_and_takes_them_once_deleted(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    before = await submitted(client)
    await exhaust(redis, keys.lane("batch"))

    with pytest.raises(RedisUnsuitable, match=f"'{keys.lane('batch')}' accepts no more.*redis-cli DEL"):
        await submitted(client, job_id="refused", batch="night")

    assert not await redis.exists(keys.job("refused"), keys.batch("night"))
    await redis.delete(keys.lane("batch"))
    await stream.lanes.ensure_groups()
    after = await submitted(client)
    assert {(await start_one(stream)).job_id for _ in range(2)} == {before, after}


@pytest.mark.parametrize("end", ENDS)
async def test_no_end_is_half_committed_where_events_take_no_more(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, end: str
):
    job_id = await submitted(client, batch="night")
    delivery = await start_one(stream)
    before: Any = await redis.hgetall(keys.job(job_id))  # pyright: ignore[reportGeneralTypeIssues]  redis-py's two-faced types
    await exhaust(redis, keys.events)

    with pytest.raises(ResponseError, match=r"events is at its last possible id"):
        await ENDS[end](stream, delivery)

    assert await redis.hgetall(keys.job(job_id)) == before  # pyright: ignore[reportGeneralTypeIssues]
    assert (await client.batch("night")).done == 0
    assert not await redis.exists(keys.result(job_id), keys.dead, keys.scheduled)
    await redis.delete(keys.events)
    assert await ENDS[end](stream, delivery) in ("committed", ("committed", 1))


async def test_no_end_is_half_committed_where_the_lane_of_a_further_job_takes_no_more(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await exhaust(redis, keys.lane(Lane.ASSESS))
    entry = EntryWrite(keys.lane(Lane.ASSESS), "further", "assess")
    commit = Commit(
        FunctionResult(), (CounterWrite(keys.site("x"), {"commits": 1}), entry, JobWrite(keys.job("further"), {}))
    )

    with pytest.raises(ResponseError, match="assess is at its last possible id"):
        await stream.finish(delivery, commit=commit)

    assert (await job_fields(redis, keys, job_id))["state"] == JobState.RUNNING
    assert not await redis.exists(keys.site("x"), keys.job("further"), keys.result(job_id))


async def test_neither_a_cancellation_nor_a_seal_is_half_done_where_events_take_no_more(
    client: Client, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    await exhaust(redis, keys.events)

    with pytest.raises(RedisUnsuitable, match="last possible id"):
        await client.cancel(job_id)
    with pytest.raises(RedisUnsuitable, match="last possible id"):
        await client.seal_batch("night", create=True)

    assert (await job_fields(redis, keys, job_id))["state"] == JobState.QUEUED
    assert not await redis.exists(keys.result(job_id), keys.batch("night"))
