"""What every worker of an environment can see in Redis: the lanes, dead letters, the GPU pool, the cache, the memory.

Read when Prometheus asks, so each worker tells the same: queries take ``max without (instance)``, not the sum. What
cannot be read in time is left out, and ``sightline_redis_up`` is 0.
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
from producer.keys import Keys
from worker.metrics.batches import BatchFacts, batch_families, read_batches

READ_WITHIN_S: Final = 4.0
"""Prometheus gives up after 10 s by default."""


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """One reading. ``cache`` is how often the cache was asked, by what it came to; memory in bytes, limit 0 is none."""

    lanes: Mapping[str, LaneInfo]
    scheduled: int
    dead: int
    gpu: GpuView
    cache: Mapping[str, int]
    memory_used: int
    memory_limit: int
    writes_ok: bool
    batches: BatchFacts


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """What only this worker knows: its name and places, the jobs it runs, its browser's resident memory."""

    worker: str
    version: str
    places: int
    running: int
    browser_bytes: int


async def read_shared(redis: Redis, keys: Keys) -> SharedFacts:
    """Read it all in a handful of round trips, whatever the number of keys. Raises redis-py's errors."""
    call = cast("Any", redis)
    async with call.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.scheduled)
        pipe.xlen(keys.dead)
        pipe.hgetall(keys.cache_stats)
        pipe.info("memory")
        pipe.info("persistence")
        scheduled, dead, cache, memory, disk = await pipe.execute()
    return SharedFacts(
        lanes=await lane_infos(redis, keys),
        scheduled=scheduled,
        dead=dead,
        gpu=await read_gpu(redis, keys),
        cache={name.decode(): int(value) for name, value in cache.items()},
        memory_used=int(memory["used_memory"]),
        memory_limit=int(memory.get("maxmemory", 0)),
        writes_ok=all(disk.get(name, "ok") == "ok" for name in ("aof_last_write_status", "rdb_last_bgsave_status")),
        batches=await read_batches(redis, keys),
    )


class StateCollector(Collector):
    """Reads both kinds of facts on the worker's loop when Prometheus asks, in a thread of its own."""

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
        """Return the families; called by prometheus_client."""
        yield from own_families(self._environment, self._ask(self._read_own))
        facts = self._ask(self._read)
        yield _gauge(self._environment, "redis_up", "Whether Redis answered in time", {(): float(facts is not None)})
        if facts is not None:
            yield from shared_families(self._environment, facts)

    def _ask(self, read: Callable[[], Awaitable[Any]]) -> Any:
        async def within() -> Any:
            async with asyncio.timeout(READ_WITHIN_S):
                return await read()

        try:
            return asyncio.run_coroutine_threadsafe(within(), self._loop).result(READ_WITHIN_S + 1)
        except (RedisError, OSError, TimeoutError, FutureTimeoutError, RuntimeError):
            return None  # RuntimeError: the loop has ended


def own_families(environment: str, facts: OwnFacts | None) -> Iterator[Metric]:
    """Return what ``facts`` mean; nothing where the worker's loop did not answer."""
    if facts is None:
        return
    gauge = partial(_gauge, environment)
    yield gauge("worker_info", "1 for each live worker", {(facts.worker, facts.version): 1}, "worker", "version")
    yield gauge("worker_places", "Jobs this worker runs at a time", {(): facts.places})
    yield gauge("worker_running", "Jobs this worker runs now", {(): facts.running})
    yield gauge("browser_memory_bytes", "Resident memory of the browser's processes", {(): facts.browser_bytes})


def shared_families(environment: str, facts: SharedFacts) -> Iterator[Metric]:
    """Return what ``facts`` mean. Pure."""
    gauge = partial(_gauge, environment)
    lanes = facts.lanes.items()
    jobs = {(lane, "waiting"): info.queued for lane, info in lanes}
    jobs |= {(lane, "running"): info.running for lane, info in lanes}
    yield gauge("queue_jobs", "Jobs in a lane", jobs, "lane", "state")
    oldest = {(lane,): (info.oldest_ms or 0) / 1000 for lane, info in lanes}
    yield gauge("queue_oldest_seconds", "Age of the oldest waiting job", oldest, "lane")
    yield gauge("scheduled_jobs", "Jobs that wait for their time or their next attempt", {(): facts.scheduled})
    yield gauge("dead_letters", "Jobs on the dead-letter stream", {(): facts.dead})
    yield gauge("redis_memory_bytes", "Memory that Redis uses", {(): facts.memory_used})
    yield gauge("redis_memory_limit_bytes", "maxmemory of Redis; 0 is none", {(): facts.memory_limit})
    yield gauge("redis_writes_ok", "Whether the last write to Redis' disk succeeded", {(): float(facts.writes_ok)})
    asked = CounterMetricFamily("sightline_cache_lookups", "Cache look-ups", labels=["environment", "result"])
    for result in ("hits", "near_misses", "misses"):
        asked.add_metric([environment, result], facts.cache.get(result, 0))
    yield asked
    yield from _gpu_families(gauge, facts.gpu)
    yield from batch_families(gauge, facts.batches)


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
    vram = {(host.name, model.name): model.vram_bytes for host in hosts for model in host.loaded}
    yield gauge("gpu_host_up", "Whether a model host passed its last health check", up, "host")
    yield gauge("gpu_slots", "Model calls a host may run at a time", slots, "host", "kind")
    yield gauge("gpu_slots_used", "Model calls that hold a slot", used, "host", "kind")
    yield gauge("gpu_waiting", "Model calls that wait for a slot", waiting, "kind", "lane")
    yield gauge("gpu_oldest_wait_seconds", "Wait of the model call that waits longest", {(): longest})
    yield gauge("gpu_vram_bytes", "Memory of the card that a loaded model takes", vram, "host", "model")


def _gauge(
    environment: str, name: str, about: str, values: Mapping[tuple[str, ...], float], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sightline_{name}", about, labels=["environment", *labels])
    for key, value in values.items():
        family.add_metric([environment, *key], value)
    return family
