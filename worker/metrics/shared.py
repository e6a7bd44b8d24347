"""The shared state of an environment in Redis: lanes, dead letters, the GPU pool, the cache, memory.

Read when Prometheus scrapes, so every worker reports the same: queries take ``max without (instance)``, not the sum. If
Redis does not answer in time, these are missing and ``sightline_redis_up`` is 0. If a record cannot be read, they are
missing and ``background.failed`` is logged, which an alert reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.client.gpu_view import GpuView, read_gpu
from producer.client.lane_view import LaneInfo, lane_infos
from producer.client.queue_view import lost_workers
from producer.keys import Keys
from worker.metrics.batches import BatchFacts, batch_families, read_batches
from worker.metrics.redis_health import RedisHealth, health_families, read_health
from worker.telemetry import note_failure

READ_WITHIN_S: Final = 4.0
"""Prometheus gives up after 10 s by default."""


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """One reading. ``cache`` has the numbers of look-ups in the cache, by outcome."""

    lanes: Mapping[str, LaneInfo]
    scheduled: int
    dead: int
    lost: tuple[str, ...]
    gpu: GpuView
    cache: Mapping[str, int]
    redis: RedisHealth
    batches: BatchFacts


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """Facts known only to this worker: its name and slots, the jobs it runs, its browser's resident memory."""

    worker: str
    version: str
    places: int
    running: int
    browser_bytes: int
    is_sandboxed: bool | None = None
    """Whether its browser runs in a sandbox; None before the browser was started."""


async def read_shared(redis: Redis, keys: Keys) -> SharedFacts:
    """Read all facts in a few round trips, whatever the number of keys. Raises redis-py's errors."""
    call = cast("Any", redis)
    async with call.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.scheduled)
        pipe.xlen(keys.dead)
        pipe.hgetall(keys.cache_stats)
        scheduled, dead, cache = await pipe.execute()
    return SharedFacts(
        lanes=await lane_infos(redis, keys),
        scheduled=scheduled,
        dead=dead,
        lost=tuple(await lost_workers(redis, keys)),
        gpu=await read_gpu(redis, keys),
        cache={name.decode(): int(value) for name, value in cache.items()},
        redis=await read_health(redis, keys),
        batches=await read_batches(redis, keys),
    )


class StateCollector(Collector):
    """Reads both kinds of facts on the worker's loop when Prometheus scrapes, from a separate thread."""

    def __init__(
        self,
        environment: str,
        loop: asyncio.AbstractEventLoop,
        *,
        read: Callable[[], Awaitable[SharedFacts]],
        read_own: Callable[[], Awaitable[OwnFacts]],
    ) -> None:
        self._environment = environment
        self._loop = loop
        self._read = read
        self._read_own = read_own

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called by prometheus_client."""
        yield from own_families(self._environment, self._ask(self._read_own))
        try:
            facts = self._ask(self._read)
            is_up, shared = facts is not None, () if facts is None else tuple(shared_families(self._environment, facts))
        except Exception as error:  # noqa: BLE001  a strange record: without any metric, this worker would count as dead
            note_failure("metrics", error)
            is_up, shared = True, ()
        yield _gauge(self._environment, "redis_up", "Whether Redis answered in time", {(): float(is_up)})
        yield from shared

    def _ask(self, read: Callable[[], Awaitable[Any]]) -> Any:
        async def within() -> Any:
            async with asyncio.timeout(READ_WITHIN_S):
                return await read()

        try:
            return asyncio.run_coroutine_threadsafe(within(), self._loop).result(READ_WITHIN_S + 1)
        except (RedisError, OSError, TimeoutError, FutureTimeoutError, RuntimeError):
            return None  # RuntimeError: the loop has ended


def own_families(environment: str, facts: OwnFacts | None) -> Iterator[Metric]:
    """Yield the metrics of ``facts``; none if the worker's loop did not answer."""
    if facts is None:
        return
    gauge = gauge_of(environment)
    yield gauge("worker_info", "1 for each live worker", {(facts.worker, facts.version): 1}, "worker", "version")
    yield gauge("worker_places", "Maximum number of jobs that this worker runs at a time", {(): facts.places})
    yield gauge("worker_running", "Jobs this worker runs now", {(): facts.running})
    sandboxed = {} if facts.is_sandboxed is None else {(facts.worker,): float(facts.is_sandboxed)}
    yield gauge("worker_sandboxed", "Whether its browser runs in a sandbox", sandboxed, "worker")
    yield gauge("browser_memory_bytes", "Resident memory of the browser's processes", {(): facts.browser_bytes})


