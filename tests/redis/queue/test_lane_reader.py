"""The blocking read of one lane: what arrives is begun in the callback, and nothing is taken that nobody begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from producer.client import Client
from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.support.queue import pending, until
from worker.entries import Entry
from worker.lane_reader import LaneReader
from worker.stream import Delivery, JobStream, started


class Arrivals(list[Entry]):
    """Takes what a reader brings, as a claimer does."""

    def __init__(self, stream: JobStream) -> None:
        super().__init__()
        self.stream = stream

    def __call__(self, reply: Sequence[Any]) -> None:
        self += self.stream.read(Lane.BATCH, reply)


@pytest.fixture
def arrivals(stream: JobStream) -> Arrivals:
    return Arrivals(stream)


@pytest.fixture
async def reader(redis: Redis, keys: Keys, arrivals: Arrivals) -> AsyncGenerator[LaneReader]:
    reader = LaneReader(redis, keys.lane(Lane.BATCH), consumer="w1", arrived=arrivals)
    yield reader
    await reader.close()


async def reading(redis: Redis, reader: LaneReader) -> asyncio.Task[bool]:
    """A read that Redis holds."""
    task = asyncio.create_task(reader.read())

    async def is_blocked() -> bool:
        clients = await redis.client_list()
        return any(int(one["id"]) == reader._client_id and "b" in one["flags"] for one in clients)

    await until(is_blocked, what="a blocked reader")
    return task


async def test_what_comes_is_handed_over(
    redis: Redis, keys: Keys, client: Client, reader: LaneReader, arrivals: Arrivals
):
    read = await reading(redis, reader)
    job = await client.submit("add", {"a": 1})

    assert await read is True
    assert [(entry.job_id, entry.kind, entry.lane) for entry in arrivals] == [(job.job_id, "add", Lane.BATCH)]
    assert await pending(redis, keys) == 1


async def test_the_start_is_on_its_way_before_any_task_has_woken(
    redis: Redis, keys: Keys, client: Client, stream: JobStream
):
    starts: list[tuple[Entry, asyncio.Future[Any]]] = []
    unsent: list[int] = []

    def arrived(reply: Sequence[Any]) -> None:
        starts.extend((entry, stream.begin_start(entry, tries=3)) for entry in stream.read(Lane.BATCH, reply))
        stream.send_starts()
        unsent.append(len(stream._starts._parts) + len(stream._pipe._packed))

    reader = LaneReader(redis, keys.lane(Lane.BATCH), consumer="w1", arrived=arrived)
    await client.submit("add", {})
    await stream.start((await stream.claim(places=1, for_batch=1, turns=0))[0], tries=3)  # the pipe is open
    read = await reading(redis, reader)
    await client.submit("add", {})
    await read
    await reader.close()

    assert unsent == [0]
    entry, reply = starts[0]
    assert isinstance(started(entry, await reply), Delivery)


async def test_it_comes_home_when_told(redis: Redis, reader: LaneReader, arrivals: Arrivals):
    read = await reading(redis, reader)
    await reader.unblock()

    assert await read is False
    assert arrivals == []


async def test_it_reads_again_after_a_lost_connection(
    redis: Redis, client: Client, reader: LaneReader, arrivals: Arrivals
):
    read = await reading(redis, reader)
    await redis.client_kill_filter(_id=str(reader._client_id))
    with pytest.raises(RedisConnectionError):
        await read
    job = await client.submit("add", {})

    assert await reader.read() is True
    assert [entry.job_id for entry in arrivals] == [job.job_id]


async def test_an_answer_that_is_an_error_leaves_the_connection(
    redis: Redis, keys: Keys, client: Client, reader: LaneReader, arrivals: Arrivals
):
    await redis.xgroup_destroy(keys.lane(Lane.BATCH), GROUP)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await reader.read()
    before = reader._client_id
    await redis.xgroup_create(keys.lane(Lane.BATCH), GROUP, id="0", mkstream=True)
    job = await client.submit("add", {})

    assert await reader.read() is True
    assert [entry.job_id for entry in arrivals] == [job.job_id]
    assert reader._client_id == before


async def test_a_cancelled_read_takes_nothing_any_more(
    redis: Redis, client: Client, stream: JobStream, reader: LaneReader, arrivals: Arrivals
):
    read = await reading(redis, reader)
    read.cancel()
    await asyncio.gather(read, return_exceptions=True)
    await client.submit("add", {})

    assert len(await stream.claim(places=1, for_batch=1, turns=0)) == 1
    assert arrivals == []


@pytest.mark.usefixtures("stream")
async def test_an_error_of_who_takes_it_is_raised_by_the_read(redis: Redis, keys: Keys, client: Client):
    def fail(_: Sequence[Any]) -> None:
        raise LookupError("a bug")

    reader = LaneReader(redis, keys.lane(Lane.BATCH), consumer="w1", arrived=fail)
    read = await reading(redis, reader)
    await client.submit("add", {})

    with pytest.raises(LookupError, match="a bug"):
        await read
    await reader.close()
    assert await pending(redis, keys) == 1  # and so it is reclaimed
