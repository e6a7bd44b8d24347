"""A Redis that is read-only for a while, as one demoted in place: an outage for what a worker starts and commits."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import redis as blocking_redis
from arq.worker import func
from structlog.testing import capture_logs

from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.queue import running_worker, until
from tests.support.redis_server import StartServer
from worker.own_redis.server import EmbeddedRedis
from worker.queue.stream import JobStream

WAIT_S = 30
LEASE_S = 120.0
"""Longer than the tests wait: a job that is left to be reclaimed is not done in time."""


@pytest.fixture
def server(redis_server: StartServer) -> EmbeddedRedis:
    return redis_server()


@pytest.fixture
async def own_client(server: EmbeddedRedis, keys: Keys) -> AsyncGenerator[Client]:
    async with Client(ClientSettings(redis_url=server.url, environment=keys.environment)) as client:
        yield client


def refuse_writes(server: EmbeddedRedis, *, refuses: bool) -> None:
    primary = ("127.0.0.1", "1") if refuses else ("NO", "ONE")
    with blocking_redis.Redis.from_url(server.url) as redis:
        redis.execute_command("REPLICAOF", *primary)


async def quick(ctx: dict[Any, Any]) -> None:
    del ctx


async def test_a_start_that_a_read_only_redis_refused_is_repeated(
    server: EmbeddedRedis, own_client: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    send, refused = JobStream._send_start, list[str]()

    def demoted_first(stream: JobStream, *about: Any) -> Any:
        if not refused:
            refused.append("once")
            refuse_writes(server, refuses=True)
        return send(stream, *about)

    monkeypatch.setattr(JobStream, "_send_start", demoted_first)
    with capture_logs() as logs:
        async with running_worker(server.url, keys, [func(quick, name="quick", max_tries=1)], lease_s=LEASE_S):
            job = await own_client.submit("quick", {})
            await until(lambda: any(log["event"] == "start.repeated" for log in logs), what="a repeated start")
            refuse_writes(server, refuses=False)
            result = await own_client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.SUCCEEDED
    assert (await own_client.job(job.job_id)).attempt == 1


async def test_a_stopping_worker_commits_once_redis_is_no_longer_read_only(
    server: EmbeddedRedis, own_client: Client, keys: Keys
):
    running, goes_on, runs = asyncio.Event(), asyncio.Event(), list[str]()

    async def held(ctx: dict[Any, Any]) -> None:
        runs.append(ctx["job_id"])
        running.set()
        await goes_on.wait()

    with capture_logs() as logs:
        async with running_worker(
            server.url, keys, [func(held, name="held")], lease_s=LEASE_S, job_completion_wait=WAIT_S
        ) as stopping:
            job = await own_client.submit("held", {})
            await asyncio.wait_for(running.wait(), WAIT_S)
            refuse_writes(server, refuses=True)
            stopping.handle_sig(signal.SIGTERM)
            await until(lambda: stopping.executor.is_stopping, what="the stop")
            goes_on.set()
            await until(lambda: any(log["event"].startswith("commit.") for log in logs), what="a commit")
            refuse_writes(server, refuses=False)

    assert (await own_client.job(job.job_id)).state is JobState.SUCCEEDED
    assert runs == [job.job_id]
