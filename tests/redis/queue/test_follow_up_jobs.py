"""finish.lua queues a further job in the commit of another, and updates a published result."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, Lane
from producer.contract.payloads import assess_job_id
from producer.keys import Keys
from tests.support.queue import BOOM, events_of, job_fields, start_one, steal, submitted
from worker.queue.delivery import Delivery, entries_of
from worker.queue.outcome import Commit, EntryWrite, EventWrite, HashWrite, JobWrite, ReplaceWrite, Write
from worker.queue.stream import JobStream

NEXT = {"kind": "assess", "lane": "assess", "payload": "{}"}


def follow_up(keys: Keys, job_id: str) -> Commit:
    """The commit of a job that queues an assessment."""
    writes: list[Write] = [
        EntryWrite(keys.lane(Lane.ASSESS), assess_job_id(job_id), "assess"),
        JobWrite(keys.job(assess_job_id(job_id)), NEXT),
    ]
    return Commit(FunctionResult(), tuple(writes))


async def test_a_commit_queues_its_follow_up_once(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    delivery = await start_one(stream)

    first = await stream.finish(delivery, commit=follow_up(keys, job_id))
    again = await stream.finish(delivery, commit=follow_up(keys, job_id))

    ((entry, fields),) = cast("list[Any]", await redis.xrange(keys.lane(Lane.ASSESS)))
    own = await job_fields(redis, keys, assess_job_id(job_id))
    assert (first, again) == ("committed", "already")
    assert fields == {b"id": assess_job_id(job_id).encode(), b"kind": b"assess"}
    assert own | NEXT == own
    assert (own["state"], own["entry"], own["fence"], own["attempt"]) == ("queued", entry.decode(), "0", "0")


async def test_a_lost_delivery_queues_nothing(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await steal(redis, keys, delivery, by="w2")

    assert await stream.finish(delivery, commit=follow_up(keys, job_id)) == "lost"

    assert await redis.xlen(keys.lane(Lane.ASSESS)) == 0
    assert await job_fields(redis, keys, assess_job_id(job_id)) == {}


async def test_a_follow_up_of_a_cancelled_job_is_cancelled_too_and_an_earlier_one_is_overwritten(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    own_id = assess_job_id(job_id)
    await cast("Any", redis).hset(keys.job(own_id), mapping={"state": "succeeded", "fence": "7", "progress": "old"})
    delivery = await start_one(stream)
    await client.cancel(job_id)

    await stream.finish(delivery, commit=follow_up(keys, job_id))

    own = await job_fields(redis, keys, own_id)
    assert (own["state"], own["fence"], "cancel_ms" in own, "progress" in own) == ("queued", "7", True, False)


async def test_a_result_is_replaced_only_if_it_is_still_the_one_that_was_read(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await redis.set(keys.result("scan"), b"old", ex=1_000)
    await cast("Any", redis).hset(keys.scan("there"), "job", "there")
    writes: tuple[Write, ...] = (
        ReplaceWrite(keys.result("scan"), b"old", "new"),
        HashWrite(keys.scan("there"), {"summary": "s"}, only_existing=True),
        HashWrite(keys.scan("pruned"), {"summary": "s"}, only_existing=True),
        EventWrite(keys.events, '{"event":"scan.assessed"}'),
    )
    for _ in range(2):  # the second time the result holds another text
        await submitted(client)
        delivery = await start_one(stream)
        assert await stream.finish(delivery, commit=Commit(FunctionResult(), writes)) == "committed"

    assert await redis.get(keys.result("scan")) == b"new"
    assert 0 < await redis.ttl(keys.result("scan")) <= 1_000
    assert await cast("Any", redis).hget(keys.scan("there"), "summary") == b"s"
    assert await redis.exists(keys.scan("pruned")) == 0
    assert [line for line in await events_of(redis, keys) if "scan.assessed" in line] == ['{"event":"scan.assessed"}']


async def test_a_result_that_has_expired_stays_so(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await submitted(client)
    delivery = await start_one(stream)
    writes = (ReplaceWrite(keys.result("gone"), b"old", "new"), EventWrite(keys.events, "{}"))

    assert await stream.finish(delivery, commit=Commit(FunctionResult(), writes)) == "committed"

    assert await redis.get(keys.result("gone")) is None
    assert len(await events_of(redis, keys)) == 1


async def test_a_retried_assessment_is_not_where_workers_of_an_earlier_release_look(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    """They would queue it on the batch lane, where they would kill it as a job of no known kind."""
    job_id = await submitted(client)
    await stream.finish(await start_one(stream), commit=follow_up(keys, job_id))
    ((entry_id, fields),) = (await redis.xreadgroup("workers", "w1", {keys.lane(Lane.ASSESS): ">"}))[0][1]
    entry = entries_of(Lane.ASSESS, [(entry_id, [item for pair in fields.items() for item in pair])])[0]
    delivery = await stream.start(entry, tries=3)
    assert isinstance(delivery, Delivery)

    await stream.retry(delivery, delay_s=0.0, error=BOOM)
    earlier = await redis.zcard(keys.scheduled)
    promoted = await stream.lanes.promote_due(limit=10)

    assert (earlier, promoted) == (0, 1)
    assert await redis.xlen(keys.lane(Lane.ASSESS)) == 1
