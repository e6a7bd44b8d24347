"""Workers' clocks jump by an hour during a run: only Redis' clock decides what is due, held and lost."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from producer.stored.schedules import Schedule, Schedules
from tests.crash.test_worker_killed import has_runs, has_workers, one_end_each, release, runs_of
from tests.support.processes import ROOT, start_program
from tests.support.queue import events_of, until

HOUR_S = 3600
WAIT_S = 60
WRONG_CLOCK = Path(__file__).resolve().parents[1] / "support" / "wrong_clock"


async def test_jumping_clocks_of_workers_neither_lose_repeat_nor_speed_up_jobs(
    client: Client,
    children: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    redis_url: str,
    redis: Redis,
    keys: Keys,
):
    clocks = {hours: tmp_path / f"clock{hours}" for hours in (1, -1)}
    for clock in clocks.values():
        variables = {"PYTHONPATH": f"{WRONG_CLOCK}:{ROOT}", "WRONG_CLOCK": str(clock)}
        log = tmp_path / "workers.log"
        start_program(children, log, redis_url, keys.environment, "max_jobs=8", "heartbeat=0.5", variables=variables)
    await until(lambda: has_workers(client, 2), what="both workers")
    jobs = [(await client.submit("held", {})).job_id for _ in range(8)]
    await until(lambda: has_runs(redis, keys, 8), what="eight running jobs")
    deferred = await client.submit("quick", {}, defer_s=HOUR_S / 2)
    soon = datetime.now(UTC) + timedelta(hours=0.5)
    await Schedules(client).add(Schedule("soon", f"{soon:%M %H} * * *", "quick", ({},)), now=soon - timedelta(hours=1))

    for hours, clock in clocks.items():
        clock.write_text(str(hours * HOUR_S))
    await until(lambda: _say_wrong_times(client), what="both clocks being wrong")
    since = await redis.time()
    await until(lambda: _is_later(redis, since, seconds=4.0), what="more than two leases of 1.5 s")
    await release(redis, keys)
    for job_id in jobs:
        assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED

    assert len({pid for _, pid in await runs_of(redis, keys)}) == 2  # both had some of them
    assert sorted(job_id for job_id, _ in await runs_of(redis, keys)) == sorted(jobs)
    assert (await client.job(deferred.job_id)).state is JobState.SCHEDULED
    events = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert [event for event in events if event.startswith("batch")] == []
    await one_end_each(redis, keys, jobs)


async def _say_wrong_times(client: Client) -> bool:
    """Whether each worker's heartbeat, which has its own clock's time, is off by at least half an hour."""
    workers, now_ms = (await client.queue()).workers, datetime.now(UTC).timestamp() * 1000
    return all(abs(one.at_ms - now_ms) > HOUR_S * 500 for one in workers)


async def _is_later(redis: Redis, since: tuple[int, int], *, seconds: float) -> bool:
    now = await redis.time()
    return now[0] - since[0] + (now[1] - since[1]) / 1e6 >= seconds
