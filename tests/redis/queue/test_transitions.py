"""Each Lua script of the worker, as one transition: what it changes, and when it refuses."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client import Client
from producer.contract import ErrorInfo, FunctionResult, JobState, Lane
from producer.keys import GROUP, Keys
from tests.support.queue import claim_one, events_of, job_fields, open_stream, pending, start_one, steal, steal_entry
from worker.delivery import Delivery, NotStarted
from worker.entries import Entry
from worker.outcome import Commit, CounterWrite, ExpiryWrite, HashWrite
from worker.stream import JobStream

BOOM = ErrorInfo(type="Boom", message="it broke")


async def submitted(client: Client, **options: object) -> str:
    return (await client.submit("add", {"a": 1}, **options)).job_id  # pyright: ignore[reportArgumentType]  # test options


# ---------------------------------------------------------------------------------------------- claim


async def test_claim_takes_interactive_first_and_batch_with_the_places_left(client: Client, stream: JobStream):
    batch = [await submitted(client) for _ in range(3)]
    interactive = [await submitted(client, lane="interactive") for _ in range(2)]

    entries = await stream.claim(places=4, for_batch=4, turns=0)

    assert [entry.job_id for entry in entries] == [*interactive, *batch[:2]]


async def test_claim_gives_batch_its_turns_before_interactive(client: Client, stream: JobStream):
    batch = [await submitted(client) for _ in range(2)]
    for _ in range(5):
        await submitted(client, lane="interactive")

    entries = await stream.claim(places=2, for_batch=1, turns=1)

    assert [entry.lane for entry in entries] == [Lane.INTERACTIVE, Lane.BATCH]
    assert entries[1].job_id == batch[0]


async def test_claim_leaves_batch_alone_where_it_has_no_place(client: Client, stream: JobStream):
    await submitted(client)

    assert await stream.claim(places=1, for_batch=0, turns=0) == []


# ---------------------------------------------------------------------------------------------- start


async def test_start_counts_the_attempt_and_raises_the_fence(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)

    delivery = await start_one(stream)

    fields = await job_fields(redis, keys, job_id)
    assert (delivery.attempt, delivery.fence, delivery.tries) == (1, 1, 3)
    assert json.loads(delivery.payload) == {"a": 1}
    assert (fields["state"], fields["worker"], fields["attempt"]) == ("running", "w1", "1")


async def test_start_of_an_entry_added_by_hand_makes_the_job(stream: JobStream, redis: Redis, keys: Keys):
    entry_id = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": '{"url":"https://example.org/"}'})

    delivery = await start_one(stream)

    assert delivery.job_id == f"batch-{entry_id.decode()}"
    assert (await job_fields(redis, keys, delivery.job_id))["state"] == "running"


async def test_start_is_refused_to_a_consumer_that_does_not_hold_the_entry(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    await steal_entry(redis, keys, entry.lane, entry.id, by="other")

    answer = await stream.start(entry, tries=3)

    assert answer == NotStarted("lost")
    assert (await job_fields(redis, keys, job_id))["attempt"] == "0"


async def test_start_drops_the_entry_of_a_cancelled_job(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    await client.cancel(job_id)

    answer = await stream.start(entry, tries=3)

    assert answer == NotStarted("dropped")
    assert await redis.xlen(keys.lane("batch")) == 0
    assert len(await events_of(redis, keys)) == 1


async def test_start_says_when_there_is_neither_job_nor_payload(stream: JobStream, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane("batch"), {"id": "ghost", "kind": "scan"})

    assert await stream.start(await claim_one(stream), tries=3) == NotStarted("missing")


async def test_start_over_the_limit_is_exhausted_and_spends_nothing(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    for _ in range(2):
        assert isinstance(await stream.start(entry, tries=2), Delivery)

    third = await stream.start(entry, tries=2)

    assert isinstance(third, Delivery)
    assert third.is_exhausted
    assert (third.attempt, third.fence) == (2, 3)
    assert (await job_fields(redis, keys, job_id))["attempt"] == "2"


async def test_start_tells_of_a_cancellation_that_came_while_nobody_ran_the_job(client: Client, stream: JobStream):
    job_id = await submitted(client)
    first = await start_one(stream)
    await client.cancel(job_id)
    await stream.hand_back(first)

    second = await start_one(stream)

    assert second.is_cancelled


# ---------------------------------------------------------------------------------------------- finish


async def test_finish_commits_everything_in_one_step(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client, batch="b")
    await client.seal_batch("b")
    delivery = await start_one(stream)
    writes = (
        HashWrite(keys.scan("s1"), {"title": "Shop", "vector": b"\x00\x01"}),
        CounterWrite(keys.site("example.org"), "generation", 1),
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
    assert await redis.hget(keys.site("example.org"), "generation") == b"1"  # pyright: ignore[reportGeneralTypeIssues]  # the same
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


async def test_the_live_channel_carries_the_same_line_as_the_stream(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    delivery = await start_one(stream)
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(keys.events_live)
        await listener.get_message(timeout=2, ignore_subscribe_messages=False)

        await stream.finish(delivery, commit=None)
        message = await listener.get_message(timeout=5)

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


async def test_finish_is_refused_after_a_hand_back_and_a_reclaim_by_the_same_name(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    stale = await start_one(stream)
    await stream.hand_back(stale)
    fresh = await start_one(stream)

    assert await stream.finish(stale, commit=None, value_json='"stale"') == "lost"
    assert await stream.finish(fresh, commit=None, value_json='"fresh"') == "committed"
    assert len(await events_of(redis, keys)) == 1


@pytest.mark.parametrize("which", ["events", "history", "counter"])
async def test_finish_writes_nothing_where_a_key_has_the_wrong_type(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, which: str
):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    if which == "events":
        await redis.set(keys.events, "in the way")
    elif which == "history":
        await redis.set(keys.scan("s1"), "in the way")
    else:
        await redis.hset(keys.site("x"), "generation", "many")  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync
    writes = (HashWrite(keys.scan("s1"), {"a": 1}), CounterWrite(keys.site("x"), "generation", 1))

    with pytest.raises(ResponseError, match="WRONGKEY"):
        await stream.finish(delivery, commit=Commit(FunctionResult(), writes=writes))

    assert not await redis.exists(keys.result(job_id))
    assert (await job_fields(redis, keys, job_id))["state"] == "running"
    assert await pending(redis, keys) == 1


# ---------------------------------------------------------------------------------------------- retry, promote


async def test_retry_schedules_and_keeps_the_attempt_spent(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = await submitted(client)
    delivery = await start_one(stream)

    standing = await stream.retry(delivery, delay_s=60, error=BOOM)

    fields = await job_fields(redis, keys, job_id)
    assert standing == "committed"
    assert (fields["state"], fields["attempt"]) == ("scheduled", "1")
    assert json.loads(fields["error"]) == {"type": "Boom", "message": "it broke"}
    assert await redis.xlen(keys.lane("batch")) == 0
    assert await stream.retry(delivery, delay_s=60, error=BOOM) == "already"


async def test_retry_of_a_cancelled_job_does_not_wait(client: Client, stream: JobStream):
    job_id = await submitted(client)
    delivery = await start_one(stream)
    await client.cancel(job_id)

    await stream.retry(delivery, delay_s=60, error=BOOM)

    assert await stream.lanes.promote_due(limit=10) == 1
    assert (await start_one(stream)).is_cancelled


async def test_a_due_job_is_promoted_once_and_an_early_one_is_not(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    early = await submitted(client, defer_s=60)
    due = await submitted(client, defer_s=60)
    await redis.zadd(keys.scheduled, {due: 1})

    promoted = [await stream.lanes.promote_due(limit=10), await stream.lanes.promote_due(limit=10)]

    assert promoted == [1, 0]
    assert (await claim_one(stream)).job_id == due
    assert await redis.zscore(keys.scheduled, early) is not None


async def test_a_leftover_on_the_scheduled_set_is_cleared_away(stream: JobStream, redis: Redis, keys: Keys):
    await redis.zadd(keys.scheduled, {"ghost": 1})

    assert await stream.lanes.promote_due(limit=10) == 0
    assert await redis.zcard(keys.scheduled) == 0


async def test_what_is_no_job_on_the_scheduled_set_stops_no_job_behind_it(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await redis.set(keys.job("broken"), "not a hash")
    await redis.zadd(keys.scheduled, cast("Any", {"broken": 1, b"\xff\xfe": 2, "a,b": 3}))
    due = await submitted(client, defer_s=60)
    await redis.zadd(keys.scheduled, {due: 4})

    assert await stream.lanes.promote_due(limit=10) == 1
    assert (await claim_one(stream)).job_id == due
    assert await redis.zcard(keys.scheduled) == 0


# ---------------------------------------------------------------------------------------------- hand back, bury, reject


async def test_hand_back_returns_the_attempt_and_queues_the_job_again(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    delivery = await start_one(stream)

    assert await stream.hand_back(delivery) == "committed"
    assert await stream.hand_back(delivery) == "already"

    fields = await job_fields(redis, keys, job_id)
    again = await start_one(stream)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert (again.job_id, again.attempt, again.fence) == (job_id, 1, 2)


async def test_bury_keeps_the_job_and_its_reason_and_tells_who_waits(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client, batch="b")
    delivery = await start_one(stream)

    standing, length = await stream.bury(delivery, BOOM)

    rows = await redis.xrange(keys.dead)
    result = await client.wait(job_id, timeout_s=5)
    assert (standing, length) == ("committed", 1)
    assert rows[0][1][b"id"].decode() == job_id
    assert rows[0][1][b"reason"] == b"it broke"
    assert json.loads(rows[0][1][b"payload"]) == {"a": 1}
    assert result.state is JobState.DEAD
    assert result.error == BOOM
    assert (await client.batch("b")).dead == 1
    assert await redis.xlen(keys.lane("batch")) == 0


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


# ---------------------------------------------------------------------------------------------- progress, upkeep


async def test_progress_is_noted_for_the_holder_only(client: Client, stream: JobStream):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    stale = await stream.start(entry, tries=3)
    fresh = await stream.start(entry, tries=3)
    assert isinstance(stale, Delivery)
    assert isinstance(fresh, Delivery)

    noted = [await stream.note_progress(fresh, "audit"), await stream.note_progress(stale, "too late")]

    assert noted == [True, False]
    assert (await client.job(job_id)).progress == "audit"


async def test_a_silent_consumers_entries_are_taken_over_and_fresh_ones_are_not(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    async with open_stream(redis, keys, consumer="gone") as gone:
        await start_one(gone)

    _, fresh = await stream.reclaim(Lane.BATCH, cursor="0-0", count=10, min_idle_ms=60_000)
    _, silent = await stream.reclaim(Lane.BATCH, cursor="0-0", count=10, min_idle_ms=0)

    assert fresh == []
    assert len(silent) == 1
    second = await stream.start(silent[0], tries=3)
    assert isinstance(second, Delivery)
    assert second.attempt == 2


async def test_only_consumers_that_hold_nothing_are_removed(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    async with open_stream(redis, keys, consumer="holder") as holder:
        await start_one(holder)
    async with open_stream(redis, keys, consumer="idle") as idle:
        await idle.claim(places=1, for_batch=1, turns=0)

    removed = await stream.lanes.reap_consumers(idle_ms=0)

    names = {info["name"] for info in await redis.xinfo_consumers(keys.lane("batch"), GROUP)}
    assert removed >= 1
    assert b"holder" in names
    assert b"idle" not in names


async def test_entries_of_both_lanes_with_one_id_are_told_apart(stream: JobStream, redis: Redis, keys: Keys):
    for lane in Lane:
        await redis.xadd(keys.lane(lane), {"kind": "k", "payload": "{}"}, id="5-1")

    entries: list[Entry] = await stream.claim(places=2, for_batch=2, turns=0)

    assert {entry.job_id for entry in entries} == {"interactive-5-1", "batch-5-1"}
