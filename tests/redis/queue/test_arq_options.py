"""arq's options, on arq's own worker and on Sightline's. Every test runs on both."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.cron import cron
from arq.jobs import JobStatus
from arq.worker import JobExecutionFailed, Retry, RetryJob, func

from tests.support.arq_flavours import Flavour, burst, enqueued, running
from tests.support.queue import until

WAIT_S = 60
Ctx = dict[str, Any]


class OutOfStock(Exception):
    """An error of the program's own."""


async def works(ctx: Ctx) -> int:
    return int(ctx["job_try"])


async def sells(ctx: Ctx, item: str) -> None:
    ctx["notes"].append("sells")
    raise OutOfStock(item, 3)


async def connects(ctx: Ctx) -> None:
    ctx["notes"].append("connects")
    msg = "mail server away"
    raise ConnectionRefusedError(111, msg)


async def returns_an_object(ctx: Ctx) -> object:
    ctx["notes"].append("returns")
    return object()


async def retries(ctx: Ctx) -> None:
    ctx["notes"].append("retries")
    raise Retry


async def retries_twice(ctx: Ctx) -> int:
    if ctx["job_try"] < 3:
        raise RetryJob
    return int(ctx["job_try"])


async def waits(ctx: Ctx) -> None:
    ctx["notes"].append("begins")
    await asyncio.Event().wait()


async def named(ctx: Ctx, when: Any) -> list[Any]:
    return [ctx["job_id"], when]


@pytest.mark.parametrize("ending", [works, sells, returns_an_object])
async def test_an_id_is_free_again_once_its_job_has_ended_and_nothing_is_kept(
    flavour: Flavour, pool: ArqRedis, ending: Callable[..., Any]
):
    args = ("book",) if ending is sells else ()
    taken: list[bool] = []
    for _ in range(3):
        taken.append(await pool.enqueue_job(ending.__name__, *args, _job_id="nightly:backup") is not None)
        await burst(flavour, func(ending, keep_result=0))

    assert taken == [True, True, True]


async def test_an_id_stays_taken_while_its_result_is_kept(flavour: Flavour, pool: ArqRedis):
    for keep in (works, func(works, keep_result_forever=True)):
        name = "forever" if keep is not works else "an-hour"
        await enqueued(pool, "works", _job_id=name)
        await burst(flavour, keep)

        assert await pool.enqueue_job("works", _job_id=name) is None


async def test_a_failure_is_kept_as_long_as_its_function_says(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "sells", "book", _job_id="gone")
    await burst(flavour, func(sells, keep_result=0))

    assert await job.status() is JobStatus.not_found


async def test_an_error_of_the_programs_own_comes_back_as_it_was(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "sells", "book")
    await burst(flavour, sells)

    with pytest.raises(OutOfStock) as caught:
        await job.result(timeout=WAIT_S)
    assert caught.value.args == ("book", 3)


async def test_an_error_is_run_again_only_on_request(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "connects")
    done = await burst(flavour, connects)

    with pytest.raises(ConnectionRefusedError) as caught:
        await job.result(timeout=WAIT_S)
    assert done.notes.count("connects") == 1
    assert caught.value.errno == 111


async def test_retry_is_honoured(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "retries_twice")
    done = await burst(flavour, retries_twice)

    assert await job.result(timeout=WAIT_S) == 3
    assert done.worker.jobs_retried == 2


async def test_the_last_retry_fails_with_arqs_message(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "retries")
    done = await burst(flavour, retries, max_tries=2)

    with pytest.raises(JobExecutionFailed, match=r"^max 2 retries exceeded$"):
        await job.result(timeout=WAIT_S)
    assert (done.worker.jobs_retried, done.worker.jobs_failed) == (2, 1)


async def test_retry_jobs_off_runs_nothing_again(flavour: Flavour, pool: ArqRedis):
    await enqueued(pool, "retries")
    done = await burst(flavour, retries, retry_jobs=False)

    assert (done.notes.count("retries"), done.worker.jobs_failed) == (1, 1)


async def test_a_job_can_begin_with_a_later_try(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "works", _job_try=3)
    before = await job.info()
    await burst(flavour, works)

    assert before is not None
    assert (before.job_try, await job.result(timeout=WAIT_S)) == (3, 3)


