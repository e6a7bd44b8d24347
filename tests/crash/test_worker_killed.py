"""SIGKILL and SIGSTOP at every point of a delivery: nothing is lost, nothing is committed twice."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import FunctionResult, JobState
from producer.keys import Keys
from tests.support.processes import StartWorker
from tests.support.queue import events_of, pending, until
from worker.queue.leases import FROZEN_S

WAIT_S = 60
LONG_READ = "block=600"
"""Long enough that a worker frozen in a blocking read stays in it for the rest of the test."""


async def runs_of(redis: Redis, keys: Keys) -> list[tuple[str, int]]:
    """Return the runs as (job id, pid), in order."""
    rows = cast("list[bytes]", await cast("Any", redis).lrange(f"{keys.prefix}runs", 0, -1))
    return [(job_id, int(pid)) for job_id, pid in (row.decode().split() for row in rows)]


async def release(redis: Redis, keys: Keys) -> None:
    """Let the jobs of kind ``held`` end."""
    await redis.set(f"{keys.prefix}release", "1")


async def one_end_each(redis: Redis, keys: Keys, job_ids: list[str]) -> None:
    """Assert that each job has one result, one event and one history document, and that nothing waits or is held."""
    ends = [json.loads(line) for line in await events_of(redis, keys)]
    assert sorted(end["job_id"] for end in ends if end["event"] == "job.succeeded") == sorted(job_ids)
    assert await redis.exists(*(keys.result(job_id) for job_id in job_ids)) == len(job_ids)
    assert await redis.exists(*(keys.scan(job_id) for job_id in job_ids)) == len(job_ids)
    assert await cast("Any", redis).hget(keys.site("history"), "writes") == str(len(job_ids)).encode()
    assert await redis.xlen(keys.lane("batch")) == 0
    assert await pending(redis, keys) == 0


async def written_by(redis: Redis, keys: Keys, job_id: str) -> int:
    """Return the process that wrote the history document."""
    return int(await cast("Any", redis).hget(keys.scan(job_id), "by"))


@pytest.mark.parametrize(
    ("point", "runs"),
    [
        ("in-claim", 1),
        ("before-start", 1),
        ("after-start", 1),
        ("in-run", 2),
        ("before-commit", 2),
        ("after-commit", 1),
    ],
)
async def test_a_job_survives_its_workers_death_at_any_point(
    point: str, runs: int, client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    is_last = point == "before-start"  # a claim has started all but a job's last attempt
    job = await client.submit("quick", {"n": 7}, tries=1 if is_last else None)
    doomed = start_worker(f"die={point}")
    await until(lambda: doomed.poll() is not None, what=f"the worker's death {point}")
    assert doomed.returncode == -signal.SIGKILL

    start_worker()
    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert result.value == 7
    assert len(await runs_of(redis, keys)) == runs
    await one_end_each(redis, keys, [job.job_id])


async def test_a_job_survives_the_death_of_a_worker_that_waited_for_it(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    doomed = start_worker("die=in-blocking-read")
    await until(lambda: has_workers(client, 1), what="the worker")
    job = await client.submit("quick", {"n": 7})
    await until(lambda: doomed.poll() is not None, what="the worker's death")

    start_worker()
    await client.wait(job.job_id, timeout_s=WAIT_S)

    assert len(await runs_of(redis, keys)) == 1
    await one_end_each(redis, keys, [job.job_id])


async def test_an_entry_whose_reclaimer_is_killed_before_its_start_is_reclaimed_again_and_counts_one_attempt_a_start(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    job = await client.submit("quick", {"n": 7})
    for point in ("before-commit", "in-reclaim"):
        doomed = start_worker(f"die={point}")
        await until(lambda doomed=doomed: doomed.poll() is not None, what=f"the worker's death {point}")
    left = await client.job(job.job_id)

    start_worker()
    await client.wait(job.job_id, timeout_s=WAIT_S)

    assert (left.state, left.attempt) == (JobState.RUNNING, 1)
    assert (await client.job(job.job_id)).attempt == 2
    assert len(await runs_of(redis, keys)) == 2
    await one_end_each(redis, keys, [job.job_id])


async def test_ten_jobs_held_by_a_killed_worker_run_again_within_15_s_with_the_default_lease(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    doomed = start_worker("lease=10", "max_jobs=11")
    jobs = [(await client.submit("held", {})).job_id for _ in range(10)]
    await until(lambda: has_runs(redis, keys, 10), what="ten running jobs")
    start_worker("lease=10", "max_jobs=11")
    await until(lambda: has_workers(client, 2), what="the second worker")
    doomed.kill()
    killed_at = time.monotonic()

    await until(lambda: has_runs(redis, keys, 20), what="the ten second runs")
    took_s = time.monotonic() - killed_at
    await release(redis, keys)
    for job_id in jobs:
        assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED

    assert took_s <= 15
    assert [(await client.job(job_id)).attempt for job_id in jobs] == [2] * 10
    await one_end_each(redis, keys, jobs)


async def test_a_worker_frozen_past_its_lease_commits_nothing_when_it_wakes(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys, tmp_path: Path
):
    frozen = start_worker("lease=3")
    job = await client.submit("held", {})
    await until(lambda: has_runs(redis, keys, 1), what="the first run")
    frozen.send_signal(signal.SIGSTOP)
    other = start_worker("lease=3")
    await until(lambda: has_runs(redis, keys, 2), what="the second run")
    await release(redis, keys)
    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    frozen.send_signal(signal.SIGCONT)
    await until(lambda: _was_refused(tmp_path), what="the woken worker's refusal")

    assert isinstance(result, FunctionResult)
    assert result.value == f"done by {other.pid}"
    assert await client.result(job.job_id) == result
    assert await written_by(redis, keys, job.job_id) == other.pid
    await one_end_each(redis, keys, [job.job_id])


async def test_a_woken_worker_that_claims_its_job_again_commits_the_new_delivery_only(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys, tmp_path: Path
):
    frozen = start_worker(LONG_READ, "lease=3")
    job = await client.submit("held", {})
    await until(lambda: has_runs(redis, keys, 1), what="the first run")
    await until(lambda: _is_read(redis), what="its waiting for a second")
    frozen.send_signal(signal.SIGSTOP)
    other = start_worker("lease=3")
    await until(lambda: has_runs(redis, keys, 2), what="the second run")
    other.terminate()
    await until(lambda: other.poll() is not None, what="the other worker's end")
    await until(lambda: _is_running(client, job.job_id), what="the start behind the frozen worker's read")
    requeued = await client.job(job.job_id)
    await release(redis, keys)

    frozen.send_signal(signal.SIGCONT)
    await until(lambda: _was_refused(tmp_path), what="the refusal of the woken worker's first delivery")
    await client.wait(job.job_id, timeout_s=WAIT_S)

    assert other.returncode == 0
    assert (requeued.state, requeued.attempt) == (JobState.RUNNING, 2)
    assert [pid for _, pid in await runs_of(redis, keys)] == [frozen.pid, other.pid, frozen.pid]
    assert (await client.job(job.job_id)).attempt == 2
    await one_end_each(redis, keys, [job.job_id])


async def test_a_job_that_kills_its_worker_every_time_is_dead_after_its_attempts(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    job = await client.submit("suicide", {})

    for _ in range(3):
        doomed = start_worker()
        await until(lambda doomed=doomed: doomed.poll() is not None, what="the worker's death")
    start_worker()
    healthy = await client.submit("quick", {"n": 1})
    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.DEAD
    assert result.error is not None
    assert result.error.type == "AttemptsExhausted"
    assert [job_id for job_id, _ in await runs_of(redis, keys)].count(job.job_id) == 3
    assert await redis.xlen(keys.dead) == 1
    assert (await client.wait(healthy.job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED


async def test_a_busy_event_loop_keeps_its_lease(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys, tmp_path: Path
):
    lease_s, enough = 3, tmp_path / "enough"
    for _ in range(2):
        start_worker(f"lease={lease_s}")
    await until(lambda: has_workers(client, 2), what="both workers")
    since = time.monotonic()
    job = await client.submit("busy", {"path": str(enough)})
    await until(lambda: has_runs(redis, keys, 1), what="the run")
    await until(lambda: time.monotonic() > since + 2 * lease_s, what="the other worker being allowed to reclaim")
    enough.touch()

    result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
    assert len(await runs_of(redis, keys)) == 1
    assert (await client.job(job.job_id)).attempt == 1


async def test_sigterm_requeues_running_jobs_at_once_with_their_attempt(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    leaving = start_worker("grace=0", "lease=10")
    jobs = [(await client.submit("held", {})).job_id for _ in range(3)]
    await until(lambda: has_runs(redis, keys, 3), what="three running jobs")

    leaving.terminate()
    await until(lambda: leaving.poll() is not None, what="the worker's end")
    infos = [await client.job(job_id) for job_id in jobs]
    await release(redis, keys)
    start_worker()
    for job_id in jobs:
        await client.wait(job_id, timeout_s=WAIT_S)

    assert leaving.returncode == 0
    assert [(info.state, info.attempt) for info in infos] == [(JobState.QUEUED, 0)] * 3
    await one_end_each(redis, keys, jobs)


async def test_sigterm_lets_running_jobs_end_within_the_grace(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys, tmp_path: Path
):
    leaving = start_worker("grace=600")
    job = await client.submit("held", {})
    await until(lambda: has_runs(redis, keys, 1), what="the run")

    leaving.terminate()
    await until(lambda: "worker.stopping" in (tmp_path / "workers.log").read_text(), what="the signal being heard")
    waiting = await client.submit("quick", {})
    await release(redis, keys)
    await until(lambda: leaving.poll() is not None, what="the worker's end")

    assert leaving.returncode == 0
    assert (await client.job(job.job_id)).state is JobState.SUCCEEDED
    assert (await client.job(waiting.job_id)).state is JobState.QUEUED


async def has_runs(redis: Redis, keys: Keys, count: int) -> bool:
    return len(await runs_of(redis, keys)) >= count


async def has_workers(client: Client, count: int) -> bool:
    return len((await client.queue()).workers) >= count


def _was_refused(tmp_path: Path) -> bool:
    said = (tmp_path / "workers.log").read_text()
    return "outcome=lost" in said or "standing=lost" in said


@pytest.mark.parametrize("tries", [None, 1])
async def test_a_job_read_by_a_frozen_idle_worker_is_run_by_another_and_not_by_the_woken_one(
    tries: int | None, client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    frozen = start_worker("lease=3", LONG_READ)
    first = await client.submit("quick", {})
    await client.wait(first.job_id, timeout_s=WAIT_S)
    await until(lambda: _is_read(redis), what="an idle worker")
    frozen.send_signal(signal.SIGSTOP)
    frozen_at = time.monotonic()
    job = await client.submit("quick", {"n": 7}, tries=tries)
    await until(lambda: pending(redis, keys), what="the read")

    other = start_worker("lease=3")
    result = await client.wait(job.job_id, timeout_s=WAIT_S)
    await until(lambda: time.monotonic() > frozen_at + FROZEN_S + 0.5, what="a freeze long enough to be noticed")
    frozen.send_signal(signal.SIGCONT)
    again = [(await client.submit("quick", {})).job_id for _ in range(20)]
    for job_id in again:
        await client.wait(job_id, timeout_s=WAIT_S)

    assert isinstance(result, FunctionResult)
    assert (await runs_of(redis, keys))[:2] == [(first.job_id, frozen.pid), (job.job_id, other.pid)]
    assert [pid for run, pid in await runs_of(redis, keys) if run == job.job_id] == [other.pid]
    await one_end_each(redis, keys, [first.job_id, job.job_id, *again])


async def _is_running(client: Client, job_id: str) -> bool:
    return (await client.job(job_id)).state is JobState.RUNNING


async def _is_read(redis: Redis) -> bool:
    """Whether both lanes are read; a client that waits for events is blocked, too."""
    clients: Any = await redis.client_list()
    return sum(one["cmd"] == "xreadgroup" and "b" in one["flags"] for one in clients) >= 2