def shared_families(environment: str, facts: SharedFacts) -> Iterator[Metric]:
    """Yield the metrics of ``facts``. Pure."""
    gauge = gauge_of(environment)
    lanes = facts.lanes.items()
    jobs = {(lane, "waiting"): info.queued for lane, info in lanes}
    jobs |= {(lane, "running"): info.running for lane, info in lanes}
    yield gauge("queue_jobs", "Jobs in a lane", jobs, "lane", "state")
    oldest = {(lane,): (info.oldest_ms or 0) / 1000 for lane, info in lanes}
    yield gauge("queue_oldest_seconds", "Age of the oldest waiting job", oldest, "lane")
    yield gauge("worker_lost", "1 for each worker that has gone silent", dict.fromkeys(zip(facts.lost), 1), "worker")
    yield gauge("scheduled_jobs", "Jobs that wait for their due time or next attempt", {(): facts.scheduled})
    yield gauge("dead_letters", "Jobs on the dead-letter stream", {(): facts.dead})
    yield from health_families(gauge, facts.redis)
    asked = CounterMetricFamily("sightline_cache_lookups", "Cache look-ups", labels=["environment", "result"])
    for result in ("hits", "near_misses", "misses"):
        asked.add_metric([environment, result], facts.cache.get(result, 0))
    yield asked
    yield from _gpu_families(gauge, facts.gpu)
    yield from batch_families(gauge, facts.batches)


def gauge_of(environment: str) -> Callable[..., Metric]:
    """Return a function that makes a gauge from a name, a help text, values by labels, and the labels' names."""
    return partial(_gauge, environment)


def _gpu_families(gauge: Callable[..., Metric], gpu: GpuView) -> Iterator[Metric]:
    hosts = gpu.hosts
    up = {(host.name,): float(host.is_up) for host in hosts}
    slots = {(host.name, "chat"): host.chat for host in hosts} | {(host.name, "embed"): host.embed for host in hosts}
    used = {(host.name, "chat"): host.chat_used for host in hosts}
    used |= {(host.name, "embed"): host.embed_used for host in hosts}
    waiting = {(kind, lane): 0 for kind in ("chat", "embed") for lane in ("interactive", "batch")}
    for waiter in gpu.waiters:
        waiting[waiter.kind, waiter.priority] += 1
    longest = max((waiter.waited_ms for waiter in gpu.waiters), default=0) / 1000
    size = {(host.name, model.name): model.size_bytes for host in hosts for model in host.loaded}
    missing = {(host.name,): len(host.missing) for host in hosts if host.is_up}
    outdated = {(host.name,): float(host.is_outdated) for host in hosts if host.is_up}
    vram = {(host.name, model.name): model.vram_bytes for host in hosts for model in host.loaded}
    yield gauge("gpu_host_up", "Whether a model host passed its last health check", up, "host")
    yield gauge("gpu_slots", "Maximum number of concurrent model calls of a host", slots, "host", "kind")
    yield gauge("gpu_slots_used", "Model calls that hold a slot", used, "host", "kind")
    yield gauge("gpu_waiting", "Model calls that wait for a slot", waiting, "kind", "lane")
    yield gauge("gpu_oldest_wait_seconds", "Wait of the model call that waits longest", {(): longest})
    yield gauge("gpu_vram_bytes", "GPU memory used by a loaded model", vram, "host", "model")
    yield gauge("gpu_model_bytes", "Memory used by a loaded model, including GPU memory", size, "host", "model")
    yield gauge("gpu_models_missing", "Models that workers need and a host lacks", missing, "host")
    yield gauge("gpu_host_outdated", "Whether a host's Ollama is too old for its model", outdated, "host")


def _gauge(
    environment: str, name: str, about: str, values: Mapping[tuple[str, ...], float], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sightline_{name}", about, labels=["environment", *labels])
    for key, value in values.items():
        family.add_metric([environment, *key], value)
    return family
