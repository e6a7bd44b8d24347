"""``StreamWorker`` with arq's semantics, for programs written for ``arq.Worker``.

Each option of arq is honoured, or refused at construction with an alternative; ``docs/arq.md`` has the table. The
engine is ``worker.py``; ``arq_functions.py`` applies arq's options to the run of a function.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from inspect import signature
from threading import Lock
from typing import Any, Final, cast

import arq.worker
from arq.connections import ArqRedis, RedisSettings
from arq.constants import default_queue_name, expires_extra_ms
from arq.cron import CronJob
from arq.worker import Function, Worker
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from producer.contract import Lane
from producer.errors import RedisUnsuitable, SettingsError
from producer.redis.raw_connection import end
from worker.queue.arq_functions import ArqFunctions
from worker.queue.arq_pool import StreamPool, connections_of, cron_ticks, default_environment
from worker.queue.arq_wire import OWN_KIND, SCANNERS, Deserializer, Serializer, environment_of
from worker.queue.worker import DEFAULT_LEASE_S, StreamWorker
from worker.telemetry import in_background

Hook = Callable[[dict[Any, Any]], Awaitable[Any]]
JobFunctionOfArq = Function | Callable[..., Awaitable[Any]]
Seconds = float | timedelta

LOOK_FOR_ABORTS_S: Final = 0.2
LEAST_CONNECTIONS: Final = 6
"""Readers of the lanes, scripts, upkeep and aborts hold up to five at a time, and one is left for the functions."""
OLDEST_REDIS: Final = 7
"""First major version whose scripts may have flags, as Sightline's do."""

logger = logging.getLogger("arq.worker")


