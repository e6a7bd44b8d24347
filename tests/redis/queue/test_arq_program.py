"""One arq program, written against plain ``arq.Worker``, does the same on ``ArqWorker``. Every test runs on both.

Left out is where the two differ on purpose: our worker calls ``after_job_end`` for every end, also of a job that could
not be started. Jobs as objects: ``test_arq_jobs.py``.
"""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.worker import FailedJobs, JobExecutionFailed, async_check_health

from producer.keys import Keys
from tests.support.arq_flavours import Flavour, Program, Streamed, enqueued, program, running, ticks_of
from tests.support.arq_program import EVERY_SECOND
from tests.support.queue import until

WAIT_S = 60


async def test_arguments_and_values_are_the_same(flavour: Flavour, pool: ArqRedis):
    async with running(flavour):
        job = await enqueued(pool, "echo", 1, "zwei", [3.5, None], deep={"a": [True]}, text="Grüße")

        value = await job.result(timeout=WAIT_S)

    assert value == {"args": [1, "zwei", [3.5, None]], "deep": {"a": [True]}, "text": "Grüße"}


async def test_hooks_run_in_arqs_order_at_every_try(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "third_time_lucky")
        value = await job.result(timeout=WAIT_S)
        await until(lambda: worker.of(job.job_id)[-1:] == [("after",)], what="the last hook")
        await until(lambda: all(task.done() for task in worker.worker.tasks.values()), what="the end of the task")

    a_try = [[("start",), ("third_time_lucky", n), ("end",), ("after",)] for n in (1, 2, 3)]
    assert value == 3
    assert worker.of(job.job_id) == [*a_try[0], *a_try[1], *a_try[2]]
    assert (worker.notes[0], worker.notes[-1]) == ("startup", "shutdown")
    assert (worker.worker.jobs_complete, worker.worker.jobs_retried, worker.worker.jobs_failed) == (1, 2, 0)


async def test_a_function_can_have_its_own_tries(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "never_lucky")

        with pytest.raises(JobExecutionFailed):
            await job.result(timeout=WAIT_S)

    calls = [note for note in worker.of(job.job_id) if note[0] == "never_lucky"]
    assert calls == [("never_lucky", 1), ("never_lucky", 2)]
    assert worker.worker.jobs_failed == 1


async def test_a_bug_is_raised_where_the_result_is_awaited(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "breaks")

        with pytest.raises(ValueError, match=r"^a bug$"):
            await job.result(timeout=WAIT_S)
        info = await job.result_info()

    assert info is not None
    assert (info.success, info.job_try, info.function) == (False, 1, "breaks")
    assert worker.of(job.job_id)[:3] == [("start",), ("breaks",), ("end",)]


async def test_a_function_can_have_its_own_timeout(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "too_slow")

        with pytest.raises(TimeoutError):
            await job.result(timeout=WAIT_S)
        await until(lambda: ("after",) in worker.of(job.job_id), what="the last hook")

    assert worker.of(job.job_id) == [("start",), ("too_slow",), ("end",), ("after",)]


async def test_a_job_can_enqueue_another_through_its_ctx(flavour: Flavour, pool: ArqRedis):
    async with running(flavour):
        job = await enqueued(pool, "parent")

        child = flavour.job(await job.result(timeout=WAIT_S), pool)
        value = await child.result(timeout=WAIT_S)

    assert (child.job_id, value) == ("child", 42)


async def test_an_unknown_function_fails_its_job(flavour: Flavour, pool: ArqRedis):
    async with running(flavour) as worker:
        job = await enqueued(pool, "nobody_knows")

        with pytest.raises(JobExecutionFailed, match="nobody_knows"):
            await job.result(timeout=WAIT_S)
        await until(lambda: worker.worker.jobs_failed == 1, what="the count")

    assert ("start",) not in worker.of(job.job_id)
    assert ("end",) not in worker.of(job.job_id)


async def test_burst_ends_when_nothing_is_left_and_counts_what_it_did(flavour: Flavour, pool: ArqRedis):
    for n in range(5):
        await enqueued(pool, "add", n)
    await enqueued(pool, "third_time_lucky", _defer_by=0.1)
    burst = program(flavour, await flavour.open_pool(), burst=True)

    complete = await burst.worker.run_check()
    await burst.worker.close()

    assert complete == 6
    assert burst.worker.jobs_retried == 2
    assert burst.notes[-1] == "shutdown"


async def test_run_check_raises_what_failed(flavour: Flavour, pool: ArqRedis):
    await enqueued(pool, "add", 1)
    await enqueued(pool, "breaks")
    burst = program(flavour, await flavour.open_pool(), burst=True)

    with pytest.raises(FailedJobs) as caught:
        await burst.worker.run_check()
    await burst.worker.close()

    assert [(type(r.result), str(r.result)) for r in caught.value.job_results] == [(ValueError, "a bug")]


async def test_a_burst_can_be_limited(flavour: Flavour, pool: ArqRedis):
    for n in range(3):
        await enqueued(pool, "add", n)
    burst = program(flavour, await flavour.open_pool(), burst=True)

    complete = await burst.worker.run_check(max_burst_jobs=2)
    await burst.worker.close()

    assert complete == 2
    assert len(await pool.queued_jobs()) == 1


async def test_no_more_than_max_jobs_run_at_once(flavour: Flavour, pool: ArqRedis):
    for _ in range(4):
        await enqueued(pool, "endless")

    async with running(flavour, max_jobs=1, allow_abort_jobs=True) as worker:
        await until(lambda: _runs(worker) == 1, what="the first run")
        await enqueued(pool, "add", 1)
        await flavour.job(worker.notes[1][0], pool).abort(timeout=WAIT_S)
        await until(lambda: _runs(worker) == 2, what="the second run")
        order = [note[1] for note in worker.notes if note[1] in {"endless", "endless was cancelled"}]

    assert order == ["endless", "endless was cancelled", "endless"]


async def test_two_workers_run_a_cron_job_once(flavour: Flavour):
    async with running(flavour, cron_jobs=[EVERY_SECOND]) as one, running(flavour, cron_jobs=[EVERY_SECOND]) as two:
        await until(lambda: len(ticks_of(one, two)) >= 3, what="three ticks")

    ids = ticks_of(one, two)
    assert len(set(ids)) == len(ids)


async def test_the_health_check_sees_a_running_worker_and_misses_a_closed_one(flavour: Flavour, keys: Keys):
    settings, key = RedisSettings.from_dsn(flavour.url), f"{keys.environment}:health"
    async with running(flavour, health_check_key=key, health_check_interval=1):
        await until(lambda: _exit_code(settings, key, 0), what="the health key")

    assert await async_check_health(settings, key) == 1


async def test_nothing_of_arqs_own_keys_is_used(redis_url: str, keys: Keys):
    flavour = Streamed(redis_url, keys)
    pool = await flavour.open_pool()
    async with running(flavour, cron_jobs=[EVERY_SECOND]) as worker:
        await (await enqueued(pool, "add", 1)).result(timeout=WAIT_S)
        await until(lambda: ticks_of(worker), what="a tick")
        found = await pool.keys("arq:*")
    await pool.aclose()

    assert set(found) <= {b"arq:queue:health-check"}  # arq's own name, which its --check reads


def _runs(worker: Program) -> int:
    return len([note for note in worker.notes if note[1:] == ("endless",)])


async def _exit_code(settings: RedisSettings, key: str, code: int) -> bool:
    return await async_check_health(settings, key) == code