async def test_a_job_expires(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "works", _expires=0.001)
    await until_redis_ms(pool, await redis_ms(pool) + 20)
    done = await burst(flavour, works)

    with pytest.raises(JobExecutionFailed, match=r"^job expired$"):
        await job.result(timeout=WAIT_S)
    assert done.worker.jobs_failed == 1


async def test_a_value_that_cannot_be_serialised_fails_no_job_if_no_result_is_kept(flavour: Flavour, pool: ArqRedis):
    await enqueued(pool, "returns_an_object")
    done = await burst(flavour, func(returns_an_object, keep_result=0))

    assert (done.worker.jobs_complete, done.worker.jobs_failed) == (1, 0)


async def test_an_unknown_function_is_named_in_arqs_message(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "nobody")
    await burst(flavour, works)

    with pytest.raises(JobExecutionFailed, match=r"^function 'nobody' not found$"):
        await job.result(timeout=WAIT_S)


async def test_every_slot_is_the_programs(flavour: Flavour, pool: ArqRedis):
    for _ in range(3):
        await enqueued(pool, "waits")

    async with running(flavour, functions=[waits], max_jobs=2) as worker:
        await until(lambda: worker.notes.count("begins") == 2, what="both slots in use")


async def test_workers_of_one_queue_leave_another_alone(flavour: Flavour, pool: ArqRedis):
    mail = await enqueued(pool, "works", _queue_name="test:mail")
    done = await burst(flavour, sells, queue_name="test:gpu")
    waiting = await pool.queued_jobs(queue_name="test:mail")
    after = await burst(flavour, works, queue_name="test:mail")

    info = await mail.result_info()
    assert (done.worker.jobs_complete, done.worker.jobs_failed, after.worker.jobs_complete) == (0, 0, 1)
    assert [job.job_id for job in waiting] == [mail.job_id]
    assert info is not None
    assert info.queue_name == "test:mail"


async def test_an_abort_takes_effect_within_half_a_second(
    flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="arq.worker")
    job = await enqueued(pool, "waits", _job_id="report:7")
    async with running(flavour, functions=[waits], allow_abort_jobs=True, lease_s=30) as worker:
        await until(lambda: "begins" in worker.notes, what="the run")
        began = asyncio.get_running_loop().time()

        assert await job.abort(timeout=WAIT_S, poll_delay=0.05)
        took_s = asyncio.get_running_loop().time() - began

    assert took_s < 3  # at load 8; the renewal of this lease would take 9 s
    assert any(line.endswith("⊘ report:7:waits aborted") for line in caplog.messages)


async def test_an_abort_that_is_not_allowed_has_no_effect(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "waits")
    async with running(flavour, functions=[waits]) as worker:
        await until(lambda: "begins" in worker.notes, what="the run")

        with pytest.raises(asyncio.TimeoutError):
            await job.abort(timeout=1.2, poll_delay=0.05)
        assert await job.status() is JobStatus.in_progress


async def test_an_abort_that_is_not_allowed_does_not_hasten_the_next_try(flavour: Flavour, pool: ArqRedis):
    is_aborted = asyncio.Event()
    times: list[float] = []

    async def waits_once(ctx: Ctx) -> None:
        times.append(time.monotonic())
        if ctx["job_try"] == 1:
            await is_aborted.wait()
            times.append(time.monotonic())
            raise Retry(defer=1)

    job = await enqueued(pool, "waits_once")
    async with running(flavour, functions=[func(waits_once, name="waits_once")]):
        await until(lambda: times, what="the run")
        with pytest.raises(asyncio.TimeoutError):
            await job.abort(timeout=0.1, poll_delay=0.05)
        is_aborted.set()
        await job.result(timeout=WAIT_S, poll_delay=0.05)

    assert times[2] - times[1] >= 1


async def test_the_health_line_is_written_unasked_and_counts_the_queue(flavour: Flavour, pool: ArqRedis):
    await enqueued(pool, "works", _defer_by=100, _queue_name="test:health")
    async with running(flavour, functions=[works], queue_name="test:health"):
        await until(lambda: pool.exists("test:health:health-check"), what="the health line")
        line = await pool.get("test:health:health-check")

    assert line is not None
    assert b"j_complete=0 j_failed=0 j_retried=0 j_ongoing=0 queued=1" in line


