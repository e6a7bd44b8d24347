"""A job waits for a worker that has a function for its kind: retry.lua, wake.lua, and workers of two programs."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import Lane
from producer.keys import Keys
from tests.support.queue import BOOM, job_fields, running_worker, start_one, until
from worker.queue.arq_pool import StreamPool
from worker.queue.arq_worker import ArqWorker
from worker.queue.delivery import Delivery
from worker.queue.stream import JobStream

WAIT_S = 60.0
PAGE = {"url": "https://example.org/"}


async def scan(_: dict[Any, Any], **payload: Any) -> str:
    return payload["url"]


async def mail(_: dict[Any, Any]) -> str:
    return "sent"


async def missed(stream: JobStream, delivery: Delivery, *, wait_s: float = WAIT_S) -> str:
    return await stream.retry(delivery, delay_s=wait_s, error=BOOM, attempt_returned=True, needs_function=True)


async def state_of(redis: Redis, keys: Keys, job_id: str) -> str:
    return (await job_fields(redis, keys, job_id)).get("state", "")


async def has_succeeded(redis: Redis, keys: Keys, job_id: str) -> bool:
    return await state_of(redis, keys, job_id) == "succeeded"


# ---------------------------------------------------------------------------------------------- the scripts


async def test_a_job_of_an_unknown_kind_waits_without_attempts_until_a_worker_that_knows_it_has_a_free_slot(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    jobs = [(await client.submit("scan", PAGE)).job_id for _ in range(3)]
    deliveries = [await start_one(stream) for _ in jobs]

    assert [await missed(stream, delivery) for delivery in deliveries] == ["committed"] * 3
    for listed in (keys.waiting_for("scan"), keys.scheduled):
        await redis.zadd(listed, {job_id: 9e12 + n for n, job_id in enumerate(jobs)})

    assert await missed(stream, deliveries[0]) == "already"
    assert await stream.lanes.promote_due(limit=10) == 0, "nothing is due for a minute"
    assert await stream.lanes.wake(["scan"], room=0) == 0, "no slot is free"
    assert await stream.lanes.wake(["mail"], room=9) == 0, "that worker does not know it either"
    assert await stream.lanes.wake(["mail", "scan"], room=2) == 2, "as many as it has room for"
    assert await stream.lanes.promote_due(limit=10) == 2
    assert {(await start_one(stream)).job_id for _ in range(2)} == set(jobs[:2]), "those that waited longest"
    assert (await job_fields(redis, keys, jobs[0]))["attempt"] == "1", "a start without a function spends no attempt"


async def test_its_wait_begins_at_the_first_worker_that_did_not_know_its_kind(client: Client, stream: JobStream):
    await client.submit("scan", PAGE)
    await missed(stream, await start_one(stream))
    await stream.lanes.wake(["scan"], room=1)
    await stream.lanes.promote_due(limit=1)
    again = await start_one(stream)

    assert await missed(stream, again, wait_s=0) == "overdue"

    assert await stream.holds(again), "nothing has changed: the worker has it to bury"


async def test_a_run_in_between_begins_a_new_wait(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    job_id = (await client.submit("scan", PAGE)).job_id
    await missed(stream, await start_one(stream))
    await cast("Any", redis).hset(keys.job(job_id), "no_function", "1:1")  # an hour ago, and more
    await redis.zadd(keys.scheduled, {job_id: 1}, xx=True)
    await stream.lanes.promote_due(limit=1)
    await stream.retry(await start_one(stream), delay_s=0, error=BOOM)  # a worker that knows it ran it, and it broke
    await stream.lanes.promote_due(limit=1)

    assert await missed(stream, await start_one(stream)) == "committed"


async def test_a_job_that_was_cancelled_meanwhile_is_not_woken(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    gone, kept = [(await client.submit("scan", PAGE)).job_id for _ in range(2)]
    for _ in range(2):
        await missed(stream, await start_one(stream))
    await client.cancel(gone)

    assert await stream.lanes.wake(["scan"], room=1) == 1

    assert await redis.zscore(keys.scheduled, gone) is None
    assert await state_of(redis, keys, kept) == "scheduled"
    assert await redis.exists(keys.waiting_for("scan")) == 0


async def test_another_job_under_its_id_is_not_woken_in_its_place(
    client: Client, stream: JobStream, redis: Redis, keys: Keys
):
    job_id = (await client.submit("scan", PAGE)).job_id
    await missed(stream, await start_one(stream))
    await redis.zadd(keys.scheduled, {job_id: 9e12})  # as a deferred job that took the id of one that was cancelled

    assert await stream.lanes.wake(["scan"], room=1) == 0

    assert await redis.zscore(keys.scheduled, job_id) == 9e12


async def test_the_list_of_a_kind_expires(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await client.submit("scan", PAGE)

    await missed(stream, await start_one(stream))

    assert WAIT_S * 1000 < await redis.pttl(keys.waiting_for("scan")) <= (WAIT_S + 60) * 1000


async def test_a_key_of_another_type_changes_nothing(client: Client, stream: JobStream, redis: Redis, keys: Keys):
    await client.submit("scan", PAGE)
    await redis.set(keys.waiting_for("scan"), "by hand")
    delivery = await start_one(stream)

    with pytest.raises(ResponseError, match="expected a zset"):
        await missed(stream, delivery)

    assert await stream.holds(delivery)
    assert await redis.zcard(keys.scheduled) == 0


# ---------------------------------------------------------------------------------------------- workers


@pytest.mark.parametrize("lane", [Lane.BATCH, Lane.INTERACTIVE])
async def test_a_scan_beside_an_arq_program_runs_once_a_worker_knows_it(
    client: Client, redis: Redis, redis_url: str, keys: Keys, lane: Lane
):
    async with arq_worker(redis_url, keys) as program:
        job_id = (await client.submit("scan", PAGE, lane=lane)).job_id
        await until(lambda: "scan" in program.executor.missed_kinds, what="the program's worker claimed it")

        async with running_worker(redis_url, keys, [scan], kind_wait_s=WAIT_S):
            await until(lambda: has_succeeded(redis, keys, job_id), what="the scan ran")


async def test_a_job_of_an_arq_program_beside_a_worker_that_scans_runs_too(redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [scan], kind_wait_s=WAIT_S) as scanner:
        pool = StreamPool.from_url(redis_url)
        pool.environment = keys.environment
        job = await pool.enqueue_job("mail")
        assert job is not None
        await until(lambda: "mail" in scanner.executor.missed_kinds, what="the scanning worker claimed it")

        async with arq_worker(redis_url, keys):
            assert await job.result(timeout=WAIT_S) == "sent"
        await pool.aclose()


@pytest.mark.parametrize("worker", ["arq", "ours"])
async def test_the_dead_letter_says_for_how_long_nobody_knew_it(
    client: Client, redis_url: str, keys: Keys, worker: str
):
    job_id = (await client.submit("query" if worker == "arq" else "mail", {"question": "?"})).job_id
    options = {"kind_wait_s": 0.3}
    running = arq_worker if worker == "arq" else known_to_scan
    async with running(redis_url, keys, **options):
        result = await client.wait(job_id, timeout_s=WAIT_S)

    assert result.state == "dead"
    assert result.error is not None
    assert "no worker that knows it came within 0.3 s (KIND_WAIT_S)" in result.error.message
    assert f"this worker knows {'mail' if worker == 'arq' else 'scan'}" in result.error.message


async def test_a_burst_ends_beside_a_scan_that_waits(client: Client, redis: Redis, redis_url: str, keys: Keys):
    job_id = (await client.submit("scan", PAGE)).job_id
    pool = StreamPool.from_url(redis_url)
    worker = ArqWorker(
        [mail], redis_pool=pool, environment=keys.environment, burst=True, poll_delay=0.05, handle_signals=False
    )

    async with asyncio.timeout(WAIT_S / 2):
        await worker.async_run()
    await worker.close()

    assert await state_of(redis, keys, job_id) == "scheduled"


def arq_worker(url: str, keys: Keys, **options: Any) -> Any:
    return running_worker(url, keys, [mail], worker_class=ArqWorker, **options)


def known_to_scan(url: str, keys: Keys, **options: Any) -> Any:
    return running_worker(url, keys, [scan], **options)
