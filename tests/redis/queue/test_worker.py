"""A whole worker in this process, on a real Redis: what users of arq know, and what the stream adds."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, cast

import pytest
from arq.worker import Retry, func
from redis.asyncio import Redis

import worker.execute
from producer.client import Client
from producer.contract import FunctionResult, JobState, Lane
from producer.keys import GROUP, Keys
from tests.support.queue import events_of, job_fields, running_worker, until

WAIT_S = 15


async def add(ctx: dict[Any, Any], a: int, b: int = 0) -> int:
    del ctx
    return a + b


async def forever(ctx: dict[Any, Any]) -> None:
    ctx["running"].set()
    await asyncio.Event().wait()


async def fails_until_third(ctx: dict[Any, Any]) -> int:
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)
    return ctx["job_try"]


async def always_retries(ctx: dict[Any, Any]) -> None:
    del ctx
    raise Retry(defer=0)


async def breaks(ctx: dict[Any, Any]) -> None:
    del ctx
    msg = "a bug"
    raise ValueError(msg)


async def loses_redis_once(ctx: dict[Any, Any]) -> str:
    if ctx["job_try"] == 1:
        msg = "connection reset"
        raise ConnectionError(msg)
    return "ok"


async def returns_a_set(ctx: dict[Any, Any]) -> set[int]:
    del ctx
    return {1}


async def test_a_jobs_value_is_its_result(client: Client, redis_url: str, keys: Keys, redis: Redis):
    async with running_worker(redis_url, keys, [add]):
        job = await client.submit("add", {"b": 2}, args=[40])
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 42
    assert await redis.xlen(keys.lane("batch")) == 0


async def test_retry_runs_again_and_counts_attempts(client: Client, redis_url: str, keys: Keys, redis: Redis):
    async with running_worker(redis_url, keys, [fails_until_third]):
        job = await client.submit("fails_until_third", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    names = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert isinstance(result, FunctionResult)
    assert result.value == 3
    assert names == ["job.retried", "job.retried", "job.succeeded"]


async def test_a_job_that_always_retries_is_dead_after_its_tries(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [func(always_retries, max_tries=2)]):
        job = await client.submit("always_retries", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert "attempt 2 of 2" in result.error.message


async def test_a_bug_is_dead_at_once_and_tells_its_reason(client: Client, redis_url: str, keys: Keys, redis: Redis):
    async with running_worker(redis_url, keys, [breaks]):
        job = await client.submit("breaks", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    row = (await redis.xrange(keys.dead))[0][1]
    assert result.state is JobState.DEAD
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ValueError", "a bug")
    assert row[b"reason"] == b"a bug"


async def test_a_lost_connection_inside_a_job_is_tried_again(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [loses_redis_once]):
        job = await client.submit("loses_redis_once", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == "ok"


async def test_a_job_over_its_time_is_dead_and_says_so(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [func(forever, timeout=0.1)], ctx=ctx):
        job = await client.submit("forever", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert result.error.message == "the job ran into its time-out of 0.1 s"


async def test_a_value_that_json_cannot_carry_is_dead_and_says_so(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [returns_a_set]):
        job = await client.submit("returns_a_set", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert result.error.type == "InvalidResult"


async def test_a_running_job_is_cancelled_within_five_seconds(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [forever], ctx=ctx, lease_s=10):
        job = await client.submit("forever", {})
        await asyncio.wait_for(ctx["running"].wait(), WAIT_S)

        state = await client.cancel(job.job_id)
        result = await client.wait(job.job_id, timeout_s=5)

    assert state is JobState.RUNNING
    assert result.state is JobState.CANCELLED


async def deaf_at_first(ctx: dict[Any, Any]) -> None:
    """Swallows its first cancellation, as a library may."""
    ctx["running"].set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_a_job_that_swallows_its_cancellation_is_cancelled_again(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker.execute, "INSIST_AFTER_S", 0.1)
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [func(deaf_at_first, timeout=0.1)], ctx=ctx):
        job = await client.submit("deaf_at_first", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert "time-out" in result.error.message


async def test_garbage_lands_on_the_dead_letter_stream_and_the_worker_goes_on(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    lane = keys.lane("batch")
    garbage: list[dict[Any, Any]] = [
        {"kind": "add", "payload": "{broken"},
        {"kind": "add", "payload": "[1, 2]"},
        {"kind": "add", "payload": "{}", "args": "7"},
        {"payload": "{}"},
        {"kind": "add"},
        {"kind": "k" * 101, "payload": "{}"},
        {"kind": "add", "payload": "{}", "id": "no good"},
        {"kind": "add", "payload": "{}", "v": "nine"},
        {b"\xff\xfe\x00": b"\x80" * 1000},
        {"kind": "add", "payload": "x" * 10_000_000},
        {"kind": "nobody-knows", "payload": "{}"},
        {"kind": "add", "payload": '{"a": 1, "unknown": 2}'},
    ]
    async with running_worker(redis_url, keys, [add]):
        for fields in garbage:
            await redis.xadd(lane, fields)
        good = await redis.xadd(lane, {"kind": "add", "payload": '{"a": 1}'})
        result = await client.wait(f"batch-{good.decode()}", timeout_s=WAIT_S)
        await until(lambda: _length_is(redis, keys.dead, len(garbage)), what="the garbage on the dead-letter stream")

    rows = cast("list[Any]", await redis.xrange(keys.dead))
    assert isinstance(result, FunctionResult)
    assert result.value == 1
    assert all(row[1][b"reason"] for row in rows)
    assert await redis.xlen(lane) == 0
    assert max(len(value) for row in rows for value in row[1].values()) < 200_000


async def test_an_entry_from_a_clock_in_the_future_runs_and_later_ones_too(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    future = "99999999999999-0"
    await redis.xadd(keys.lane("batch"), {"kind": "add", "payload": '{"a": 1}'}, id=future)

    async with running_worker(redis_url, keys, [add]):
        first = await client.wait(f"batch-{future}", timeout_s=WAIT_S)
        later = await client.submit("add", {"a": 2})
        second = await client.wait(later.job_id, timeout_s=WAIT_S)

    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)


async def test_a_copied_entry_runs_its_job_once(client: Client, redis_url: str, keys: Keys, redis: Redis):
    job = await client.submit("add", {"a": 1})
    await redis.xadd(keys.lane("batch"), {"id": job.job_id, "kind": "add"})

    async with running_worker(redis_url, keys, [add]):
        await client.wait(job.job_id, timeout_s=WAIT_S)
        await until(lambda: _length_is(redis, keys.lane("batch"), 0), what="an empty lane")

    assert len(await events_of(redis, keys)) == 1


@pytest.mark.parametrize("what", ["group", "stream"])
async def test_a_group_or_stream_deleted_under_the_worker_loses_no_job(
    client: Client, redis_url: str, keys: Keys, redis: Redis, what: str
):
    async with running_worker(redis_url, keys, [add], allow_abort_jobs=False) as worker:
        await client.wait((await client.submit("add", {"a": 1})).job_id, timeout_s=WAIT_S)
        worker.allow_pick_jobs = False
        job = await client.submit("add", {"a": 2})
        if what == "group":
            await redis.xgroup_destroy(keys.lane("batch"), GROUP)
        else:
            await redis.delete(keys.lane("batch"))
        worker.allow_pick_jobs = True
        worker.claimer.look_again()

        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 2


async def test_a_key_of_the_wrong_type_is_reported_and_the_job_commits_once_it_is_gone(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    await redis.set(keys.events, "in the way")
    job = await client.submit("add", {"a": 1})
    async with running_worker(redis_url, keys, [add]) as worker:
        await until(lambda: worker.deliveries.refusals > 0, what="a refused commit")
        assert (await client.job(job.job_id)).state is JobState.RUNNING

        await redis.delete(keys.events)
        await until(lambda: _state_is(client, job.job_id, JobState.SUCCEEDED), what="the commit")

    assert len(await events_of(redis, keys)) == 1


async def test_a_question_starts_at_once_while_every_batch_place_is_taken(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [forever, add], ctx=ctx, max_jobs=3, lease_s=10) as worker:
        for _ in range(5):
            await client.submit("forever", {})
        await until(lambda: len(worker.deliveries.running) == 2, what="both batch places taken")

        job = await client.submit("add", {"a": 1}, lane=Lane.INTERACTIVE)
        result = await client.wait(job.job_id, timeout_s=2)

    assert result.state is JobState.SUCCEEDED


async def test_under_a_flood_of_questions_batch_still_moves(client: Client, redis_url: str, keys: Keys, redis: Redis):
    for n in range(40):
        await client.submit("add", {"a": n}, lane=Lane.INTERACTIVE)
    for n in range(5):
        await client.submit("add", {"a": n}, lane=Lane.BATCH)

    async with running_worker(redis_url, keys, [add], max_jobs=2, burst=True) as worker:
        assert worker.main_task is not None
        await asyncio.wait_for(asyncio.shield(worker.main_task), WAIT_S)

    lanes = [json.loads(line)["lane"] for line in await events_of(redis, keys)]
    assert lanes[:25].count("batch") >= 4


async def test_a_deferred_job_runs_when_it_is_due(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [add]):
        job = await client.submit("add", {"a": 1}, defer_s=0.3)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    info = await client.job(job.job_id)
    assert result.state is JobState.SUCCEEDED
    assert info.started_ms is not None
    assert info.started_ms - info.enqueued_ms >= 300


async def test_a_batch_announces_its_end_once_after_its_last_job(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    jobs = [job.job_id async for job in client.submit_many("add", ({"a": n} for n in range(20)), batch="b")]
    async with running_worker(redis_url, keys, [add]):
        for job_id in jobs:
            await client.wait(job_id, timeout_s=WAIT_S)
        before = [json.loads(line)["event"] for line in await events_of(redis, keys)]
        info = await client.seal_batch("b")

    after = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert "batch.finished" not in before
    assert after.count("batch.finished") == 1
    assert (info.total, info.done, info.succeeded) == (20, 20, 20)


async def test_unstarted_and_running_jobs_are_handed_back_when_the_worker_closes(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    ctx = {"running": asyncio.Event()}
    job = await client.submit("forever", {})
    async with running_worker(redis_url, keys, [forever], ctx=ctx, lease_s=10):
        await asyncio.wait_for(ctx["running"].wait(), WAIT_S)

    fields = await job_fields(redis, keys, job.job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert await redis.xlen(keys.lane("batch")) == 1


async def stumbles_over_its_end(ctx: dict[Any, Any]) -> None:
    ctx["running"].set()
    try:
        await asyncio.Event().wait()
    finally:
        msg = "cleaning up failed"
        raise RuntimeError(msg)


async def test_a_job_that_fails_while_it_is_stopped_is_handed_back_not_dead(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    running = asyncio.Event()
    async with running_worker(
        redis_url, keys, [stumbles_over_its_end], ctx={"running": running}, job_completion_wait=0
    ):
        job = await client.submit("stumbles_over_its_end", {})
        await asyncio.wait_for(running.wait(), WAIT_S)

    fields = await job_fields(redis, keys, job.job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert await redis.xlen(keys.dead) == 0


async def test_a_job_that_fails_while_it_is_cancelled_is_cancelled(client: Client, redis_url: str, keys: Keys):
    running = asyncio.Event()
    async with running_worker(redis_url, keys, [stumbles_over_its_end], ctx={"running": running}):
        job = await client.submit("stumbles_over_its_end", {})
        await asyncio.wait_for(running.wait(), WAIT_S)
        await client.cancel(job.job_id)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.CANCELLED


async def test_waiting_for_many_jobs_needs_no_polling(client: Client, redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [add], max_jobs=10):
        jobs = [job.job_id async for job in client.submit_many("add", ({"a": n} for n in range(200)))]
        values = {cast("FunctionResult", result).value async for result in client.as_completed(jobs, timeout_s=WAIT_S)}

    assert values == set(range(200))


async def _length_is(redis: Redis, key: str, length: int) -> bool:
    return await redis.xlen(key) == length


async def _state_is(client: Client, job_id: str, state: JobState) -> bool:
    return (await client.job(job_id)).state is state