class ArqWorker(StreamWorker):
    """An arq worker on the stream of one queue.

    Takes every option of ``arq.Worker``, and: ``environment`` (default: ``ENVIRONMENT``, else ``dev``), ``lease_s``
    (seconds a job stays with this worker without a renewal), ``name`` (consumer name, unique per process),
    ``kind_wait_s`` (seconds a scan or question waits for a worker that knows it). Raises ``SettingsError`` for
    unsupported options, and arq's own errors.
    """

    functions_class = ArqFunctions
    keeps_jobs = False

    def __init__(
        self,
        functions: Sequence[JobFunctionOfArq] = (),
        *,
        queue_name: str | None = default_queue_name,
        cron_jobs: Sequence[CronJob] | None = None,
        redis_settings: RedisSettings | None = None,
        redis_pool: ArqRedis | None = None,
        burst: bool = False,
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
        on_job_start: Hook | None = None,
        on_job_end: Hook | None = None,
        after_job_end: Hook | None = None,
        handle_signals: bool = True,
        job_completion_wait: int = 0,
        max_jobs: int = 10,
        job_timeout: Seconds = 300,
        keep_result: Seconds = 3600,
        keep_result_forever: bool = False,
        poll_delay: Seconds = 0.5,
        queue_read_limit: int | None = None,
        max_tries: int = 5,
        health_check_interval: Seconds = 3600,
        health_check_key: str | None = None,
        ctx: dict[Any, Any] | None = None,
        retry_jobs: bool = True,
        allow_abort_jobs: bool = False,
        max_burst_jobs: int = -1,
        job_serializer: Serializer | None = None,
        job_deserializer: Deserializer | None = None,
        expires_extra_ms: int = expires_extra_ms,
        timezone: tzinfo | None = None,
        log_results: bool = True,
        environment: str | None = None,
        lease_s: float = DEFAULT_LEASE_S,
        name: str = "",
        kind_wait_s: float = 300,
    ) -> None:
        given = locals()
        options = {option: given[option] for option in signature(StreamWorker.__mro__[1]).parameters}
        if environment is None and isinstance(redis_pool, StreamPool):
            environment = redis_pool.environment
        environment = environment or default_environment()
        queue = queue_name or getattr(redis_pool, "default_queue_name", None)
        if queue in set(Lane):
            msg = f"queue_name {queue!r} is a lane of Sightline; choose another name, or leave it out"
            raise SettingsError(msg)
        own_kind = next((name for name in names_of(functions, cron_jobs) if name in SCANNERS), None)
        if own_kind is not None:
            msg = f"function {own_kind!r}{OWN_KIND}"
            raise SettingsError(msg)
        super().__init__(
            options.pop("functions"),
            environment=environment_of(environment, queue or default_queue_name),
            lease_s=lease_s,
            name=name,
            kind_wait_s=kind_wait_s,
            **options,
        )
        self.environment = environment
        self._has_health_key = True  # arq writes it by default
        self._aborting: asyncio.Task[None] | None = None
        self._waits_on = ""
        self.calls: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def _run(self) -> None:
        logger.info("Starting worker for %d functions: %s", len(self.functions), ", ".join(self.functions))
        if self.allow_abort_jobs:
            self._aborting = in_background(self._look_for_aborts, name="aborts")
        try:
            await super()._run()
        finally:
            if self._aborting is not None:
                await end(self._aborting)

    async def _open(self) -> None:
        await super()._open()
        await self.record_health()  # before the first job, so that health checks succeed while it is busy

    async def _connect(self) -> None:
        await super()._connect()
        most = connections_of(self.pool).max_connections
        if most < LEAST_CONNECTIONS:
            msg = f"max_connections of the Redis connections is {most}: a worker needs at least {LEAST_CONNECTIONS}"
            raise SettingsError(msg)
        await check_version(self.pool)

    def _over(self, pool: Redis) -> StreamPool:
        made = StreamPool.over(pool, environment=self.environment)
        made.default_queue_name = self.queue_name
        if self.redis_settings is not None:  # the program's own pool logs this itself, as in arq
            made.job_serializer, made.job_deserializer = self.job_serializer, self.job_deserializer
            made.expires_extra_ms = self.expires_extra_ms
        return made

    async def _look_for_aborts(self) -> None:
        """Stop aborted runs earlier than the next renewal of their leases would."""
        while True:
            await asyncio.sleep(LOOK_FOR_ABORTS_S)
            running = self.executor.running if self.has_started.is_set() else []
            if not running:
                continue
            try:
                async with self.pool.pipeline(transaction=False) as pipe:
                    for delivery in running:
                        pipe.hmget(self.keys.job(delivery.job_id), ["cancel_ms", "fence"])
                    replies = cast("list[list[bytes | None]]", await pipe.execute())
            except (RedisError, OSError):
                continue  # the lease keeper logs the outage and sees aborts at its next renewal
            for delivery, (cancelled, fence) in zip(running, replies, strict=True):
                if cancelled and fence == str(delivery.fence).encode():
                    self.executor.cancel_seen(delivery)

    async def record_health(self) -> None:
        """Write arq's health line under its key, which ``arq --check`` and ``sightline worker --check`` read."""
        now = time.time()
        if now - self._last_health_check < self.health_check_interval:
            return
        self._last_health_check = now
        lanes, scheduled = await self.stream.lanes.depth()
        counts = (
            f"j_complete={self.jobs_complete} j_failed={self.jobs_failed} j_retried={self.jobs_retried} "
            f"j_ongoing={len(self.executor.running)} queued={lanes + scheduled}"
        )
        line = f"{datetime.now(self.timezone):%b-%d %H:%M:%S} {counts}"
        await self.pool.psetex(self.health_check_key, int((self.health_check_interval + 1) * 1000), line.encode())
        if self._last_health_check_log not in {None, counts}:  # as arq, not the first time
            logger.info("recording health: %s", line)
        self._last_health_check_log = counts

    def handle_sig(self, signum: signal.Signals) -> None:
        """Stop claiming, give running jobs their grace period, requeue the rest. A second signal ends the grace."""
        self._log_shutdown(signal.Signals(signum).name, "ongoing to cancel")
        super().handle_sig(signum)

    def handle_sig_wait_for_completion(self, signum: signal.Signals) -> None:
        """The same, for a worker with ``job_completion_wait``."""
        self._waits_on = signal.Signals(signum).name
        logger.info("Setting allow_pick_jobs to `False`")
        self.allow_pick_jobs = False
        self._log_shutdown(self._waits_on, "to be completed")
        super().handle_sig(signum)

    def end_of_grace(self) -> None:
        """Log arq's line at the end of ``job_completion_wait``."""
        if self._waits_on:
            self._log_shutdown(f"{self._waits_on}, wait complete", "ongoing to cancel")

    def _log_shutdown(self, on: str, what: str) -> None:
        counts = (self.jobs_complete, self.jobs_failed, self.jobs_retried, len(self.tasks))
        logger.info("shutdown on %s ◆ %d jobs complete ◆ %d failed ◆ %d retries ◆ %d %s", on, *counts, what)

    async def close(self) -> None:
        """Stop if running, run ``on_shutdown`` and close the connections."""
        if not self._handle_signals:
            self.handle_sig(signal.SIGUSR1)
        await super().close()

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs that are due, each once even if a worker is late."""
        with cron_ticks():
            await super().run_cron(n, delay, num_windows)


def names_of(functions: Sequence[JobFunctionOfArq], cron_jobs: Sequence[CronJob] | None) -> list[str]:
    """Return the names under which jobs call the functions of a worker."""
    given = [*functions, *(cron_jobs or ())]
    return [getattr(entry, "name", None) or getattr(entry, "__qualname__", "") for entry in given]


async def check_version(redis: Redis) -> None:
    """Raise ``RedisUnsuitable`` if Redis is too old, unless this user may not ask for its version.

    On an older one, which arq itself supports, scripts fail with compile errors.
    """
    try:
        version = str((await cast("Any", redis).info("server"))["redis_version"])
    except ResponseError:
        return
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST_REDIS:
        msg = f"Redis is version {version}: expected {OLDEST_REDIS} or newer, whose scripts have flags; use redis:8"
        raise RedisUnsuitable(msg)


def create_worker(settings: object, **options: Any) -> ArqWorker:
    """Return the worker of a ``WorkerSettings`` class (or dict), including inherited attributes and ``options``."""
    if not isinstance(settings, type | Mapping):
        msg = f"WorkerSettings is a {type(settings).__name__}: expected a class or a dict"
        raise SettingsError(msg)
    known = signature(ArqWorker).parameters
    if isinstance(settings, Mapping):
        given = cast("Mapping[str, Any]", settings)
    else:
        given = {name: getattr(settings, name) for name in dir(settings)}
    chosen = {name: value for name, value in given.items() if name in known}
    with _making_ours:
        arqs, arq.worker.Worker = arq.worker.Worker, ArqWorker
        try:  # what instruments create_worker wraps it
            return cast("ArqWorker", cast("Any", arq.worker.create_worker)(chosen, **options))
        finally:
            arq.worker.Worker = arqs


_making_ours = Lock()
_run_on_arq = Worker.run_job


@wraps(_run_on_arq)
async def _run_job(self: Worker, job_id: str, score: int) -> Any:
    """Run a started job of either worker; instrumentation of ``run_job`` (such as tracing) wraps this function."""
    if isinstance(self, ArqWorker):
        return await self.calls.pop(job_id)()
    return await _run_on_arq(self, job_id, score)


cast("Any", Worker).run_job = _run_job  # arq has no hook for this; its version is pinned


def run_worker(settings: object, **options: Any) -> ArqWorker:
    """Run the worker of a ``WorkerSettings`` class until it is stopped."""
    worker = create_worker(settings, **options)
    worker.run()
    return worker
