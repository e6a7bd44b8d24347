"""When an arq program's jobs are due, what their results hold, and how its worker stops."""

from __future__ import annotations

import json
import logging
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.cron import cron
from arq.jobs import DeserializationError, JobStatus, SerializationError
from arq.worker import Worker, func
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.errors import InvalidJob, SettingsError
from producer.keys import Keys
from tests.support.arq_flavours import Flavour, Streamed, burst, enqueued, program, running
from tests.support.queue import until
from worker.queue.arq_pool import StreamPool
from worker.queue.arq_worker import ArqWorker

WAIT_S = 60
FAR = datetime(2132, 1, 1, tzinfo=UTC)
ONLY_OURS = pytest.mark.parametrize("flavour", [Streamed], indirect=True)
Ctx = dict[str, Any]


async def works(ctx: Ctx) -> int:
    return int(ctx["job_try"])


async def returns_an_error(ctx: Ctx) -> object:
    ctx["notes"].append("returns")
    return KeyError("no such order", 8)


async def finishes(ctx: Ctx) -> None:
    ctx["notes"].append("begins")
    await until(lambda: "signalled" in ctx["notes"], what="the signal")


# ------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(("then", "within_ms"), [(FAR, 0), (datetime.now(UTC) + timedelta(days=30), 1)])
async def test_a_job_can_be_put_off_until_a_time(pool: ArqRedis, then: datetime, within_ms: int):
    job = await enqueued(pool, "works", _defer_until=then)

    info = await job.info()

    assert await job.status() is JobStatus.deferred
    assert info is not None
    assert info.score == pytest.approx(then.timestamp() * 1000, abs=within_ms)


@pytest.mark.parametrize(
    "overdue", [{"_defer_by": -2}, {"_defer_until": datetime.now(UTC) - timedelta(hours=1)}], ids=["by", "until"]
)
async def test_an_overdue_job_runs_at_once_and_says_how_late(
    flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture, overdue: dict[str, Any]
):
    caplog.set_level(logging.INFO, logger="arq.worker")
    await enqueued(pool, "works", _job_id="late", **overdue)
    done = await burst(flavour, works)

    starts = [line for line in caplog.messages if "late:works() delayed=" in line]
    assert done.worker.jobs_complete == 1
    assert float(starts[0].rpartition("=")[2].removesuffix("s")) >= 2


@pytest.mark.parametrize("wrong", [{"_defer_by": "soon"}, {"_defer_by": float("inf")}, {"_expires": float("nan")}])
@ONLY_OURS
async def test_an_invalid_time_is_named(pool: ArqRedis, wrong: dict[str, Any]):
    (option,) = wrong
    with pytest.raises(InvalidJob, match=f"^{option}=.*: expected seconds or a timedelta, at most 3,000 years$"):
        await pool.enqueue_job("works", **wrong)


@ONLY_OURS  # with arq the second worker waits a minute for its turn
async def test_a_worker_that_is_late_with_a_tick_does_not_repeat_it(flavour: Flavour):
    tick = datetime.now(UTC) - timedelta(seconds=1)
    counts: list[int] = []
    for _ in range(2):
        line = cron(works, hour=3, keep_result=0)
        line.next_run = tick
        counts.append((await burst(flavour, cron_jobs=[line])).worker.jobs_complete)

    assert counts == [1, 0]


async def test_a_cron_job_that_is_not_unique_runs_on_every_worker(flavour: Flavour):
    for _ in range(2):
        done = await burst(flavour, cron_jobs=[cron(works, hour=3, run_at_startup=True, unique=False)])

        assert done.worker.jobs_complete == 1


# ------------------------------------------------------------------------------------------ results


async def test_an_error_that_is_returned_is_no_failure(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "returns_an_error")
    done = await burst(flavour, returns_an_error)

    value = await job.result(timeout=WAIT_S)

    assert done.worker.jobs_complete == 1
    assert (type(value), value.args) == (KeyError, ("no such order", 8))


async def test_results_of_all_queues_can_be_listed(flavour: Flavour, pool: ArqRedis):
    queues = ["test:mail", "test:a-name-that-is-too-long-for-an-environment"]
    for queue_name in queues:
        await enqueued(pool, "works", _queue_name=queue_name, _job_id=f"of {queue_name}")
        await burst(flavour, works, queue_name=queue_name)

    found = await pool.all_job_results()

    assert [(result.job_id, result.queue_name) for result in found] == [(f"of {name}", name) for name in queues]


@ONLY_OURS
async def test_results_of_queues_that_the_pool_has_not_used_are_listed(flavour: Flavour, pool: ArqRedis):
    await enqueued(pool, "works", _queue_name="mail", _job_id="a")
    await burst(flavour, works, queue_name="mail")

    (found,) = await (await flavour.open_pool()).all_job_results()

    assert (found.job_id, found.queue_name) == ("a", "mail")


@ONLY_OURS
async def test_garbage_is_a_deserialization_error(pool: ArqRedis, keys: Keys):
    job = await enqueued(pool, "works", _job_id="a")
    await pool.set(keys.result("a"), b"garbage")
    with pytest.raises(DeserializationError, match="unable to deserialize job result of 'a'"):
        await job.result(timeout=WAIT_S)

    await pool.set(keys.job("a"), b"garbage")
    with pytest.raises(DeserializationError, match="unable to deserialize job 'a'"):
        await job.info()


