"""A complete worker in this process, on a real Redis: arq's features, and those that the stream adds."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from arq.worker import Retry, func
from redis.asyncio import Connection, Redis
from structlog.testing import capture_logs

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, Lane
from producer.errors import Busy
from producer.keys import Keys
from tests.support.queue import add, events_of, forever, running_worker, until

WAIT_S = 60


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


async def notes_half_a_character(ctx: dict[Any, Any]) -> None:
    ctx["progress"]("half \udcff")


SEEN: ContextVar[str] = ContextVar("seen", default="")


async def sees(ctx: dict[Any, Any]) -> str:
    del ctx
    return SEEN.get()


async def waits_twice(ctx: dict[Any, Any]) -> str:
    ctx["starts"].append(ctx["job_try"])
    if len(ctx["starts"]) < 3:
        raise Busy("scans have priority", delay_s=0.05)
    return "ok"


async def loses_redis_once(ctx: dict[Any, Any]) -> str:
    if ctx["job_try"] == 1:
        msg = "connection reset"
        raise ConnectionError(msg)
    return "ok"


async def test_a_jobs_value_is_its_result(client: Client, redis_url: str, keys: Keys, redis: Redis):
    async with running_worker(redis_url, keys, [add]):
        job = await client.submit("add", {"b": 2}, args=[40])
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 42
    assert await redis.xlen(keys.lane("batch")) == 0


async def test_a_job_sees_the_context_of_its_worker_and_not_that_in_which_a_connection_was_opened(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    opened = Connection._connect

    async def opening(connection: Connection) -> None:
        before = SEEN.set(f"{SEEN.get()}, a connection")
        try:
            await opened(connection)
        finally:
            SEEN.reset(before)

    async def startup(ctx: dict[Any, Any]) -> None:
        del ctx
        SEEN.set("startup")

    monkeypatch.setattr(Connection, "_connect", opening)
    results: list[Any] = []
    async with running_worker(redis_url, keys, [sees], on_startup=startup):
        for _ in range(3):
            job = await client.submit("sees", {})
            results.append(await client.wait(job.job_id, timeout_s=WAIT_S))

    assert [result.value for result in results] == ["startup"] * 3


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


async def test_a_bug_is_dead_lettered_at_once_with_its_reason(client: Client, redis_url: str, keys: Keys, redis: Redis):
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


async def test_a_note_of_progress_that_nobody_can_store_is_logged_and_its_job_goes_on(
    client: Client, redis_url: str, keys: Keys
):
    with capture_logs() as logs:
        async with running_worker(redis_url, keys, [notes_half_a_character]):
            job = await client.submit("notes_half_a_character", {})
            result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
    [failed] = [log for log in logs if log["event"] == "background.failed"]
    assert failed["task"] == "progress"
    assert failed["error"].startswith("UnicodeEncodeError")


async def test_a_wait_is_logged_as_one_and_only_in_detail(client: Client, redis_url: str, keys: Keys):
    ctx: dict[str, Any] = {"starts": []}
    with capture_logs() as logs:
        async with running_worker(redis_url, keys, [waits_twice], ctx=ctx):
            job = await client.submit("waits_twice", {})
            await client.wait(job.job_id, timeout_s=WAIT_S)

    ends = [log for log in logs if log.get("job_id") == job.job_id]
    assert ctx["starts"] == [1, 1, 1]
    assert [(log["event"], log["log_level"]) for log in ends] == [
        ("job.waits", "debug"),
        ("job.waits", "debug"),
        ("job.finished", "info"),
    ]
    assert ends[0]["why"] == "scans have priority"


async def test_a_closed_worker_leaves_no_connection_and_no_thread(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    name, threads = f"{keys.environment}-worker", set(threading.enumerate())

    async def count() -> int:
        return sum(one["name"] == name for one in await redis.client_list())

    async with running_worker(f"{redis_url}?client_name={name}", keys, [add]):
        job = await client.submit("add", {"a": 1})
        await client.wait(job.job_id, timeout_s=WAIT_S)
        open_connections = await count()
    left = [thread.name for thread in threading.enumerate() if thread not in threads]

    assert open_connections > 2
    await until(partial(_is, count, 0), what="the worker's connections closed")
    assert [one for one in left if not one.startswith("asyncio_")] == [], "those of the loop are shared"


async def _is(count: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await count() == expected


async def test_a_question_starts_at_once_while_every_batch_slot_is_in_use(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [forever, add], ctx=ctx, max_jobs=3, lease_s=10) as worker:
        for _ in range(5):  # none of them ever ends
            await client.submit("forever", {})
        await until(lambda: len(worker.executor.running) == 2, what="both batch places taken")

        job = await client.submit("add", {"a": 1}, lane=Lane.INTERACTIVE)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

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


async def test_the_end_of_a_batch_is_announced_once_after_its_last_job(
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
