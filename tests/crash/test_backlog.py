"""A killed worker's jobs run again although others wait: pending entries of lost workers come before new entries."""

from __future__ import annotations

import time

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import GROUP, Keys
from tests.crash.test_worker_killed import has_workers, release, runs_of
from tests.support.processes import StartWorker
from tests.support.queue import until

LEASE_S = 4
WITHIN_S = 5
"""Of the end of a lost worker's lease: 15 s with the lease of 10 s that workers have."""


async def orphans_of(redis: Redis, keys: Keys, pid: int) -> set[str]:
    """The jobs that a killed worker was running."""
    ran = {job_id for job_id, by in await runs_of(redis, keys) if by == pid}
    return {job_id for job_id in ran if not await redis.exists(keys.result(job_id))}


async def run_again(redis: Redis, keys: Keys, orphans: set[str], pid: int) -> bool:
    return orphans <= {job_id for job_id, by in await runs_of(redis, keys) if by != pid}


async def workers_may_reclaim(client: Client, count: int) -> None:
    """Wait for ``count`` workers, and until each has seen Redis for a lease: earlier, none of them may reclaim."""
    await until(lambda: has_workers(client, count), what=f"{count} workers")
    since = time.monotonic()
    await until(lambda: time.monotonic() > since + LEASE_S + 1, what="a lease's time")


async def test_a_killed_workers_jobs_run_again_within_5_s_of_their_lease_although_slow_jobs_wait(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    doomed = start_worker(f"lease={LEASE_S}", "max_jobs=3")
    start_worker(f"lease={LEASE_S}", "max_jobs=3")
    await until(lambda: has_workers(client, 2), what="both workers")  # each is to have some of the jobs
    assert len([job async for job in client.submit_many("slow", ({} for _ in range(60)))]) == 60
    await workers_may_reclaim(client, 2)

    doomed.kill()
    doomed.wait()
    killed_at = time.monotonic()
    orphans = await orphans_of(redis, keys, doomed.pid)
    await until(lambda: run_again(redis, keys, orphans, doomed.pid), what="the second runs")

    assert orphans
    assert time.monotonic() - killed_at <= LEASE_S + WITHIN_S
    assert await redis.xlen(keys.lane("batch")) > 0, "nothing waited any more"


async def test_a_killed_workers_job_runs_again_within_5_s_of_its_lease_although_5000_jobs_wait(
    client: Client, start_worker: StartWorker, redis: Redis, keys: Keys
):
    doomed = start_worker(f"lease={LEASE_S}")
    job = await client.submit("held", {})
    await until(lambda: runs_of(redis, keys), what="the run")
    start_worker(f"lease={LEASE_S}", "max_jobs=1")
    await workers_may_reclaim(client, 2)
    doomed.kill()
    doomed.wait()
    [held] = await redis.xpending_range(keys.lane("batch"), GROUP, "-", "+", 1)
    assert len([one async for one in client.submit_many("noop", ({} for _ in range(5_000)))]) == 5_000

    entry, by = held["message_id"], held["consumer"]
    await redis.xclaim(keys.lane("batch"), GROUP, by, 0, [entry], idle=LEASE_S * 1000, justid=True)
    ended_at = time.monotonic()
    await until(lambda: run_again(redis, keys, {job.job_id}, doomed.pid), what="the second run")

    assert time.monotonic() - ended_at <= WITHIN_S
    assert await redis.xlen(keys.lane("batch")) > 1, "nothing waited any more"
    await release(redis, keys)
    assert (await client.wait(job.job_id, timeout_s=30)).state is JobState.SUCCEEDED
