"""The blocking read of one lane starts the entry that it returns, and claims nothing that is not begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import JobState, Lane
from producer.keys import GROUP, Keys
from producer.redis.scripts import Arg
from tests.support.queue import DEADLINE_S, job_fields, open_stream, pending, until
from worker.queue.delivery import Delivery, Entry
from worker.queue.stream import JobStream


class ReadLane:
    """The batch lane as a worker reads it that knows of no entry, and what that has brought."""

    def __init__(self, redis: Redis, stream: JobStream) -> None:
        self.reader = stream.reader(Lane.BATCH, arrived=self._take)
        self.found: list[Entry] = []
        self._redis = redis

    async def read(self, *, newest: str = "0-0") -> bool:
        tries: list[Arg] = [3, "fragile", 1, "robust", 9]
        return await self.reader.read(newest=newest, tries=tries)

    async def reading(self, *, newest: str = "0-0") -> asyncio.Task[bool]:
        """Begin a read; return it once Redis holds it."""
        task = asyncio.create_task(self.read(newest=newest))
        await until(self._is_blocked, what="a blocked reader")
        return task

    @property
    def job_ids(self) -> list[str]:
        return [entry.job_id for entry in self.found]

    @property
    def deliveries(self) -> list[Delivery]:
        """What of it is started."""
        return [entry.start for entry in self.found if isinstance(entry.start, Delivery)]

    def _take(self, entries: list[Entry]) -> None:
        self.found += entries

    async def _is_blocked(self) -> bool:
        clients = await self._redis.client_list()
        return any(int(one["id"]) == self.reader._client_id and "b" in one["flags"] for one in clients)


@pytest.fixture
async def lane(redis: Redis, stream: JobStream) -> AsyncGenerator[ReadLane]:
    lane = ReadLane(redis, stream)
    yield lane
    await lane.reader.close()


# ---------------------------------------------------------------------------------------------- the connection


async def test_an_entry_is_delivered_started(redis: Redis, keys: Keys, client: Client, lane: ReadLane):
    read = await lane.reading()
    job = await client.submit("add", {"a": 1})

    assert await read is True
    (delivery,) = lane.deliveries
    assert (delivery.job_id, delivery.kind, delivery.lane) == (job.job_id, "add", Lane.BATCH)
    assert (delivery.attempt, delivery.tries, delivery.fence, delivery.payload) == (1, 3, 1, b'{"a":1}')
    assert (await job_fields(redis, keys, job.job_id))["state"] == "running"
    assert await pending(redis, keys) == 1


async def test_what_was_started_by_a_read_is_committed_as_any_other(
    redis: Redis,
    keys: Keys,
    client: Client,
    stream: JobStream,
    lane: ReadLane,
):
    job = await client.submit("add", {})
    await lane.read()

    assert await stream.finish(lane.deliveries[0], commit=None) == "committed"
    assert (await client.wait(job.job_id, timeout_s=DEADLINE_S)).state is JobState.SUCCEEDED
    assert await pending(redis, keys) == 0


async def test_a_blocking_read_is_released_on_request(lane: ReadLane):
    read = await lane.reading()
    await lane.reader.unblock()

    assert await read is False
    assert lane.found == []


async def test_reading_goes_on_after_a_lost_connection(redis: Redis, client: Client, lane: ReadLane):
    read = await lane.reading()
    await redis.client_kill_filter(_id=str(lane.reader._client_id))
    with pytest.raises(RedisConnectionError):
        await read
    job = await client.submit("add", {})

    assert await lane.read() is True
    assert lane.job_ids == [job.job_id]


async def test_an_answer_that_is_an_error_leaves_the_connection(
    redis: Redis, keys: Keys, client: Client, lane: ReadLane
):
    await redis.xgroup_destroy(keys.lane(Lane.BATCH), GROUP)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await lane.read()
    before = lane.reader._client_id
    await redis.xgroup_create(keys.lane(Lane.BATCH), GROUP, id="0", mkstream=True)
    job = await client.submit("add", {})

    assert await lane.read() is True
    assert lane.job_ids == [job.job_id]
    assert lane.reader._client_id == before


async def test_a_cancelled_read_takes_nothing_any_more(client: Client, stream: JobStream, lane: ReadLane):
    read = await lane.reading()
    read.cancel()
    await asyncio.gather(read, return_exceptions=True)
    await client.submit("add", {})

    assert len(await stream.claim(slots=1, for_batch=1, turns=0)) == 1
    assert lane.found == []


async def test_an_error_of_the_consumer_is_raised_by_the_read(
    redis: Redis, keys: Keys, client: Client, lane: ReadLane, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(lane.reader, "_arrived", fail)
    read = await lane.reading()
    await client.submit("add", {})

    with pytest.raises(LookupError, match="a bug"):
        await read
    assert await pending(redis, keys) == 1  # and so it is reclaimed


async def test_a_script_that_redis_has_forgotten_costs_one_start_its_head_start(
    redis: Redis, client: Client, lane: ReadLane
):
    await client.submit("add", {})
    await lane.read()
    await redis.script_flush()
    for _ in range(2):
        await client.submit("add", {})
        await lane.read()

    assert [entry.start is not None for entry in lane.found] == [True, False, True]


# ---------------------------------------------------------------------------------------------- start_read.lua


async def test_tries_are_those_of_the_job_its_function_or_the_worker(client: Client, lane: ReadLane):
    for kind, tries in (("robust", None), ("add", None), ("robust", 2)):
        await client.submit(kind, {}, tries=tries)
        await lane.read()

    assert [delivery.tries for delivery in lane.deliveries] == [9, 3, 2]


@pytest.mark.parametrize(("kind", "tries"), [("fragile", None), ("add", 1)])
async def test_the_last_attempt_is_left_to_a_worker_that_is_awake(
    kind: str,
    tries: int | None,
    redis: Redis,
    keys: Keys,
    client: Client,
    stream: JobStream,
    lane: ReadLane,
):
    job = await client.submit(kind, {}, tries=tries)
    await lane.read()

    entry, answer = lane.found[0], lane.found[0].start
    assert (entry.job_id, answer) == (job.job_id, None)
    assert (await job_fields(redis, keys, job.job_id))["attempt"] == "0"
    assert isinstance(await stream.start(entry, tries=1), Delivery)


async def test_an_entry_that_is_no_plain_job_is_not_started(redis: Redis, keys: Keys, client: Client, lane: ReadLane):
    cancelled = (await client.submit("add", {})).job_id
    await client.cancel(cancelled)  # as a client of the release before does, whose cancellation leaves the entry
    await cast("Any", redis).xadd(keys.lane(Lane.BATCH), {"id": cancelled, "kind": "add"})
    overwritten = (await client.submit("add", {})).job_id
    await redis.set(keys.job(overwritten), "in the way")
    gone = (await client.submit("add", {})).job_id
    await redis.delete(keys.job(gone))
    copied = (await client.submit("add", {}, lane="interactive")).job_id
    by_hand = {"kind": "add", "payload": "{}"}
    for fields in (by_hand, {"id": copied, "kind": "add"}, {"id": "../x", "kind": "add"}, {"id": copied}):
        await cast("Any", redis).xadd(keys.lane(Lane.BATCH), fields)
    before = await client.job(copied)
    for _ in range(7):
        await lane.read()

    assert lane.job_ids[:3] == [cancelled, overwritten, gone]
    assert [entry.start for entry in lane.found] == [None] * 7
    assert await redis.get(keys.job(overwritten)) == b"in the way"
    assert await redis.exists(keys.job(gone)) == 0
    assert await client.job(copied) == before


async def test_a_delivery_that_the_worker_already_has_is_not_started(
    redis: Redis, keys: Keys, client: Client, stream: JobStream, lane: ReadLane
):
    await client.submit("add", {})
    (claimed,) = await stream.claim(slots=1, for_batch=1, turns=0)
    read = await lane.reading(newest=claimed.id)
    await lane.reader.unblock()

    assert await read is False
    assert (await job_fields(redis, keys, claimed.job_id))["state"] == "queued"


async def test_a_claim_whose_answer_was_lost_is_found_by_the_next_read(
    client: Client, stream: JobStream, lane: ReadLane
):
    job = await client.submit("add", {})
    await stream.claim(slots=1, for_batch=1, turns=0)  # and nobody hears of it
    read = await lane.reading()
    await lane.reader.unblock()

    assert await read is True
    assert [delivery.job_id for delivery in lane.deliveries] == [job.job_id]


async def test_an_entry_of_another_worker_is_not_started(
    redis: Redis,
    keys: Keys,
    client: Client,
    stream: JobStream,
    lane: ReadLane,
):
    async with open_stream(redis, keys, consumer="w2") as other:
        for _ in range(2):
            await client.submit("add", {})
        theirs, lost = await other.claim(slots=2, for_batch=2, turns=0)
    await stream.reclaim(Lane.BATCH, cursor=lost.id, count=1, min_idle_ms=0)
    read = await lane.reading()
    await lane.reader.unblock()

    assert await read is False
    for entry in (theirs, lost):
        assert (await job_fields(redis, keys, entry.job_id))["state"] == "queued"
