"""Running jobs that are stopped: cancelled, out of time, or requeued when their worker closes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

import pytest
from arq.worker import func
from redis.asyncio import Redis

import worker.queue.run
from producer.client.client import Client
from producer.contract import JobState
from producer.keys import Keys
from producer.redis import connection
from producer.redis.connection import open_redis
from producer.settings import ClientSettings
from tests.support.queue import forever, job_fields, running_worker, until
from tests.support.redis_server import StartServer
from worker.queue.arq_pool import StreamPool
from worker.queue.loop import Loop
from worker.queue.worker import StreamWorker

WAIT_S = 60
STOPS_WITHIN_S = 20


async def test_a_job_over_its_time_is_dead_and_says_so(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [func(forever, timeout=0.1)], ctx=ctx):
        job = await client.submit("forever", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert result.error.message == "the job exceeded its time-out of 0.1 s"


async def test_a_running_job_is_cancelled_at_a_renewal_of_its_lease(client: Client, redis_url: str, keys: Keys):
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [forever], ctx=ctx, lease_s=10):  # renewed every 3.3 s
        job = await client.submit("forever", {})
        await asyncio.wait_for(ctx["running"].wait(), WAIT_S)

        state = await client.cancel(job.job_id)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert state is JobState.RUNNING
    assert result.state is JobState.CANCELLED


async def deaf_at_first(ctx: dict[Any, Any]) -> None:
    """Swallows its first cancellation, as a library may."""
    ctx["running"].set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_a_job_that_swallows_its_cancellation_is_cancelled_again(
    client: Client, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker.queue.run, "INSIST_AFTER_S", 0.1)
    ctx = {"running": asyncio.Event()}
    async with running_worker(redis_url, keys, [func(deaf_at_first, timeout=0.1)], ctx=ctx):
        job = await client.submit("deaf_at_first", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.error is not None
    assert "time-out" in result.error.message


async def test_a_running_job_is_requeued_when_its_worker_closes(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    ctx = {"running": asyncio.Event()}
    job = await client.submit("forever", {})
    async with running_worker(redis_url, keys, [forever], ctx=ctx, lease_s=10):
        await asyncio.wait_for(ctx["running"].wait(), WAIT_S)

    fields = await job_fields(redis, keys, job.job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert await redis.xlen(keys.lane("batch")) == 1


async def stumbles_over_its_end(ctx: dict[Any, Any]) -> None:
    ctx["running"].set()
    try:
        await asyncio.Event().wait()
    finally:
        msg = "cleaning up failed"
        raise RuntimeError(msg)


async def lasts(ctx: dict[Any, Any]) -> None:
    ctx["running"].set()
    await ctx["goes_on"].wait()


async def test_a_job_that_ends_within_the_grace_period_is_done(client: Client, redis_url: str, keys: Keys):
    running, goes_on = asyncio.Event(), asyncio.Event()
    ctx = {"running": running, "goes_on": goes_on}
    async with running_worker(redis_url, keys, [lasts], ctx=ctx, job_completion_wait=WAIT_S) as stopped:
        job = await client.submit("lasts", {})
        await asyncio.wait_for(running.wait(), WAIT_S)
        stopped.handle_sig(signal.SIGTERM)
        await until(lambda: all(task.get_name() != "claim" for task in asyncio.all_tasks()), what="the last claim")
        goes_on.set()

    assert (await client.job(job.job_id)).state is JobState.SUCCEEDED


async def test_a_running_job_is_requeued_when_its_worker_is_cancelled(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    ctx = {"running": asyncio.Event()}
    job = await client.submit("forever", {})
    with pytest.raises(asyncio.CancelledError):  # noqa: PT012  the worker's own, at the end of the block
        async with running_worker(redis_url, keys, [forever], ctx=ctx) as cancelled:
            await asyncio.wait_for(ctx["running"].wait(), WAIT_S)
            assert cancelled.main_task is not None
            cancelled.main_task.cancel()

    fields = await job_fields(redis, keys, job.job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")


async def test_a_worker_that_is_closed_uses_its_connections_until_its_run_has_ended(
    redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    ends: list[str] = []
    end_readers = Loop._end_readers

    async def end_late(loop: Loop, readers: list[asyncio.Task[None]]) -> None:
        for _ in range(1000):  # time enough to close the pool
            await redis.ping()
        await end_readers(loop, readers)

    async def run(closed: StreamWorker) -> None:
        await closed.main()
        ends.append("run")

    monkeypatch.setattr(Loop, "_end_readers", end_late)
    pool = StreamPool.from_url(redis_url)
    closed = StreamWorker([forever], environment=keys.environment, redis_pool=pool, handle_signals=False)
    running = asyncio.create_task(run(closed))
    await asyncio.wait_for(closed.has_started.wait(), WAIT_S)

    await closed.close()
    ends.append("close")
    await running

    assert ends == ["run", "close"]


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_worker_that_stops_while_redis_is_away_ends_within_seconds(
    redis_server: StartServer, keys: Keys, monkeypatch: pytest.MonkeyPatch, fault: signal.Signals
):
    monkeypatch.setattr(connection, "ATTEMPTS", 1_000)  # as long as it takes to elect a new primary
    server = redis_server()
    pool = StreamPool.over(open_redis(ClientSettings(redis_url=server.url)), environment=keys.environment)
    async with running_worker("", keys, [forever], pool=pool) as stopping:
        await until(lambda: not stopping.job_loop.is_idle, what="a blocking read")
        assert server.pid is not None
        os.kill(server.pid, fault)
        before = stopping.leases.up_since
        await until(lambda: stopping.leases.up_since > before, what="the worker to notice")
        try:
            await asyncio.wait_for(stopping.close(), STOPS_WITHIN_S)
        finally:
            if fault is signal.SIGSTOP:
                os.kill(server.pid, signal.SIGCONT)


async def test_a_job_that_fails_while_it_is_stopped_is_requeued_not_dead(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    running = asyncio.Event()
    async with running_worker(
        redis_url, keys, [stumbles_over_its_end], ctx={"running": running}, job_completion_wait=0
    ):
        job = await client.submit("stumbles_over_its_end", {})
        await asyncio.wait_for(running.wait(), WAIT_S)

    fields = await job_fields(redis, keys, job.job_id)
    assert (fields["state"], fields["attempt"]) == ("queued", "0")
    assert await redis.xlen(keys.dead) == 0


async def test_a_job_that_fails_while_it_is_cancelled_is_cancelled(client: Client, redis_url: str, keys: Keys):
    running = asyncio.Event()
    async with running_worker(redis_url, keys, [stumbles_over_its_end], ctx={"running": running}):
        job = await client.submit("stumbles_over_its_end", {})
        await asyncio.wait_for(running.wait(), WAIT_S)
        await client.cancel(job.job_id)
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.CANCELLED
