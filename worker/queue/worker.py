"""``arq.Worker`` fed by the job stream instead of arq's sorted set.

Time-outs, attempts, ``Retry``, ctx, hooks, cron jobs, burst mode, signals, health check, abort and ``max_jobs`` work as
in arq; its zset and ``arq:*`` keys are not used, and nothing is pickled. Beyond arq: a job is committed exactly once,
and a killed worker's jobs run again within 15 s. Jobs may be *run* more than once, so functions must be idempotent.
Next: ``loop.py`` claims, ``executor.py`` runs each job to its commit, ``leases.py`` renews leases, ``upkeep.py`` does
periodic work.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from arq.connections import create_pool as create_arq_pool
from arq.worker import Worker, func
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract.terms import SUBMITTED
from producer.keys import Keys
from producer.redis.dial import blocking_twin
from producer.redis.raw_connection import end, replied
from producer.redis.script_pipe import ScriptPipe
from producer.stored.schedules import Schedules
from worker.queue.arq_pool import StreamPool, connections_of
from worker.queue.controls import Controls
from worker.queue.executor import Executor
from worker.queue.lanes import leave
from worker.queue.leases import Leased, LeaseKeeper
from worker.queue.loop import Loop
from worker.queue.run import JobFunctions, Settle, StopReason
from worker.queue.stream import JobStream
from worker.queue.upkeep import Upkeep

__all__ = ["StreamWorker", "func", "worker_name"]

DEFAULT_LEASE_S: Final = 10.0
RENEWALS_PER_LEASE: Final = 3.3
"""Fraction of a lease between renewals: three may fail before the lease is lost."""
LEAVE_S: Final = 3.0
"""Longest wait of a stopped worker for a Redis that is away; its heartbeat expires, and its name is reaped later."""

log = structlog.get_logger()


class StreamWorker(Worker):
    """An arq worker on the lanes of one environment.

    Takes the options of ``arq.Worker``, and: ``environment`` (which keys), ``lease_s`` (seconds that a claim holds
    without a renewal), ``name`` (consumer name, unique per process), ``assess_slots`` (slots of the assess lane; 0
    ignores the lane), ``settle`` (by kind, the commit of a dead or cancelled job), ``kind_wait_s`` (seconds a job
    without a function here waits for another worker; 0 dead-letters it at once). ``job_completion_wait`` is the grace
    period of running jobs after a signal, in seconds; then they are requeued without spending an attempt.
    ``queue_name`` and arq's serializers are not used: the contract is JSON.
    """

    functions_class = JobFunctions
    keeps_jobs = True
    """Whether an ended job is kept for 7 days, or as long as its result."""

    def __init__(
        self,
        functions: Any = (),
        *,
        environment: str = "dev",
        lease_s: float = DEFAULT_LEASE_S,
        name: str = "",
        assess_slots: int = 0,
        settle: Mapping[str, Settle] | None = None,
        kind_wait_s: float = 0,
        **arq_options: Any,
    ) -> None:
        super().__init__(functions, **arq_options)
        self.keys = Keys(environment)
        self.name = name or worker_name()
        self.lease_s = lease_s
        self.assess_slots = assess_slots
        self.settle = dict(settle or {})
        self.kind_wait_s = kind_wait_s
        self._stopping = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._has_ended.set()
        self.has_started = asyncio.Event()
        self._has_beaten = asyncio.Event()
        self._grace_s: float = float(self._job_completion_wait)
        self._has_health_key = arq_options.get("health_check_key") is not None
        self._started_ms = int(time.time() * 1000)
        self.describe_more: Callable[[], dict[str, Any]] = dict
        """Further fields of the heartbeat, read at each one."""

    # ------------------------------------------------------------------------------------------ life

    async def main(self) -> None:
        """Run until stopped, or in burst mode until its lanes and the scheduled set are empty."""
        self._has_ended.clear()
        try:
            await self._run()
        finally:
            self._has_ended.set()

    async def _run(self) -> None:
        await self._open()
        try:
            if self.on_startup:
                await self.on_startup(self.ctx)
            log.info("worker.started", name=self.name, max_jobs=self.max_jobs, functions=sorted(self.functions))
            self.has_started.set()
            if not gc.get_freeze_count():
                gc.freeze()  # what was imported is never garbage; searching it for cycles took 10 % of a drain
            await self._work()
        finally:
            await self._wind_down()

    async def _open(self) -> None:
        await self._connect()
        pool = self._over(self.pool)
        self._pool = pool
        self.ctx["redis"] = pool
        self._pipe = ScriptPipe(connections_of(pool))
        self.stream = JobStream(
            pool,
            self._pipe,
            self.keys,
            consumer=self.name,
            result_ttl_s=max(1, int(self.keep_result_s or 3600)),
            keeps_jobs=self.keeps_jobs,
        )
        functions = self.functions_class(self, note_progress=self.stream.note_progress)
        self._event_loop = asyncio.get_running_loop()
        self.leases = LeaseKeeper(
            lambda: blocking_twin(connections_of(pool), timeout_s=self.lease_s / 2),
            self.keys,
            consumer=self.name,
            renew_s=self.lease_s / RENEWALS_PER_LEASE,
            on_lost=partial(self._on_loop, Executor.lease_lost),
            on_cancel=partial(self._on_loop, Executor.cancel_seen),
        )
        self.controls = Controls(pool, self.keys, worker=self.name)
        self.executor = Executor(self.stream, self.leases, functions, controls=self.controls)
        self.job_loop = Loop(self.stream, self.executor, self.leases, lease_s=self.lease_s)
        self.upkeep = Upkeep(
            self.stream,
            self.leases,
            self.job_loop,
            lease_s=self.lease_s,
            poll_s=float(self.poll_delay_s),
            beat=self.heart_beat,
            describe=self._describe,
            fire_schedules=partial(self._fire_schedules, pool),
            wake=self._wake,
        )
        await self.stream.lanes.ensure_groups()
        await self.controls.look()

    async def _connect(self) -> None:
        """Open a pool, unless one was passed in."""
        if self._pool is None:
            self._pool = await create_arq_pool(self.redis_settings)

    def _over(self, pool: Redis) -> StreamPool:
        return StreamPool.over(pool, environment=self.keys.environment)

    async def _fire_schedules(self, pool: StreamPool) -> None:
        for batch in await Schedules(pool.jobs).fire_due():
            log.info("schedule.fired", batch=batch)

    async def _wake(self) -> None:
        """Make jobs due that wait for a worker with these functions, as many as there are free slots."""
        held = sum(len(self.executor.holders[lane]) for lane in SUBMITTED)
        await self.stream.lanes.wake(list(self.functions), room=self.max_jobs - held)

    async def _work(self) -> None:
        self.executor.context = copy_context()  # with what ``on_startup`` has set
        self.leases.start()
        claiming = asyncio.create_task(self.job_loop.run(), name="claim")
        tending = asyncio.create_task(self.upkeep.run(), name="upkeep")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        draining = asyncio.create_task(self.controls.watch(self.job_loop), name="controls")
        watched: list[asyncio.Task[Any]] = [claiming, tending, stopping, draining]
        if self.burst:
            watched.append(asyncio.create_task(self._until_all_done(), name="burst"))
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a bug in one of these loops ends the worker loudly
            self.job_loop.stop()
            self.executor.is_stopping = True
            await claiming
            await self.executor.wait_until_done(
                timeout_s=None if self.burst and not self._stopping.is_set() else self._grace_s
            )
            self.end_of_grace()
            self.executor.stop_all(StopReason.SHUTDOWN)
            await self.executor.wait_until_done(timeout_s=self.lease_s)
        finally:
            await end(*watched)

    async def _wind_down(self) -> None:
        """Stop everything that ``_open`` started; jobs still held go to other workers when their leases end."""
        for task in self.executor.tasks:
            task.cancel()
        await self.executor.wait_until_done(timeout_s=self.lease_s)
        await asyncio.get_running_loop().run_in_executor(None, self.leases.stop)
        await self._pipe.close()
        if self.has_started.is_set():
            counts = {"complete": self.jobs_complete, "failed": self.jobs_failed, "retried": self.jobs_retried}
            log.info("worker.stopped", name=self.name, **counts)

    async def close(self) -> None:
        """Stop if running, run ``on_shutdown`` and close the connections."""
        self._stopping.set()
        if self._pool is None:
            return
        await self._has_ended.wait()
        own = (self.keys.worker(self.name), *((self.health_check_key,) if self._has_health_key else ()))
        try:
            async with asyncio.timeout(LEAVE_S):
                await leave(self.pool, self.keys, self.name)
                await replied(self.pool.delete(*own))
        except (RedisError, OSError) as error:
            said = str(error) or f"no reply within {LEAVE_S:g} s"
            log.warning("worker.heartbeat_left", name=self.name, error=said)  # it expires
        try:
            if self.on_shutdown:
                await self.on_shutdown(self.ctx)
        finally:
            await self.pool.aclose(close_connection_pool=True)
            self._pool = None

    def handle_sig(self, signum: signal.Signals) -> None:
        """Stop claiming, give running jobs their grace period, requeue the rest. A second signal ends the grace."""
        name = signal.Signals(signum).name
        running = self.executor.running if self.has_started.is_set() else []
        log.info("worker.stopping", name=self.name, signal=name, running=len(running))
        if self._stopping.is_set() and running:
            self.executor.stop_all(StopReason.SHUTDOWN)
        self._stopping.set()
        if self.on_stop:
            self.on_stop(signal.Signals(signum))

    handle_sig_wait_for_completion = handle_sig

    def end_of_grace(self) -> None:
        """Called before the jobs that are still running after the grace period are stopped."""

    async def _until_all_done(self) -> None:
        await self._has_beaten.wait()  # until then, cron jobs that run at start-up are not queued yet
        while True:
            await asyncio.sleep(0.02)
            if self.executor.tasks:
                continue
            if 0 <= self.max_burst_jobs <= self.job_loop.claimed or await self._has_no_work():
                return

    async def _has_no_work(self) -> bool:
        return await self.stream.lanes.depth(but=self.executor.missed_kinds) == (0, 0)

    async def heart_beat(self) -> None:
        """Write arq's health line and queue the cron jobs that are due."""
        await super().heart_beat()
        self._has_beaten.set()

    async def record_health(self) -> None:
        """Write arq's health line if the program wants it; ``upkeep.py`` sends Sightline's heartbeat."""
        now = time.time()
        if not self._has_health_key or now - self._last_health_check < self.health_check_interval:
            return
        self._last_health_check = now
        info = (
            f"{datetime.now(UTC):%b-%d %H:%M:%S} j_complete={self.jobs_complete} j_failed={self.jobs_failed} "
            f"j_retried={self.jobs_retried} j_ongoing={len(self.executor.running)}"
        )
        await self.pool.psetex(self.health_check_key, int((self.health_check_interval + 1) * 1000), info)

    def _describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_ms": self._started_ms,
            "max_jobs": self.max_jobs,
            "jobs": [delivery.job_id for delivery in self.executor.running],
            "complete": self.jobs_complete,
            "failed": self.jobs_failed,
            "retried": self.jobs_retried,
            "functions": sorted(self.functions),
            **self.describe_more(),
        }

    def _on_loop(self, act: Callable[[Executor, Leased], None], leased: Leased) -> None:
        """Call ``act`` on the event loop, from the lease thread; does nothing once the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._event_loop.call_soon_threadsafe(act, self.executor, leased)


def worker_name() -> str:
    """Return a unique consumer name: host, pid and four random bytes."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
