"""Opens and closes what jobs share: models, memories, the browser; jobs find it as ``ctx["resources"]``.

Opening fails early and in words: a model that cannot be had, a Redis without search, a machine without a browser each
end the start with one line. Nothing here lives longer than the worker; all that lasts is in Redis.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.asyncio import Redis

from producer.keys import Keys
from worker.agent.scan_graph import ScanGraph
from worker.memory.checkpoints import scan_saver
from worker.memory.history import History
from worker.models.routing import chat_model, embedder
from worker.politeness import HostGate, PoliteEngine
from worker.scan.engine import ScanEngine, ScanSettings
from worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker's jobs share."""

    keys: Keys
    engine: ScanEngine
    history: History
    scan_graph: ScanGraph
    embedding_model: str


@asynccontextmanager
async def open_resources(settings: WorkerSettings, redis: Redis) -> AsyncGenerator[Resources]:
    """Open everything on a Redis client that stays its owner's.

    Raises ``SettingsError``, ``RedisUnsuitable`` (no search) and ``DependencyMissing`` (no browser).
    """
    keys = Keys(settings.environment)
    embed = embedder(settings.embedding_model)
    history = History(redis, keys, embed)
    await history.ensure_index()
    saver = await scan_saver(redis, keys)
    gate = HostGate(redis, keys, places=settings.host_places, gap_ms=settings.host_gap_ms)
    async with ScanEngine(scan_settings(settings)) as engine:
        graph = ScanGraph(
            engine=PoliteEngine(engine, gate),
            chat=chat_model(settings.chat_model),
            embedder=embed,
            history=history,
            environment=settings.environment,
            checkpointer=saver,
        )
        yield Resources(keys, engine, history, graph, settings.embedding_model)


def scan_settings(settings: WorkerSettings) -> ScanSettings:
    """Return the engine's part of the settings; one place of several is a question's, so fewer pages load at a time."""
    redis_port = urlsplit(settings.redis_url).port or 6379
    return ScanSettings(
        allow_private=settings.scan_allow_private,
        closed_ports=(redis_port,),
        browser_path=settings.browser_path or None,
        max_concurrent=max(1, settings.max_jobs - 1),
    )
