"""``python -m worker``: settings → resources → ``StreamWorker``, until a signal ends it."""

from __future__ import annotations

import gc

gc.disable()  # searching what is being imported for cycles takes a fifth of the time and finds nothing

import asyncio
import ctypes
import os
import sys
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from redis.asyncio import Redis

from producer.contract.distribution import VERSION
from producer.contract.page_search import FIND_TIMEOUT_S
from producer.contract.payloads import ASSESS, FIND_PAGES, FIX
from producer.errors import SightlineError
from producer.redis.connection import open_redis, redis_errors
from producer.redis.raw_connection import replied
from producer.settings import misspelt, setting_names
from worker.agent.assessment.job import TRIES
from worker.agent.fixes.job import ATTEMPTS
from worker.agent.handlers import JobContext
from worker.memory.vectors.indexes import redis_errors as memory_errors
from worker.notices.sender import open_sender, sending
from worker.notices.settings import listed
from worker.notices.webhook import Refuse
from worker.queue.arq_pool import StreamPool
from worker.queue.outcome import Commit, Lost, Requeued, Retried
from worker.queue.worker import StreamWorker, func
from worker.resources import Resources, open_resources, scan_settings
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.guard import Guard
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

gc.freeze()  # these 150,000 objects stay: each full collection would examine them, 0.2 s
gc.enable()

if TYPE_CHECKING:
    from worker.metrics.server import Metrics

LARGE_BYTES: Final = 128 * 1024
"""glibc's initial threshold."""
_M_TRIM_THRESHOLD: Final = -1  # mallopt(3), <malloc.h>
_M_MMAP_THRESHOLD: Final = -3

log = structlog.get_logger()


class Jobs:
    """The job functions that a worker registers. ``resources`` are set at start-up, before a job is claimed."""

    resources: Resources

    async def scan(self, ctx: JobContext, /, **payload: Any) -> Commit:
        """Scan one page."""
        return await self.resources.scans.run(ctx, payload)

    async def assess(self, ctx: JobContext, /, **payload: Any) -> Commit:
        """Assess one scan."""
        return await self.resources.assessments.run(ctx, payload)

    async def unassessed(self, payload: bytes, reason: str) -> Commit | None:
        """Return the commit that records that a scan stays without an assessment."""
        return await self.resources.assessments.settle(payload, reason)

    async def fix(self, ctx: JobContext, /, **payload: Any) -> Commit:
        """Try changes on one scanned page."""
        return await self.resources.fixes.run(ctx, payload)

    async def untried(self, payload: bytes, reason: str) -> Commit | None:
        """Return the commit that records that no change is tried on a page."""
        return await self.resources.fixes.settle(payload, reason)

    async def find_pages(self, ctx: JobContext, /, **payload: Any) -> dict[str, Any]:
        """Find the pages of a batch and submit their scans."""
        del ctx
        return await self.resources.searches.run(payload)

    async def query(self, ctx: JobContext, /, **payload: Any) -> Commit:
        """Answer one question."""
        return await self.resources.queries.run(ctx, payload)

    async def forget_scan(self, ctx: JobContext) -> None:
        """Drop the audit of a scan that has ended; it is kept for one that will run again."""
        if not isinstance(ctx["outcome"], Retried | Requeued | Lost):
            with memory_errors():
                await self.resources.scans.graph.forget(ctx["job_id"])


def build_worker(
    settings: WorkerSettings, redis: Redis, *, metrics: Metrics | None = None, burst: bool = False
) -> StreamWorker:
    """Return a worker with these settings; it opens its resources at start-up and closes them at shutdown."""
    opened, jobs, engine = AsyncExitStack(), Jobs(), ScanEngine(scan_settings(settings))

    async def open_all(_: JobContext) -> None:
        if metrics is not None:  # before the browser: a port in use is reported at once
            opened.enter_context(serving_metrics(metrics, settings, redis, worker, engine))
        notices = open_sender(settings, redis, worker.keys, refuse_webhook(settings))
        jobs.resources = await opened.enter_async_context(
            open_resources(settings, redis, engine, worker=worker.name, is_patient=not burst)
        )
        await opened.enter_async_context(sending(notices))
        if notices:
            worker.describe_more = lambda: {**described(), "notices": notices.told}
        spare_collections_what_stays()

    async def close_all(_: JobContext) -> None:
        await opened.aclose()

    # Any: arq's type of a function wants ``ctx`` to be a name as well, which a payload's field could take.
    functions: dict[str, Any] = {"scan": jobs.scan, "query": jobs.query}
    # No time-out: each of its calls has one, and a model host may be down for a long time.
    assess = func(cast("Any", jobs.assess), name=ASSESS, timeout=0, keep_result=0, max_tries=TRIES)
    find = func(cast("Any", jobs.find_pages), name=FIND_PAGES, timeout=FIND_TIMEOUT_S)
    fix = func(cast("Any", jobs.fix), name=FIX, keep_result=0, max_tries=ATTEMPTS)
    worker = StreamWorker(
        [*(func(function, name=kind) for kind, function in functions.items()), assess, fix, find],
        environment=settings.environment,
        lease_s=settings.lease_s,
        kind_wait_s=settings.kind_wait_s,
        assess_slots=assess_slots(settings),
        settle={ASSESS: jobs.unassessed, FIX: jobs.untried},
        redis_pool=StreamPool.over(redis, environment=settings.environment),
        on_startup=open_all,
        on_shutdown=close_all,
        after_job_end=jobs.forget_scan,
        max_jobs=settings.max_jobs,
        max_tries=settings.max_tries,
        job_timeout=settings.job_timeout_s,
        keep_result=settings.result_ttl_s,
        job_completion_wait=int(settings.shutdown_grace_s),
        burst=burst,
    )
    about = {
        "release": VERSION,
        "models": [settings.chat_model, settings.embedding_model],
        "hosts": [host.name for host in settings.ollama_hosts],
    }

    def described() -> dict[str, Any]:
        return {**about, "sandbox": engine.sandbox, "browser": engine.browser}

    worker.describe_more = described
    return worker