async def redis_ms(pool: ArqRedis) -> float:
    seconds, micros = await pool.time()
    return seconds * 1000 + micros / 1000


async def until_redis_ms(pool: ArqRedis, then_ms: float) -> None:
    while await redis_ms(pool) < then_ms:
        pass


async def test_ids_are_kept_as_given(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "named", 1, _job_id="user:42/ü x")
    queued = [waiting.job_id for waiting in await pool.queued_jobs()]
    await burst(flavour, named)

    assert [job.job_id, *queued, (await job.result(timeout=WAIT_S))[0]] == ["user:42/ü x"] * 3


async def test_serializers_carry_what_json_cannot(flavour: Flavour, pool: ArqRedis):
    when, given = datetime(2026, 11, 28, tzinfo=UTC), list[dict[str, Any]]()

    def serialized(about: dict[str, Any]) -> bytes:
        given.append(about)
        return pickle.dumps(about)

    pool.job_serializer, pool.job_deserializer = serialized, pickle.loads
    job = await enqueued(pool, "named", when)
    info = await job.info()
    await burst(flavour, named, job_serializer=pickle.dumps, job_deserializer=pickle.loads)

    assert info is not None
    assert (info.args, (await job.result(timeout=WAIT_S))[1]) == ((when,), when)
    [about] = given
    assert abs(about.pop("et") / 1000 - time.time()) < 10 * WAIT_S
    assert about == {"t": None, "f": "named", "a": (when,), "k": {}}


async def test_a_burst_waits_for_jobs_of_its_start_up(flavour: Flavour):
    done = await burst(flavour, cron_jobs=[cron(works, run_at_startup=True, hour=3)])

    assert done.worker.jobs_complete == 1


async def test_the_logger_of_arq_hears_start_end_and_failure(
    flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="arq.worker")
    await enqueued(pool, "works", _job_id="a:1")
    await enqueued(pool, "sells", "book", _job_id="b:2")
    await burst(flavour, works, sells)

    lines = [record.getMessage() for record in caplog.records]
    traces = [record.exc_info for record in caplog.records if "failed, OutOfStock" in record.getMessage()]
    assert any(line.endswith("→ a:1:works()") for line in lines)
    assert any(line.endswith("← a:1:works ● 1") for line in lines)
    assert any(line.endswith("→ b:2:sells('book')") for line in lines)
    assert traces
    assert traces[0] is not None


async def test_a_pool_says_how_long_its_jobs_may_start(flavour: Flavour, pool: ArqRedis):
    pool.expires_extra_ms = 1
    await enqueued(pool, "works")
    await until_redis_ms(pool, await redis_ms(pool) + 20)
    done = await burst(flavour, works)

    assert (done.worker.jobs_complete, done.worker.jobs_failed) == (0, 1)


async def test_the_worker_has_a_default_timeout(flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="arq.worker")
    job = await enqueued(pool, "waits", _job_id="a:1")
    await burst(flavour, waits, job_timeout=0.1)

    with pytest.raises(TimeoutError):
        await job.result(timeout=WAIT_S)
    assert any("! a:1:waits failed, TimeoutError: " in line for line in caplog.messages)


async def test_a_small_read_count_still_reads_all_jobs(flavour: Flavour, pool: ArqRedis):
    for _ in range(3):
        await enqueued(pool, "works")
    done = await burst(flavour, works, queue_read_limit=1, max_jobs=3)

    assert done.worker.jobs_complete == 3


async def test_cron_lines_are_read_in_the_workers_timezone(flavour: Flavour):
    line = cron(works, hour=3)
    zone = timezone(timedelta(hours=5))
    await burst(flavour, cron_jobs=[line], timezone=zone)

    assert line.next_run is not None
    assert (line.next_run.hour, line.next_run.tzinfo) == (3, zone)


async def test_values_can_be_kept_out_of_the_log(flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="arq.worker")
    await enqueued(pool, "works", _job_id="quiet")
    await burst(flavour, works, log_results=False)

    assert any(record.getMessage().endswith("← quiet:works ● ") for record in caplog.records)
