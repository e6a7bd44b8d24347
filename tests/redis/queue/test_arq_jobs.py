"""arq's API of jobs and of the pool, on arq's own queue and on Sightline's. Every test runs on both."""

from __future__ import annotations

import asyncio

import pytest
from arq.connections import ArqRedis
from arq.jobs import JobStatus, ResultNotFound

from tests.support.arq_flavours import Flavour, enqueued, running
from tests.support.queue import until
from worker.queue.arq_wire import given_job_id, stream_job_id

WAIT_S = 60


async def test_waiting_for_a_result_has_a_limit(pool: ArqRedis):
    job = await enqueued(pool, "add", 1)

    with pytest.raises(TimeoutError):
        await job.result(timeout=0.1, poll_delay=0.05)


async def test_a_running_job_can_be_aborted(flavour: Flavour, pool: ArqRedis):
    async with running(flavour, allow_abort_jobs=True) as worker:
        job = await enqueued(pool, "endless")
        await until(lambda: ("endless",) in worker.of(job.job_id), what="the run")
        status = await job.status()

        is_aborted = await job.abort(timeout=WAIT_S)
        await until(lambda: ("after",) in worker.of(job.job_id), what="the last hook")
        again = await job.abort(timeout=WAIT_S)
        with pytest.raises(asyncio.CancelledError):
            await job.result(timeout=WAIT_S)

    assert (status, is_aborted, again) == (JobStatus.in_progress, True, True)
    assert worker.of(job.job_id) == [("start",), ("endless",), ("endless was cancelled",), ("end",), ("after",)]
    assert worker.worker.jobs_failed == 1


async def test_a_job_aborted_before_its_start_never_runs(flavour: Flavour, pool: ArqRedis):
    async with running(flavour, allow_abort_jobs=True) as worker:
        job = await enqueued(pool, "add", 1, _defer_by=60)

        is_aborted = await job.abort(timeout=WAIT_S)

    assert is_aborted
    assert worker.of(job.job_id) == []


async def test_aborting_what_has_ended_or_never_was_does_nothing(flavour: Flavour, pool: ArqRedis):
    async with running(flavour, allow_abort_jobs=True):
        job = await enqueued(pool, "add", 1)
        await job.result(timeout=WAIT_S)

        answers = [await job.abort(timeout=WAIT_S), await flavour.job("nobody", pool).abort(timeout=WAIT_S)]

    assert answers == [False, False]


async def test_the_status_follows_the_job(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "add", 1)
    later = await enqueued(pool, "add", 2, _defer_by=60)
    before = [await job.status(), await later.status(), await flavour.job("nobody", pool).status()]

    async with running(flavour):
        await job.result(timeout=WAIT_S)
        after = [await job.status(), await later.status()]

    assert before == [JobStatus.queued, JobStatus.deferred, JobStatus.not_found]
    assert after == [JobStatus.complete, JobStatus.deferred]


async def test_a_job_tells_its_definition_and_later_its_result(flavour: Flavour, pool: ArqRedis):
    job = await enqueued(pool, "add", 1, b=2)
    before, no_result = await job.info(), await job.result_info()

    async with running(flavour):
        await job.result(timeout=WAIT_S)
        after = await job.result_info()

    assert before is not None
    assert after is not None
    assert no_result is None
    assert (before.function, before.args, before.kwargs) == ("add", (1,), {"b": 2})
    assert before.score is not None
    assert (after.function, after.args, after.kwargs, after.result) == ("add", (1,), {"b": 2}, 3)
    assert (after.success, after.job_try, after.job_id) == (True, 1, job.job_id)
    assert before.enqueue_time == after.enqueue_time <= after.start_time <= after.finish_time


async def test_an_id_is_taken_once(flavour: Flavour, pool: ArqRedis):
    jobs = [await pool.enqueue_job("add", n, _job_id="user:42") for n in range(2)]

    async with running(flavour) as worker:
        first = jobs[0]
        assert first is not None
        value = await first.result(timeout=WAIT_S)

    assert jobs[1] is None
    assert value == 0
    assert len([note for note in worker.of(first.job_id) if note[0] == "add"]) == 1


async def test_queued_jobs_and_results_can_be_listed(flavour: Flavour, pool: ArqRedis):
    jobs = [await enqueued(pool, "add", n) for n in range(3)]
    await enqueued(pool, "add", 9, _defer_by=60)
    waiting = await pool.queued_jobs()

    async with running(flavour):
        for job in jobs:
            await job.result(timeout=60)
        results = await pool.all_job_results()
        left = await pool.queued_jobs()

    assert sorted(job.args for job in waiting) == [(0,), (1,), (2,), (9,)]
    assert waiting[-1].args == (9,)
    assert sorted(result.result for result in results) == [0, 1, 2]
    assert [job.args for job in left] == [(9,)]


async def test_a_result_that_is_not_kept_is_not_found(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "add_unkept", 1)
        await until(lambda: worker.worker.jobs_complete == 1, what="the end")
        await until(lambda: ("after",) in worker.of(job.job_id), what="the last hook")

        with pytest.raises(ResultNotFound):
            await job.result(timeout=WAIT_S)
        status = await job.status()

    assert status is JobStatus.not_found


def test_ids_that_differ_stay_different_and_come_back_as_given():
    given = ["cron:tick:1", "cron.tick.1", "cron/tick/1", ":", "Grüße", "arq..x", "_x", "user 42"]

    made = [stream_job_id(name) for name in given]

    assert len(set(made)) == len(given)
    assert made[1] == "cron.tick.1"
    assert [given_job_id(name) for name in made] == given
    assert stream_job_id("x" * 500) != stream_job_id("x" * 501)
