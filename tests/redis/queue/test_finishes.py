"""finish.lua: one step commits everything, and only for the delivery that holds the job."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import FunctionResult
from producer.keys import Keys
from tests.support.queue import DEADLINE_S, claim_one, events_of, job_fields, pending, start_one, steal, submitted
from worker.queue.delivery import Delivery
from worker.queue.outcome import Commit, CounterWrite, ExpiryWrite, FieldNeeded, HashWrite
from worker.queue.stream import JobStream


async def test_finish_commits_everything_in_one_step(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client, batch="b")
    await client.seal_batch("b")
    delivery = await start_one(stream)
    writes = (
        HashWrite(keys.scan("s1"), {"title": "Shop", "vector": b"\x00\x01"}, counter="times_seen"),
        HashWrite(keys.scan("s1"), {"title": "Shop"}, counter="times_seen"),
        CounterWrite(keys.site("example.org"), {"generation": 1, "scans": 2}),
        HashWrite(keys.shot("s1"), {"page": b"\xff\xd8\xff"}),
        ExpiryWrite(keys.shot("s1"), 60),
    )

    standing = await stream.finish(
        delivery, commit=Commit(FunctionResult(value=7), writes=writes, event={"url": "https://example.org/"})
    )

    result = json.loads(await redis.get(keys.result(job_id)))
    lines = [json.loads(line) for line in await events_of(redis, keys)]
    assert standing == "committed"
    assert (result["job_id"], result["state"], result["value"]) == (job_id, "succeeded", 7)
    assert await redis.hget(keys.scan("s1"), "vector") == b"\x00\x01"  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
    assert await redis.hget(keys.scan("s1"), "times_seen") == b"2"  # pyright: ignore[reportGeneralTypeIssues]  # the same
    assert await redis.hgetall(keys.site("example.org")) == {b"generation": b"1", b"scans": b"2"}  # pyright: ignore[reportGeneralTypeIssues]  # the same
    assert await client.shots("s1") == {"page": b"\xff\xd8\xff"}
    assert 0 < await redis.ttl(keys.shot("s1")) <= 60
    assert await redis.xlen(keys.lane("batch")) == 0
    assert await pending(redis, keys) == 0
    assert [line["event"] for line in lines] == ["job.succeeded", "batch.finished"]
    assert lines[0]["url"] == "https://example.org/"
    assert lines[0]["at_ms"] > 0
    assert (await client.batch("b")).succeeded == 1
    assert 0 < await redis.ttl(keys.job(job_id)) <= 7 * 86_400


async def test_finish_again_answers_already_and_changes_nothing(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await stream.finish(delivery, commit=None, value_json="1")

    again = await stream.finish(delivery, commit=None, value_json="2")

    assert again == "already"
    assert json.loads(await redis.get(keys.result(job_id)))["value"] == 1
    assert len(await events_of(redis, keys)) == 1


@pytest.mark.parametrize("goes", [True, False])
async def test_a_commit_that_needs_a_field_is_lost_without_it(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, *, goes: bool
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    needed = FieldNeeded(keys.job("helper"), "step", "3", goes=goes)
    commit = Commit(FunctionResult(value=7), writes=(HashWrite(keys.scan("s1"), {"title": "Shop"}), needed))

    without = await stream.finish(delivery, commit=commit)
    await cast("Any", redis).hset(keys.job("helper"), "step", "4")
    with_another = await stream.finish(delivery, commit=commit)
    written = await redis.exists(keys.scan("s1"), keys.result(job_id))
    await cast("Any", redis).hset(keys.job("helper"), mapping={"step": "3", "kind": "ask"})
    with_it = await stream.finish(delivery, commit=commit)

    assert (without, with_another, written, with_it) == ("lost", "lost", 0, "committed")
    assert await job_fields(redis, keys, "helper") == {"kind": "ask"} | ({} if goes else {"step": "3"})
    assert await redis.exists(keys.scan("s1"), keys.result(job_id)) == 2


async def test_the_live_channel_carries_the_same_line_as_the_stream(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    delivery = await start_one(stream)
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(keys.events_live)
        await listener.get_message(timeout=DEADLINE_S, ignore_subscribe_messages=False)

        await stream.finish(delivery, commit=None)
        message = await listener.get_message(timeout=DEADLINE_S)

    assert message is not None
    assert message["data"] == (await events_of(redis, keys))[0].encode()


async def test_finish_is_refused_once_another_consumer_holds_the_entry(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await steal(redis, keys, delivery, by="other")

    assert await stream.finish(delivery, commit=None) == "lost"
    assert not await redis.exists(keys.result(job_id))
    assert await events_of(redis, keys) == []


async def test_finish_is_refused_after_the_same_consumer_started_it_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    entry = await claim_one(stream)
    stale = await stream.start(entry, tries=3)
    fresh = await stream.start(entry, tries=3)
    assert isinstance(stale, Delivery)
    assert isinstance(fresh, Delivery)

    assert await stream.finish(stale, commit=None, value_json='"stale"') == "lost"
    assert await stream.finish(fresh, commit=None, value_json='"fresh"') == "committed"
    assert json.loads(await redis.get(keys.result(fresh.job_id)))["value"] == "fresh"


async def test_finish_is_refused_after_a_requeue_and_a_reclaim_by_the_same_name(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    stale = await start_one(stream)
    await stream.requeue(stale)
    fresh = await start_one(stream)

    assert await stream.finish(stale, commit=None, value_json='"stale"') == "lost"
    assert await stream.finish(fresh, commit=None, value_json='"fresh"') == "committed"
    assert len(await events_of(redis, keys)) == 1


@pytest.mark.parametrize("which", ["events", "history", "counter", "batch"])
async def test_finish_writes_nothing_where_a_key_has_the_wrong_type(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, which: str
):
    job_id = await submitted(client, batch="b")
    delivery = await start_one(stream)
    if which == "events":
        await redis.set(keys.events, "in the way")
    elif which == "history":
        await redis.set(keys.scan("s1"), "in the way")
    elif which == "batch":
        await redis.delete(keys.batch("b"))
        await redis.set(keys.batch("b"), "in the way")
    else:
        await redis.hset(keys.site("x"), "generation", "many")  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
    writes = (HashWrite(keys.scan("s1"), {"a": 1}), CounterWrite(keys.site("x"), {"generation": 1}))

    with pytest.raises(ResponseError, match="WRONGKEY"):
        await stream.finish(delivery, commit=Commit(FunctionResult(), writes=writes))

    assert not await redis.exists(keys.result(job_id))
    assert (await job_fields(redis, keys, job_id))["state"] == "running"
    assert await pending(redis, keys) == 1