def refuse_webhook(settings: WorkerSettings) -> Refuse:
    """Return the check of webhook addresses: the page guard, with a separate list of allowed hosts."""
    guard = Guard(ScanSettings(allow_hosts=tuple(listed(settings.notify_allow_hosts))))

    def refuse(host: str, port: int, address: str) -> str | None:
        refused = guard.refuse(host, port, address)
        return None if refused is None else f"the guard refused its host: rule {refused.rule!r}"

    return refuse


def assess_slots(settings: WorkerSettings) -> int:
    """Return how many assessments a worker runs at a time: per chat slot, one running and one waiting."""
    return 1 + sum(host.chat for host in settings.ollama_hosts)


def spare_collections_what_stays() -> None:
    """Exclude the libraries' 150,000 objects, which live as long as the process, from garbage collection.

    Each full collection examined them, which stopped the event loop for 40 to 150 ms. Safe to call twice.
    """
    gc.collect()
    gc.freeze()


def keep_large_blocks_apart() -> bool:
    """Have the C library give large blocks back to the system when they are freed; False without glibc's malloc.

    glibc maps blocks of 128 KiB and more one by one, until the first of them is freed: then it treats that size, up to
    32 MiB, as usual and keeps such blocks in its heap, which cannot shrink below the small blocks above them. Page
    results, screenshots and browser messages are such blocks, of all sizes: the heap of a worker grew whenever a larger
    one came (ops/decisions/0013-large-blocks-of-malloc.md). Safe to call twice.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, LARGE_BYTES) == 1 for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def serving_metrics(
    metrics: Metrics, settings: WorkerSettings, redis: Redis, worker: StreamWorker, engine: ScanEngine
) -> AbstractContextManager[int]:
    """Return a context manager that answers Prometheus. Entering raises ``SettingsError`` if the port is in use."""
    from worker.metrics.shared import OwnFacts, StateCollector, read_shared  # noqa: PLC0415  only where it is used

    async def read_own() -> OwnFacts:
        return OwnFacts(
            worker=worker.name,
            version=VERSION,
            places=worker.max_jobs,
            running=len(worker.executor.running),
            browser_bytes=await engine.resident_mb() << 20,
            is_sandboxed=engine.sandbox == "on" if engine.sandbox else None,
        )

    collector = StateCollector(
        settings.environment,
        asyncio.get_running_loop(),
        read=partial(read_shared, redis, worker.keys),
        read_own=read_own,
    )
    return metrics.serving(collector, host=settings.metrics_host, port=settings.metrics_port)


def open_metrics(settings: WorkerSettings) -> Metrics | None:
    """Return the metrics of this process, or None without METRICS_PORT."""
    if not settings.metrics_port:
        return None
    from worker.metrics.server import Metrics  # noqa: PLC0415  prometheus_client only if it is used

    return Metrics(settings.environment)


async def run(settings: WorkerSettings, *, metrics: Metrics | None = None, burst: bool = False) -> None:
    """Run one worker until SIGTERM or SIGINT, or in burst mode until there is nothing left to do."""
    redis = open_redis(settings)
    with redis_errors(settings, None):
        await replied(redis.ping())
    with redis_errors(settings):
        worker = build_worker(settings, redis, metrics=metrics, burst=burst)
        try:
            await worker.main()
        finally:
            await worker.close()


def main(*, burst: bool = False) -> int:
    """Read the settings and run; returns the exit code."""
    keep_large_blocks_apart()
    try:
        settings = WorkerSettings.from_env(os.environ)
        metrics = open_metrics(settings)
        watch = metrics.events.count if metrics else None
        configure_logging(
            level=settings.log_level, form=settings.log_format, tracebacks=settings.log_tracebacks, watch=watch
        )
        for hint in misspelt(os.environ, setting_names(WorkerSettings)):
            log.warning("settings.misspelt", hint=hint)
        asyncio.run(run(settings, metrics=metrics, burst=burst))
    except SightlineError as error:
        print(f"sightline: {error}", file=sys.stderr)  # noqa: T201  the user's answer, not a log
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
