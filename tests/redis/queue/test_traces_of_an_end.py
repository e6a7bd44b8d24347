"""The data that the end of a delivery leaves in Redis: every field, TTL, event, count and dead letter."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import Keys
from tests.support.queue import BOOM, DEADLINE_S, claim_one, events_of, job_fields, pending, start_one, submitted
from worker.queue.delivery import Delivery
from worker.queue.stream import KEEP_FINISHED_S, MAX_DEAD_VALUE_BYTES, JobStream

RESULT_TTL_S: Final = 3600
"""Of the stream fixture."""
PAGE: Final = {"url": "https://example.org/account"}
SECRETS: Final = {"headers": {"Authorization": "Bearer s3cret"}}

End = Callable[[Client, JobStream, str], Awaitable[object]]


async def succeed(_: Client, stream: JobStream, __: str) -> object:
    return await stream.finish(await start_one(stream), commit=None)


async def cancel_running(client: Client, stream: JobStream, job_id: str) -> object:
    delivery = await start_one(stream)
    await client.cancel(job_id)
    return await stream.finish_cancelled(delivery)


async def cancel_waiting(client: Client, _: JobStream, job_id: str) -> object:
    return await client.cancel(job_id)


async def bury(_: Client, stream: JobStream, __: str) -> object:
    return await stream.bury(await start_one(stream), BOOM)


@asynccontextmanager
async def heard(redis: Redis, keys: Keys, count: int) -> AsyncGenerator[list[str]]:
    """The first ``count`` lines that are published while the body runs; they are there after it."""
    lines: list[str] = []
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(keys.events_live)
        await listener.get_message(timeout=DEADLINE_S, ignore_subscribe_messages=False)
        yield lines
        async with asyncio.timeout(DEADLINE_S):
            while len(lines) < count:
                message: dict[str, Any] | None = await listener.get_message(timeout=DEADLINE_S)
                lines += [message["data"].decode()] if message else []


@pytest.mark.parametrize(
    ("end", "state"),
    [(succeed, "succeeded"), (cancel_running, "cancelled"), (cancel_waiting, "cancelled"), (bury, "dead")],
)
async def test_an_ended_job_leaves_its_records_and_no_pending_work(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, end: End, state: str
):
    before_ms = int(time.time() * 1000)
    job_id = (await client.submit("scan", PAGE, batch="b", secrets=SECRETS)).job_id
    await client.seal_batch("b")
    async with heard(redis, keys, 2) as lines:
        await end(client, stream, job_id)

    fields, batch = await job_fields(redis, keys, job_id), await client.batch("b")
    published = [json.loads(line) for line in lines]
    assert lines == await events_of(redis, keys)
    assert [line["event"] for line in published] == [f"job.{state}", "batch.finished"]
    assert published[0]["at_ms"] == published[1]["at_ms"] == batch.finished_ms == int(fields["finished_ms"])
    assert before_ms <= int(fields["finished_ms"]) <= time.time() * 1000 + 1
    assert {name: published[1][name] for name in ("total", "succeeded", "cancelled", "dead")} == {
        "total": 1, "succeeded": 0, "cancelled": 0, "dead": 0, state: 1,
    }  # fmt: skip
    assert fields["state"] == state
    assert (batch.total, batch.done, getattr(batch, state)) == (1, 1, 1)
    assert json.loads(cast("bytes", await redis.get(keys.result(job_id))))["state"] == state
    assert not await redis.exists(keys.secret(job_id))
    assert await ttls(redis, keys.job(job_id), keys.batch("b")) == [KEEP_FINISHED_S, KEEP_FINISHED_S]
    result_ttl_s = client.settings.result_ttl_s if end is cancel_waiting else RESULT_TTL_S
    assert await ttls(redis, keys.result(job_id)) == [result_ttl_s]
    assert await pending(redis, keys) == 0
    assert await redis.xlen(keys.lane("batch")) == 0


async def test_a_dead_letter_holds_all_that_a_replay_needs(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = (await client.submit("scan", PAGE, batch="b", secrets=SECRETS, tries=2)).job_id

    await stream.bury(await start_one(stream), BOOM)

    ((_, letter),) = await redis.xrange(keys.dead)
    assert json.loads(letter.pop(b"payload"))["url"] == PAGE["url"]
    assert {name.decode(): value.decode() for name, value in letter.items()} == {
        "id": job_id, "kind": "scan", "lane": "batch", "attempts": "1", "tries": "2", "error": "Boom",
        "reason": "it broke", "batch": "b", "worker": "w1", "args": "", "secrets": "1",
    }  # fmt: skip
    assert (await job_fields(redis, keys, job_id))["error"] == "it broke"


async def test_garbage_is_buried_with_its_first_32_fields_each_cut_to_its_limit(
    stream: JobStream, redis: Redis, keys: Keys
):
    whole, cut = b"w" * MAX_DEAD_VALUE_BYTES, b"c" * (MAX_DEAD_VALUE_BYTES + 1)
    given = {"kind": "k", "whole": whole, "cut": cut, "n" * 201: b"1", **{f"f{n}": b"x" for n in range(40)}}
    await redis.xadd(keys.lane("batch"), cast("Any", given))
    entry = await claim_one(stream)
    async with heard(redis, keys, 1) as lines:
        assert await stream.reject(entry, BOOM) == ("committed", 1)

    ((_, letter),) = await redis.xrange(keys.dead)
    event = json.loads(lines[0])
    assert letter.pop(b"raw:whole") == whole
    assert letter.pop(b"raw:cut") == cut[:-1] + f"… cut, it had {len(cut)} bytes".encode()
    assert {name.decode(): value.decode() for name, value in letter.items()} == {
        "id": f"batch-{entry.id}", "lane": "batch", "attempts": "0", "error": "Boom", "reason": "it broke",
        "worker": "w1", "kind": "k", "raw:" + "n" * 200: "1", **{f"raw:f{n}": "x" for n in range(28)},
    }  # fmt: skip
    assert lines == await events_of(redis, keys)
    assert (event["event"], event["job_id"], event["state"]) == ("job.rejected", entry.job_id, "dead")
    assert await ttls(redis, keys.result(entry.job_id)) == [RESULT_TTL_S]
    assert await pending(redis, keys) == 0


@pytest.mark.parametrize(("is_returned", "attempt"), [(False, "1"), (True, "0")])
async def test_a_job_to_be_retried_waits_for_its_time_and_says_so(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, *, is_returned: bool, attempt: str
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await stream.note_progress(delivery, "half-way")
    async with heard(redis, keys, 1) as lines:
        await stream.retry(delivery, delay_s=60, error=BOOM, attempt_returned=is_returned)

    fields, event = await job_fields(redis, keys, job_id), json.loads(lines[0])
    assert lines == await events_of(redis, keys)
    assert (event["event"], event["delay_ms"]) == ("job.retried", 60_000)
    assert await redis.zscore(keys.scheduled, job_id) == event["at_ms"] + 60_000
    assert (fields["state"], fields["entry"], fields["attempt"]) == ("scheduled", "", attempt)
    assert not {"worker", "progress"} & set(fields)
    assert await pending(redis, keys) == 0


async def test_a_job_that_is_requeued_has_one_entry_and_no_trace_of_its_worker(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await stream.note_progress(delivery, "half-way")

    await stream.requeue(delivery)

    ((entry, about),) = await redis.xrange(keys.lane("batch"))
    fields = await job_fields(redis, keys, job_id)
    assert about == {b"id": job_id.encode(), b"kind": b"add"}
    assert (fields["state"], fields["entry"]) == ("queued", entry.decode())
    assert not {"worker", "progress"} & set(fields)
    assert await pending(redis, keys) == 0


async def test_a_delivery_over_its_tries_gives_no_attempt_back(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    await stream.start(entry, tries=1)
    exhausted = await stream.start(entry, tries=1)
    assert isinstance(exhausted, Delivery)

    await stream.requeue(exhausted)

    assert (await job_fields(redis, keys, job_id))["attempt"] == "1"


async def test_a_deferred_job_is_promoted_to_its_own_lane(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client, lane="interactive", defer_s=60)
    await redis.zadd(keys.scheduled, {job_id: 1})

    assert await stream.lanes.promote_due(limit=10) == 1

    entry = await claim_one(stream, Lane.INTERACTIVE)
    fields = await job_fields(redis, keys, job_id)
    assert (entry.job_id, entry.kind) == (job_id, "add")
    assert (fields["state"], fields["entry"]) == ("queued", entry.id)


async def ttls(redis: Redis, *names: str) -> list[int]:
    """The times to live in s, to the next full minute."""
    return [-(-await redis.ttl(name) // 60) * 60 for name in names]
