"""Repeated submissions and recreated groups queue jobs only once."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import GROUP, Keys
from producer.redis.scripts import load_script, run_script
from tests.support.queue import claim_one, job_fields, start_one, submitted
from worker.queue.stream import JobStream


async def test_a_submission_that_is_sent_again_is_the_first_one_and_any_other_a_duplicate(redis: Redis, keys: Keys):
    async def submit(nonce: str) -> list[bytes]:
        names = [keys.job("j1"), keys.lane("batch"), keys.scheduled]
        args = ("j1", "add", "batch", "{}", "", 0, 0, "", nonce, 10, 0, 0, 0, "0")
        return await run_script(redis, load_script("producer.client", "submit"), names, args)

    assert await submit("mine") == [b"created"]
    assert await submit("mine") == [b"created"]
    assert await submit("another's") == [b"duplicate", b"queued"]
    assert await submit("") == [b"duplicate", b"queued"]
    assert await redis.xlen(keys.lane("batch")) == 1
    assert "seen_ms" in await job_fields(redis, keys, "j1")


async def test_a_group_that_is_made_again_queues_no_job_that_has_its_entry(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    waiting, running, deferred = [await submitted(client), await submitted(client), await submitted(client, defer_s=60)]
    by_hand = await cast("Any", redis).xadd(keys.lane("batch"), {"kind": "add", "payload": '{"a": 1}'})
    started = {(await start_one(stream)).job_id for _ in range(3)}
    await redis.xgroup_destroy(keys.lane("batch"), GROUP)

    made = await stream.lanes.ensure_groups()

    assert started == {waiting, running, f"batch-{by_hand.decode()}"}
    assert made == {Lane.BATCH: 0}
    assert await redis.xlen(keys.lane("batch")) == 3
    assert (await job_fields(redis, keys, deferred))["state"] == "scheduled"


async def test_a_job_queued_again_is_known_by_its_new_entry(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    await start_one(stream)
    await redis.delete(keys.lane("batch"))
    await stream.lanes.ensure_groups()

    entry = await claim_one(stream)
    fields = await job_fields(redis, keys, job_id)
    assert (entry.job_id, entry.kind) == (job_id, "add")
    assert (fields["state"], fields["entry"]) == ("queued", entry.id)