@ONLY_OURS
async def test_a_job_that_is_gone_has_expired(
    flavour: Flavour, pool: ArqRedis, keys: Keys, caplog: pytest.LogCaptureFixture
):
    job = await enqueued(pool, "works", _job_id="a:1")
    await pool.delete(*await pool.keys(keys.job("*")))
    done = await burst(flavour, works)

    result = await job.result_info()
    assert (done.worker.jobs_complete, done.worker.jobs_failed) == (0, 1)
    assert "job a:1 expired" in caplog.messages
    assert result is not None
    assert (result.function, str(result.result), result.job_try) == ("works", "job expired", 0)


# ------------------------------------------------------------------------------------------ stopping


async def test_a_running_job_has_its_time_after_a_signal(
    flavour: Flavour, pool: ArqRedis, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="arq.worker")
    await enqueued(pool, "finishes", _job_id="it")
    async with running(flavour, functions=[finishes], job_completion_wait=30) as worker:
        await until(lambda: "begins" in worker.notes, what="the run")
        assert list(worker.worker.tasks) == ["it"]
        assert "j_ongoing=1" in repr(worker.worker)
        worker.worker.handle_sig_wait_for_completion(signal.SIGTERM)
        assert not worker.worker.allow_pick_jobs
        worker.notes.append("signalled")

        await until(lambda: worker.worker.jobs_complete == 1, what="the end")
        await until(lambda: any("wait complete" in line for line in caplog.messages), what="arq's last line")

    counts = "◆ {} jobs complete ◆ 0 failed ◆ 0 retries ◆ {}"
    assert f"shutdown on SIGTERM {counts.format(0, '1 to be completed')}" in caplog.messages
    assert f"shutdown on SIGTERM, wait complete {counts.format(1, '0 ongoing to cancel')}" in caplog.messages
    assert not worker.worker.tasks


async def test_the_end_of_a_worker_without_signals_is_logged(flavour: Flavour, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="arq.worker")
    made = program(flavour, await flavour.open_pool(), functions=[func(works)])
    await made.worker.close()

    assert caplog.messages[-1].startswith("shutdown on SIGUSR1 ◆ 0 jobs complete")


# ------------------------------------------------------------------------------------------ errors


class Refused(Exception):
    """An error with an attribute and a message of its own."""

    def __init__(self, code: int, text: str = "refused") -> None:
        super().__init__(text)
        self.code = code


ERRORS = [
    Refused(7),
    FileNotFoundError(2, "No such file", "/x"),
    json.JSONDecodeError("expected a value", "{,}", 1),
    ValueError("line 1\n  line 2", 1),
]


async def raises(ctx: Ctx, n: int) -> None:
    ctx["notes"].append("raises")
    raise ERRORS[n]


async def test_an_error_keeps_its_message_and_attributes(flavour: Flavour, pool: ArqRedis):
    jobs = [await enqueued(pool, "raises", n) for n in range(len(ERRORS))]
    await burst(flavour, raises)

    found = [(await job.result_info()) for job in jobs]

    shown = [(type(info.result), str(info.result), getattr(info.result, "code", 0)) for info in found if info]
    assert shown == [(type(error), str(error), getattr(error, "code", 0)) for error in ERRORS]


async def test_an_outage_names_the_programs_redis_and_is_redis_pys_error():
    streamed = StreamPool.over(ArqRedis(host="127.0.0.1", port=1))

    for call in (streamed.enqueue_job("works"), streamed.job("a").result(), streamed.job("a").abort()):
        with pytest.raises(RedisConnectionError, match=r"'redis://127\.0\.0\.1:1/0'"):
            await call


@ONLY_OURS
async def test_the_programs_ctx_entries_take_precedence_over_sightlines(flavour: Flavour, pool: ArqRedis):
    given = {"batch": 1, "lane": 2, "progress": 3, "outcome": 4, "check_paused": 5}
    seen: list[dict[Any, Any]] = []

    async def looks(ctx: Ctx) -> None:
        seen.append(ctx)

    await enqueued(pool, "looks")
    worker = flavour.worker(
        await flavour.open_pool(), functions=[func(looks, name="looks")], burst=True, ctx=given, after_job_end=looks
    )
    await worker.async_run()
    await worker.close()

    assert [{name: ctx[name] for name in given} for ctx in seen] == [given, given]
    assert all(isinstance(name, str) for name in seen[0])


@pytest.mark.parametrize("name", ["scan", "query"])
async def test_a_function_with_the_name_of_a_kind_of_ours_is_refused(name: str):
    with pytest.raises(SettingsError, match=f"function '{name}'; a kind of Sightline: .* func\\(name=…\\)"):
        ArqWorker([func(works, name=name)])
    with pytest.raises(InvalidJob, match=r"a kind of Sightline: give your function another name with func\(name=…\)"):
        await StreamPool().enqueue_job(name, 5)


@pytest.mark.parametrize("made", [Worker, ArqWorker])
def test_an_invalid_cron_job_is_refused_with_arqs_message(made: Any):
    with pytest.raises(RuntimeError, match="cron_jobs, must be instances of CronJob"):
        made([works], cron_jobs=[works])
    with pytest.raises(RuntimeError, match="cron_jobs, must be instances of CronJob"):
        made([works], cron_jobs=[1])


@ONLY_OURS
async def test_text_that_is_not_unicode_is_named(pool: ArqRedis):
    with pytest.raises(SerializationError, match="argument 'b' is not JSON"):
        await pool.enqueue_job("works", "a", b="\ud800")
