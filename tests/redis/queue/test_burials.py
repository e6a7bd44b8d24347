"""bury.lua and reject.lua: entries of the dead-letter stream."""

from __future__ import annotations

import json

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from tests.support.queue import BOOM, DEADLINE_S, claim_one, start_one, steal, steal_entry, submitted
from worker.queue.stream import JobStream


async def test_bury_keeps_the_job_and_its_reason_and_notifies_waiters(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client, batch="b")
    delivery = await start_one(stream)

    standing, length = await stream.bury(delivery, BOOM)

    rows = await redis.xrange(keys.dead)
    result = await client.wait(job_id, timeout_s=DEADLINE_S)
    assert (standing, length) == ("committed", 1)
    assert rows[0][1][b"id"].decode() == job_id
    assert rows[0][1][b"reason"] == b"it broke"
    assert json.loads(rows[0][1][b"payload"]) == {"a": 1}
    assert result.state is JobState.DEAD
    assert result.error == BOOM
    assert (await client.batch("b")).dead == 1
    assert await redis.xlen(keys.lane("batch")) == 0


async def test_a_job_whose_result_is_not_kept_leaves_no_letter(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)

    standing, length = await stream.bury(await start_one(stream), BOOM, result_ttl_s=-1)

    assert (standing, length) == ("committed", 0)
    assert not await redis.exists(keys.dead)


async def test_bury_is_refused_to_a_stale_delivery(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await submitted(client)
    delivery = await start_one(stream)
    await steal(redis, keys, delivery, by="other")

    assert (await stream.bury(delivery, BOOM))[0] == "lost"
    assert await redis.xlen(keys.dead) == 0


async def test_reject_keeps_garbage_as_it_came_cut_to_a_sane_size(stream: JobStream, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {b"\xff\xfe": b"\x00" * 300_000, "kind": "scan"})
    entry = await claim_one(stream)

    standing, _ = await stream.reject(entry, BOOM)

    fields = (await redis.xrange(keys.dead))[0][1]
    value = fields[b"raw:\xff\xfe"]
    assert standing == "committed"
    assert value.startswith(b"\x00" * 100_000)
    assert value.endswith(b"it had 300000 bytes")
    assert await redis.xlen(keys.lane("batch")) == 0
    assert json.loads(await redis.get(keys.result(entry.job_id)))["state"] == "dead"


async def test_reject_is_refused_for_an_entry_somebody_else_holds(stream: JobStream, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {"kind": "x"})
    entry = await claim_one(stream)
    await steal_entry(redis, keys, entry.lane, entry.id, by="other")

    assert (await stream.reject(entry, BOOM))[0] == "lost"
    assert await redis.xlen(keys.lane("batch")) == 1


async def test_reject_hides_a_password_and_nothing_else_that_is_written_with_an_at_sign(
    stream: JobStream, redis: Redis, keys: Keys
):
    await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": "//me:secret@shop.example/a/b@c and /d/e@f"})

    await stream.reject(await claim_one(stream), BOOM)

    assert (await redis.xrange(keys.dead))[0][1][b"payload"].decode() == "//…@shop.example/a/b@c and /d/e@f"
