"""claim.lua and start.lua: the assignment of jobs, and the counts of a start."""

from __future__ import annotations

import json

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import Lane
from producer.contract.terms import SUBMITTED
from producer.keys import Keys
from tests.support.queue import claim_one, events_of, job_fields, open_stream, start_one, steal_entry, submitted
from worker.queue.delivery import Delivery, Entry, NotStarted
from worker.queue.stream import JobStream


async def test_claim_takes_interactive_first_and_batch_with_the_remaining_slots(client: Client, stream: JobStream):
    batch = [await submitted(client) for _ in range(3)]
    interactive = [await submitted(client, lane="interactive") for _ in range(2)]

    entries = await stream.claim(slots=4, for_batch=4, turns=0)

    assert [entry.job_id for entry in entries] == [*interactive, *batch[:2]]


async def test_claim_gives_batch_its_turns_before_interactive(client: Client, stream: JobStream):
    batch = [await submitted(client) for _ in range(2)]
    for _ in range(5):
        await submitted(client, lane="interactive")

    entries = await stream.claim(slots=2, for_batch=1, turns=1)

    assert [entry.lane for entry in entries] == [Lane.INTERACTIVE, Lane.BATCH]
    assert entries[1].job_id == batch[0]


async def test_claim_takes_no_batch_entry_without_a_batch_slot(client: Client, stream: JobStream):
    await submitted(client)

    assert await stream.claim(slots=1, for_batch=0, turns=0) == []


async def test_a_claim_starts_plain_jobs_with_the_tries_of_their_kind(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    plain = await submitted(client)
    last_attempt = (await client.submit("once", {})).job_id
    with_own_tries = (await client.submit("once", {}, tries=2)).job_id
    by_hand = await redis.xadd(keys.lane("batch"), {"kind": "add", "payload": "{}"})

    entries = await stream.claim(slots=4, for_batch=4, turns=0, tries=[3, "once", 1])

    assert [entry.job_id for entry in entries] == [plain, last_attempt, with_own_tries, f"batch-{by_hand.decode()}"]
    starts = [entry.start for entry in entries]
    assert [isinstance(start, Delivery) for start in starts] == [True, False, True, False]
    fields = [await job_fields(redis, keys, entry.job_id) for entry in entries]
    assert [(one.get("state"), one.get("attempt"), one.get("fence")) for one in fields] == [
        ("running", "1", "1"),
        ("queued", "0", "0"),
        ("running", "1", "1"),
        (None, None, None),
    ]
    started = starts[0]
    assert isinstance(started, Delivery)
    assert await stream.finish(started, commit=None) == "committed"


async def test_a_claim_with_a_lost_reply_costs_plain_jobs_an_attempt_and_no_job(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    await stream.claim(slots=1, for_batch=1, turns=0, tries=[3])  # and nobody gets the reply

    async with open_stream(redis, keys, consumer="w2") as other:
        _, (entry,) = await other.reclaim(Lane.BATCH, cursor="0-0", count=1, min_idle_ms=0)
        delivery = await other.start(entry, tries=3)

    assert isinstance(delivery, Delivery)
    assert (delivery.job_id, delivery.attempt, delivery.fence) == (job_id, 2, 2)


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


async def test_a_start_that_is_repeated_because_its_answer_was_lost_counts_once(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = await submitted(client)
    entry = await claim_one(stream)
    await stream.start(entry, tries=1)

    again = await stream.start(entry, tries=1, is_repeated=True)

    assert isinstance(again, Delivery)
    assert (again.attempt, again.fence, again.is_exhausted) == (1, 2, False)
    assert await stream.finish(again, commit=None) == "committed"
    assert (await job_fields(redis, keys, job_id))["state"] == "succeeded"


async def test_a_start_that_is_repeated_and_never_got_there_counts(client: Client, stream: JobStream):
    await submitted(client)
    entry = await claim_one(stream)

    first = await stream.start(entry, tries=1, is_repeated=True)

    assert isinstance(first, Delivery)
    assert (first.attempt, first.is_exhausted) == (1, False)


async def test_a_start_over_the_limit_stays_exhausted_however_often_it_is_repeated(client: Client, stream: JobStream):
    await submitted(client)
    entry = await claim_one(stream)
    for _ in range(2):
        await stream.start(entry, tries=1)

    for _ in range(2):
        again = await stream.start(entry, tries=1, is_repeated=True)

        assert isinstance(again, Delivery)
        assert again.is_exhausted


async def test_a_repeated_start_after_another_worker_s_counts(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    await submitted(client)
    entry = await claim_one(stream)
    await stream.start(entry, tries=3)
    async with open_stream(redis, keys, consumer="w2") as other:
        await steal_entry(redis, keys, entry.lane, entry.id, by="w2")

        second = await other.start(entry, tries=3, is_repeated=True)

    assert isinstance(second, Delivery)
    assert second.attempt == 2


async def test_start_reports_a_cancellation_from_before_the_run(client: Client, stream: JobStream):
    job_id = await submitted(client)
    first = await start_one(stream)
    await client.cancel(job_id)
    await stream.requeue(first)

    second = await start_one(stream)

    assert second.is_cancelled


async def test_entries_of_both_lanes_with_one_id_are_told_apart(stream: JobStream, redis: Redis, keys: Keys):
    for lane in SUBMITTED:
        await redis.xadd(keys.lane(lane), {"kind": "k", "payload": "{}"}, id="5-1")

    entries: list[Entry] = await stream.claim(slots=2, for_batch=2, turns=0)

    assert {entry.job_id for entry in entries} == {"interactive-5-1", "batch-5-1"}
