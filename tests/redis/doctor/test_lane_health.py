"""The doctor's lines about the queue's streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from tests.support.queue import open_stream, start_one, steal, submitted
from worker.doctor.lane_health import LaneFacts, lane_lines, read_lanes
from worker.doctor.line import Level
from worker.queue.stream import JobStream


@pytest.fixture
async def stream(redis: Redis, keys: Keys) -> AsyncGenerator[JobStream]:
    async with open_stream(redis, keys) as stream:
        yield stream


async def test_healthy_streams_are_reported_as_healthy(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await submitted(client)
    await start_one(stream)
    await submitted(client)

    facts = await read_lanes(redis, keys)

    assert facts == LaneFacts()
    assert [line.level for line in lane_lines(facts)] == [Level.OK]


async def test_a_job_without_an_entry_is_named(client: Client, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    await redis.xtrim(keys.lane("batch"), maxlen=0, approximate=False)

    (line,) = lane_lines(await read_lanes(redis, keys))

    assert (line.level, line.text) == (Level.WARNING, f"1 job without an entry, such as {job_id!r}")


@pytest.mark.usefixtures("stream")
async def test_a_job_that_the_group_was_moved_past_is_named(client: Client, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    await redis.xgroup_setid(keys.lane("batch"), "workers", "$")

    assert (await read_lanes(redis, keys)).lost == (job_id,)


async def test_a_stream_at_its_last_id_is_an_error_that_names_it(redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {"a": "b"}, id=f"{2**64 - 1}-{2**64 - 1}")

    (line,) = lane_lines(await read_lanes(redis, keys))

    assert line.level is Level.ERROR
    assert keys.lane("batch") in line.text
    assert keys.lane("batch") in line.todo


async def test_entries_not_renewed_for_ten_minutes_are_counted(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    delivery = await start_one(stream)
    await steal(redis, keys, delivery, by="gone")
    await redis.xclaim(keys.lane("batch"), "workers", "gone", 0, [delivery.entry], idle=700_000, justid=True)

    (line,) = lane_lines(await read_lanes(redis, keys))

    assert line.text == "1 entry held for ten minutes by workers that are gone"
