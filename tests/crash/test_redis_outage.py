"""Redis is killed, frozen or full under load: acknowledged jobs end once, and no healthy job is stolen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JobState
from producer.errors import QueueFull
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.processes import start_program
from tests.support.queue import events_of, pending, until
from tests.support.redis_server import StartServer
from worker.own_redis.server import EmbeddedRedis

KEYS = Keys("outage")
WAIT_S = 60
LEASE_S = 3


def settings_of(server: EmbeddedRedis) -> ClientSettings:
    return ClientSettings(redis_url=server.url, environment=KEYS.environment)


async def count_ends(redis: Redis) -> dict[str, int]:
    """Return the number of completion events of each job."""
    counts: dict[str, int] = {}
    for line in await events_of(redis, KEYS):
        event = json.loads(line)
        if event["event"] in {"job.succeeded", "job.dead", "job.cancelled"}:
            counts[event["job_id"]] = counts.get(event["job_id"], 0) + 1
    return counts


async def workers_heard(client: Client, number: int) -> bool:
    return len((await client.queue()).workers) == number


async def test_every_durable_job_ends_once_when_redis_is_killed_under_load(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
):
    server = redis_server()
    for _ in range(2):
        start_program(children, tmp_path / "workers.log", server.url, KEYS.environment, "lease=3")
    async with Client(settings_of(server)) as client, Redis.from_url(server.url) as redis:
        await until(partial(workers_heard, client, 2), what="both workers")  # one that starts without a Redis ends
        acknowledged: list[str] = []

        async def produce() -> None:
            for n in range(400):
                job = await client.submit("quick", {"n": n}, durable=True)
                acknowledged.append(job.job_id)

        producing = asyncio.create_task(produce())
        for share in (100, 250):
            await until(lambda share=share: len(acknowledged) >= share, what=f"{share} acknowledged jobs")
            server.kill()
            server.start()
        await producing

        for job_id in acknowledged:
            assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED
        counts = await count_ends(redis)
        assert await pending(redis, KEYS) == 0
        assert await redis.xlen(KEYS.lane("batch")) == 0

    assert [counts.get(job_id) for job_id in acknowledged] == [1] * 400


async def test_an_outage_longer_than_the_lease_steals_no_healthy_job(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
):
    server = redis_server()
    for _ in range(2):
        start_program(children, tmp_path / "workers.log", server.url, KEYS.environment, f"lease={LEASE_S}")
    async with Client(settings_of(server)) as client, Redis.from_url(server.url) as redis:
        gate = tmp_path / "open"
        jobs = [(await client.submit("held_by_file", {"path": str(gate)})).job_id for _ in range(4)]
        await until(lambda: _runs(redis, 4), what="four running jobs")

        server.kill()
        await asyncio.sleep(1.5 * LEASE_S)  # the outage itself is what is tested
        server.start()
        await until(lambda: _renewed_since(redis, LEASE_S * 1000), what="renewed leases")
        await asyncio.sleep(1.5 * LEASE_S)  # time enough for a wrong reclaim to happen
        attempts = [(await client.job(job_id)).attempt for job_id in jobs]
        gate.touch()
        for job_id in jobs:
            assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED
        counts = await count_ends(redis)

    assert attempts == [1, 1, 1, 1]
    assert counts == dict.fromkeys(jobs, 1)


async def test_workers_and_redis_frozen_together_lose_no_job_when_they_wake_one_after_the_other(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
):
    """As after a pause of all containers: a woken worker must not take what another one, not yet awake, holds."""
    server, gate = redis_server(), tmp_path / "open"
    holder = start_program(children, tmp_path / "workers.log", server.url, KEYS.environment, f"lease={LEASE_S}")
    async with Client(settings_of(server)) as client, Redis.from_url(server.url) as redis:
        jobs = [(await client.submit("held_by_file", {"path": str(gate)})).job_id for _ in range(2)]
        await until(lambda: _runs(redis, 2), what="both jobs")
        idle = start_program(children, tmp_path / "workers.log", server.url, KEYS.environment, f"lease={LEASE_S}")
        await until(partial(workers_heard, client, 2), what="both workers")
        await asyncio.sleep(1.5 * LEASE_S)  # it may reclaim after a lease

        assert server.pid is not None
        for pid in (idle.pid, holder.pid, server.pid):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5 * LEASE_S)
        os.kill(server.pid, signal.SIGCONT)
        idle.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.5 * LEASE_S)
        holder.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.5 * LEASE_S)
        attempts = [(await client.job(job_id)).attempt for job_id in jobs]
        gate.touch()
        for job_id in jobs:
            assert (await client.wait(job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED

    assert attempts == [1, 1]


async def test_at_maxmemory_producers_are_refused_running_jobs_end_or_wait_nothing_is_evicted_and_all_goes_on_below(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
):
    server, gate = redis_server(), tmp_path / "open"
    start_program(children, tmp_path / "workers.log", server.url, KEYS.environment, "lease=3")
    async with Client(settings_of(server)) as client, Redis.from_url(server.url) as redis:
        commits = await client.submit("held_by_file", {"path": str(gate)})
        writes = await client.submit("held_then_writes", {"path": str(gate)}, tries=1)
        await until(lambda: _runs(redis, 2), what="both jobs running")
        await redis.setrange("ballast", 4_000_000, b"x")  # a value that is sent leaves a buffer, which Redis soon frees
        waiting = await client.submit("quick", {"n": 1}, defer_s=0.2)
        used_bytes = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used_bytes - 1_000_000)  # what a commit frees is no room yet

        with pytest.raises(QueueFull):
            await client.submit("quick", {"n": 2})
        gate.touch()
        committed = await client.wait(commits.job_id, timeout_s=WAIT_S)
        await until(lambda: _is(client, writes.job_id, JobState.SCHEDULED), what="the job that must write put off")
        put_off = await client.job(writes.job_id)
        evicted = (await redis.info("stats"))["evicted_keys"]
        await redis.delete("ballast")
        await redis.config_set("maxmemory", 0)
        await redis.zadd(KEYS.scheduled, {writes.job_id: 1})  # its time is now
        later = [await client.wait(job.job_id, timeout_s=WAIT_S) for job in (waiting, writes)]
        counts = await count_ends(redis)

    assert committed.state is JobState.SUCCEEDED
    assert put_off.attempt == 0
    assert "maxmemory" in put_off.error
    assert evicted == 0
    assert {result.state for result in later} == {JobState.SUCCEEDED}
    assert counts == dict.fromkeys((commits.job_id, writes.job_id, waiting.job_id), 1)


async def test_a_read_only_redis_stops_the_worker_only_while_it_lasts(
    redis_server: StartServer, children: list[subprocess.Popen[bytes]], tmp_path: Path
):
    server = redis_server()
    log = tmp_path / "workers.log"
    start_program(children, log, server.url, KEYS.environment, "lease=3")
    async with Client(settings_of(server)) as client, Redis.from_url(server.url) as redis:
        gate = tmp_path / "open"
        running = await client.submit("held_by_file", {"path": str(gate)})
        await until(lambda: _runs(redis, 1), what="the running job")
        waiting = await client.submit("quick", {"n": 1}, defer_s=0.1)

        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        gate.touch()
        await until(lambda: "commit.repeated" in log.read_text(), what="a repeated commit")
        await redis.execute_command("REPLICAOF", "NO", "ONE")

        for job in (running, waiting):
            assert (await client.wait(job.job_id, timeout_s=WAIT_S)).state is JobState.SUCCEEDED
        counts = await count_ends(redis)

    assert counts == {running.job_id: 1, waiting.job_id: 1}


async def _runs(redis: Redis, count: int) -> bool:
    return await redis.llen(f"{KEYS.prefix}runs") >= count  # pyright: ignore[reportGeneralTypeIssues]  # redis-py types it as sync


async def _renewed_since(redis: Redis, idle_ms: int) -> bool:
    rows = await redis.xpending_range(KEYS.lane("batch"), "workers", "-", "+", 10)
    return bool(rows) and all(row["time_since_delivered"] < idle_ms for row in rows)


async def _is(client: Client, job_id: str, state: JobState) -> bool:
    return (await client.job(job_id)).state is state
