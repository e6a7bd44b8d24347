"""Data of ended jobs in Redis is bounded by bytes: no payloads of jobs that cannot run, and few dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

import worker.queue.stream
from producer.client.client import Client
from producer.keys import Keys
from producer.stored.dead_letters import DeadLetters
from tests.support.finished_scans import leave_finished_scans
from tests.support.queue import BOOM, job_fields, start_one
from worker.memory.history.history import History
from worker.queue.delivery import Delivery
from worker.queue.stream import JobStream

PAGE = {"html": "<p>lorem ipsum</p>" * 5_000}
ENDS: dict[str, Callable[[Client, JobStream, Delivery], Awaitable[object]]] = {
    "succeeded": lambda _, stream, delivery: stream.finish(delivery, commit=None),
    "cancelled": lambda _, stream, delivery: stream.finish_cancelled(delivery),
    "dead": lambda _, stream, delivery: stream.bury(delivery, BOOM),
}


@pytest.mark.parametrize("end", ENDS)
async def test_an_ended_job_keeps_no_long_payload(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, end: str
):
    job_id = (await client.submit("add", PAGE, args=["x" * 3_000])).job_id

    await ENDS[end](client, stream, await start_one(stream))

    fields = await job_fields(redis, keys, job_id)
    assert fields["state"] == end
    assert not {"payload", "args"} & fields.keys()
    assert await redis.memory_usage(keys.job(job_id)) < 600  # in the small form again


async def test_a_job_cancelled_while_it_waits_keeps_no_long_payload(client: Client, redis: Redis, keys: Keys):
    job_id = (await client.submit("add", PAGE)).job_id

    await client.cancel(job_id)

    assert "payload" not in await job_fields(redis, keys, job_id)


async def test_a_dead_job_runs_again_with_its_long_payload(client: Client, stream: JobStream):
    await client.submit("add", PAGE)
    first = await start_one(stream)
    await stream.bury(first, BOOM)

    letters = DeadLetters(client)
    await letters.replay(await letters.find(first.job_id))

    assert (await start_one(stream)).payload == first.payload


async def test_a_short_payload_still_says_what_was_asked(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = (await client.submit("add", {"a": 7})).job_id

    await stream.finish(await start_one(stream), commit=None)

    assert (await job_fields(redis, keys, job_id))["payload"] == '{"a":7}'


async def test_html_scans_that_have_ended_leave_little_behind(
    redis: Redis, redis_url: str, keys: Keys, history: History
):
    await leave_finished_scans(redis_url, redis, history, count=20)

    sizes = {name: await bytes_of(redis, keys, name) / 20 for name in ("job:", "scan:", "components:", "events")}

    assert sizes["job:"] <= 320
    assert sizes["scan:"] <= 900
    assert sizes["components:"] <= 250
    assert sizes["events"] < 500


async def bytes_of(redis: Redis, keys: Keys, name: str) -> int:
    names = [key async for key in redis.scan_iter(match=f"{keys.prefix}{name}*")]
    return sum([await redis.memory_usage(key, samples=0) or 0 for key in names])


async def test_a_hash_with_many_fields_of_somebody_else_ends_as_any_other(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = (await client.submit("add", PAGE)).job_id
    await cast("Any", redis).hset(keys.job(job_id), mapping={f"mine {number}": "x" for number in range(9_000)})

    assert await stream.finish(await start_one(stream), commit=None) == "committed"

    assert await cast("Any", redis).hlen(keys.job(job_id)) > 9_000


async def test_dead_letters_are_bounded_by_bytes_and_the_newest_is_kept(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker.queue.stream, "DEAD_BYTES", 250_000)
    lengths: list[int] = []
    for number in range(4):
        await client.submit("add", PAGE, job_id=f"j{number}")
        lengths.append((await stream.bury(await start_one(stream), BOOM))[1])
    await redis.xadd(keys.lane("batch"), {"garbage": "x" * 90_000})
    (entry,) = await stream.claim(slots=1, for_batch=1, turns=0)
    lengths.append((await stream.reject(entry, BOOM))[1])

    kept = [letter.job_id async for letter in DeadLetters(client).newest_first()]

    assert kept == [entry.job_id, "j3"]
    assert lengths == [1, 2, worker.queue.stream.DEAD_CAP, worker.queue.stream.DEAD_CAP, worker.queue.stream.DEAD_CAP]
    assert (await redis.memory_usage(keys.dead, samples=0) or 0) < 250_000
