"""submit.lua, seal.lua and cancel.lua, through the client, on a real Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client import cancellation
from producer.client.client import Client
from producer.client.submission import prepare
from producer.client.submitter import PIPELINED, READ_AT_ONCE
from producer.contract import JobState, Lane
from producer.errors import InvalidJob, JobTooLarge, QueueFull, UnknownJob
from producer.keys import Keys
from producer.redis import script_pipe
from tests.support.queue import DEADLINE_S, events_of, job_fields, settings_for, start_one
from tests.support.redis_server import StartServer
from worker.queue.stream import JobStream


async def test_a_submitted_job_is_in_its_lane_and_has_a_hash(client: Client, redis: Redis, keys: Keys):
    job = await client.submit("scan", {"url": "https://example.org/"})

    fields = await job_fields(redis, keys, job.job_id)
    assert job.created
    assert await redis.xlen(keys.lane("batch")) == 1
    assert (fields["state"], fields["kind"], fields["lane"], fields["attempt"]) == ("queued", "scan", "batch", "0")
    assert json.loads(fields["payload"])["url"] == "https://example.org/"


async def test_queries_go_to_the_interactive_lane_unless_told_otherwise(client: Client, redis: Redis, keys: Keys):
    await client.submit("query", {"question": "Which page is worst?"})
    await client.submit("query", {"question": "Which page is worst?"}, lane=Lane.BATCH)

    assert await redis.xlen(keys.lane("interactive")) == 1
    assert await redis.xlen(keys.lane("batch")) == 1


async def test_a_second_job_of_the_same_id_is_refused_and_leaves_a_trace(client: Client, redis: Redis, keys: Keys):
    await client.submit("scan", {"url": "https://example.org/1"}, job_id="nightly-1")

    second = await client.submit("scan", {"url": "https://example.org/2"}, job_id="nightly-1")

    fields = await job_fields(redis, keys, "nightly-1")
    assert not second.created
    assert await redis.xlen(keys.lane("batch")) == 1
    assert json.loads(fields["payload"])["url"] == "https://example.org/1"
    assert int(fields["seen_ms"]) >= int(fields["enqueued_ms"])


async def test_a_job_is_as_old_as_its_entry(client: Client, redis: Redis, keys: Keys):
    job = await client.submit("scan", {"url": "https://example.org/"}, batch="night")

    fields = await job_fields(redis, keys, job.job_id)
    ((entry, _),) = await redis.xrange(keys.lane("batch"))
    assert fields["entry"] == entry.decode()
    assert f"{fields['enqueued_ms']}-" == fields["entry"].removesuffix("0")
    assert await cast("Any", redis).hget(keys.batch("night"), "created_ms") == fields["enqueued_ms"].encode()


async def test_a_redis_of_which_more_than_85_percent_are_in_use_refuses_jobs(redis_server: StartServer, keys: Keys):
    url = redis_server().url
    async with Client(settings_for(url, keys)) as client, Redis.from_url(url) as redis:
        await redis.setrange("ballast", 20_000_000, b"x")
        used_bytes = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", int(used_bytes / 0.9))

        with pytest.raises(QueueFull, match=r"Redis uses \d\d% of its maxmemory .*: nothing was queued"):
            await client.submit("add", {})

        assert not await redis.exists(keys.lane("batch"))


async def test_a_full_lane_refuses_and_writes_nothing(redis_url: str, redis: Redis, keys: Keys):
    async with Client(settings_for(redis_url, keys, backlog_limit=2)) as client:
        for _ in range(2):
            await client.submit("scan", {"url": "https://example.org/"})

        with pytest.raises(QueueFull, match="holds 2 jobs, and the limit is 2"):
            await client.submit("scan", {"url": "https://example.org/"}, job_id="third")

    assert await redis.xlen(keys.lane("batch")) == 2
    assert not await redis.exists(keys.job("third"))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"url": "not a url"}, "http"),
        ({"url": "file:///etc/passwd"}, "http"),
        ({}, "exactly one of url and html"),
        ({"url": "https://example.org/", "standard": "wcag9"}, "standard"),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused_in_one_line(client: Client, payload: dict[str, str], said: str):
    with pytest.raises(InvalidJob, match=said) as caught:
        await client.submit("scan", payload)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("payload", [["https://example.org/"], "text", None])
async def test_a_kind_of_your_own_takes_objects_only(client: Client, redis: Redis, payload: Any):
    with pytest.raises(InvalidJob, match=f"mine: the payload is a {type(payload).__name__}: expected a dict"):
        await client.submit("mine", payload, job_id="odd")

    assert not await redis.keys("*odd*")


async def test_a_payload_over_the_limit_is_refused(client: Client):
    with pytest.raises(JobTooLarge, match="1000000"):
        await client.submit("scan", {"html": "x" * 1_000_001})


@pytest.mark.parametrize("job_id", ["", "a:b", "ü", "../etc", "a" * 129])
async def test_an_id_that_cannot_be_a_key_part_is_refused(client: Client, job_id: str):
    with pytest.raises(InvalidJob, match="job id"):
        await client.submit("scan", {"url": "https://example.org/"}, job_id=job_id)


async def test_a_delayed_job_waits_on_the_scheduled_set(client: Client, redis: Redis, keys: Keys):
    job = await client.submit("scan", {"url": "https://example.org/"}, defer_s=60)

    assert await redis.xlen(keys.lane("batch")) == 0
    assert await redis.zscore(keys.scheduled, job.job_id) is not None
    assert (await client.job(job.job_id)).state is JobState.SCHEDULED


async def test_an_empty_batch_is_finished_when_it_is_sealed(client: Client, redis: Redis, keys: Keys):
    info = await client.seal_batch("none", create=True)

    assert info.sealed
    assert info.finished_ms
    assert [json.loads(line)["event"] for line in await events_of(redis, keys)] == ["batch.finished"]


async def test_sealing_twice_announces_the_end_once(client: Client, redis: Redis, keys: Keys):
    await client.seal_batch("none", create=True)
    await client.seal_batch("none", create=True)

    assert len(await events_of(redis, keys)) == 1


async def test_a_sealed_batch_takes_no_more_jobs(client: Client):
    await client.seal_batch("closed", create=True)

    with pytest.raises(InvalidJob, match="is closed"):
        await client.submit("scan", {"url": "https://example.org/"}, batch="closed")


async def test_sealing_a_batch_nobody_made_is_an_error(client: Client):
    with pytest.raises(UnknownJob, match="nowhere"):
        await client.seal_batch("nowhere")


async def test_a_queued_job_is_cancelled_at_once(client: Client, redis: Redis, keys: Keys):
    job = await client.submit("scan", {"url": "https://example.org/"}, batch="b")
    await client.seal_batch("b")

    state = await client.cancel(job.job_id)

    result = await client.wait(job.job_id, timeout_s=DEADLINE_S)
    names = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert state is JobState.CANCELLED
    assert result.error is not None
    assert result.error.type == "JobCancelled"
    assert names == ["job.cancelled", "batch.finished"]
    assert (await client.batch("b")).cancelled == 1


async def test_a_scheduled_job_is_cancelled_at_once(client: Client, redis: Redis, keys: Keys):
    job = await client.submit("scan", {"url": "https://example.org/"}, defer_s=60)

    assert await client.cancel(job.job_id) is JobState.CANCELLED
    assert await redis.zcard(keys.scheduled) == 0


async def test_a_running_job_is_marked_and_a_finished_one_is_left_alone(client: Client, stream: JobStream):
    job = await client.submit("add", {"a": 1})
    delivery = await start_one(stream)

    while_running = await client.cancel(job.job_id)
    await stream.finish(delivery, commit=None)
    afterwards = await client.cancel(job.job_id)

    assert (while_running, afterwards) == (JobState.RUNNING, JobState.SUCCEEDED)


async def test_cancelling_what_does_not_exist_is_an_error(client: Client):
    with pytest.raises(UnknownJob, match="nobody"):
        await client.cancel("nobody")


async def test_a_batch_is_cancelled_whole_some_at_a_time_and_others_are_left_alone(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cancellation, "TOGETHER", 2)
    mine = [job.job_id async for job in client.submit_many("add", ({"n": n} for n in range(6)), batch="mine")]
    delivery = await start_one(stream)
    other = await client.submit("add", {"n": 9}, batch="other")
    await client.seal_batch("mine")

    states = await client.cancel_batch("mine")
    again = await client.cancel_batch("mine")
    told = "cancel_ms" in await job_fields(redis, keys, delivery.job_id)

    info = await client.batch("mine")
    assert states == dict.fromkeys(mine, JobState.CANCELLED) | {delivery.job_id: JobState.RUNNING}
    assert again == {delivery.job_id: JobState.RUNNING}
    assert told
    assert (info.cancelled, info.done) == (5, 5)
    assert (await client.job(other.job_id)).state is JobState.QUEUED


async def test_the_position_in_the_queue_counts_undelivered_entries(client: Client, stream: JobStream):
    jobs = [await client.submit("add", {"n": n}) for n in range(4)]
    await start_one(stream)

    positions = [(await client.job(job.job_id)).position for job in jobs]

    assert positions == [None, 1, 2, 3]


async def test_secrets_are_kept_apart_for_a_day_and_gone_with_the_job(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    page = {"url": "https://example.org/account"}
    job = await client.submit("scan", page, batch="b", secrets={"headers": {"Authorization": "Bearer s3cret"}})
    kept = await cast("Any", redis).hgetall(keys.secret(job.job_id))
    ttl_s = await redis.ttl(keys.secret(job.job_id))
    fields = await job_fields(redis, keys, job.job_id)

    await stream.finish(await start_one(stream), commit=None)

    assert json.loads(kept[b"headers"]) == {"Authorization": "Bearer s3cret"}
    assert 0 < ttl_s <= 86_400
    assert "s3cret" not in str(fields)
    assert not await redis.exists(keys.secret(job.job_id))


async def test_a_secret_of_an_unknown_name_is_refused_without_showing_it(client: Client):
    with pytest.raises(InvalidJob, match="pasword") as caught:
        await client.submit("scan", {"url": "https://example.org/"}, secrets={"pasword": "s3cret"})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("due_ms", "delay_ms", "state"),
    [(4_102_444_800_000, 0, "scheduled"), (1_000, 0, "queued"), (0, -2_000, "queued"), (0, 0, "queued")],
)
async def test_a_job_is_due_when_its_arq_program_says(
    client: Client, redis: Redis, keys: Keys, due_ms: int, delay_ms: int, state: str
):
    job = prepare("add", {}, job_id="a")
    job.due_ms, job.delay_ms, job.frees_id = due_ms, delay_ms, True

    await client.submit_prepared(job)

    fields = await job_fields(redis, keys, "a")
    expected = due_ms or (int(fields["enqueued_ms"]) + delay_ms if delay_ms else None)
    assert fields["state"] == state
    assert fields.get("due_ms") == (str(expected) if expected else None)
    assert await redis.zscore(keys.scheduled, "a") == (due_ms if state == "scheduled" else None)


async def test_an_error_of_the_payloads_is_raised_after_all_jobs_before_it_are_queued(client: Client, redis: Redis):
    def payloads() -> Iterator[dict[str, Any]]:
        yield from ({"n": n} for n in range(READ_AT_ONCE))
        msg = "the list ends here"
        raise LookupError(msg)

    queued: list[str] = []

    async def submit() -> None:
        async for job in client.submit_many("add", payloads()):
            queued.append(job.job_id)  # noqa: PERF401  a comprehension would lose those before the error

    with pytest.raises(LookupError, match="the list ends here"):
        await submit()

    assert len(set(queued)) == READ_AT_ONCE
    assert await redis.xlen(client.keys.lane("batch")) == READ_AT_ONCE


async def test_the_jobs_before_the_first_refused_one_are_queued_and_those_after_it_are_not(
    client: Client, redis: Redis
):
    payloads: list[Any] = [{"n": n} for n in range(READ_AT_ONCE + 1)]
    payloads[2 * PIPELINED + 1] = {"n": object()}
    queued: list[str] = []

    async def submit() -> None:
        async for job in client.submit_many("add", payloads):
            queued.append(job.job_id)  # noqa: PERF401  a comprehension would lose those before the error

    with pytest.raises(InvalidJob, match="JSON"):
        await submit()

    assert len(set(queued)) == 2 * PIPELINED
    assert await redis.xlen(client.keys.lane("batch")) == 2 * PIPELINED


async def test_many_jobs_are_queued_in_the_order_of_their_payloads(client: Client, redis: Redis):
    ids = [f"job-{n}" for n in range(2 * READ_AT_ONCE + PIPELINED + 1)]
    payloads = ({"n": n} for n in range(len(ids)))

    queued = [job.job_id async for job in client.submit_many("add", payloads, job_ids=ids, batch="night")]

    entries = await redis.xrange(client.keys.lane("batch"))
    assert queued == ids
    assert [fields[b"id"].decode() for _, fields in entries] == ids
    assert (await client.batch("night")).total == len(ids)


async def test_submitting_many_may_be_left_early_and_goes_on_with_the_next_call(client: Client, redis: Redis):
    async with aclosing(client.submit_many("add", ({"n": n} for n in range(3 * PIPELINED)))) as jobs:
        await anext(jobs)
    later = [job.job_id async for job in client.submit_many("add", [{"n": 1}, {"n": 2}])]

    assert await redis.xlen(client.keys.lane("batch")) == PIPELINED + len(later)


async def test_payloads_that_are_slow_to_come_do_not_make_redis_look_silent(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(script_pipe, "REPLY_S", 1.0)

    def payloads() -> Iterator[dict[str, Any]]:
        yield from ({"n": n} for n in range(READ_AT_ONCE))
        time.sleep(1.2)
        yield {"n": READ_AT_ONCE}

    queued = [job.job_id async for job in client.submit_many("add", payloads())]

    assert len(queued) == READ_AT_ONCE + 1
