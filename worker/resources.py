"""Opens and closes what jobs share: models, memories, the browser; binds the job functions to it.

Opening fails early with a clear message: an invalid model, a Redis without search or a machine without a browser each
stop the start with one line. Nothing here outlives the worker; everything lasting is in Redis.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JsonObject
from producer.keys import Keys
from producer.redis_address import REDIS_PORT
from worker.agent.assessment.graph import ScanGraph
from worker.agent.assessment.job import AssessJobs
from worker.agent.assessment.site_order import SiteOrders
from worker.agent.conversation.cached_answers import AnswerStore
from worker.agent.conversation.graph import QueryGraph
from worker.agent.conversation.side_effects import SideEffects
from worker.agent.conversation.tools import Toolbox
from worker.agent.fixes.job import FixJobs
from worker.agent.fixes.model import ModelProposer
from worker.agent.handlers import QueryJobs, ScanJobs
from worker.agent.job_secrets import secrets_of
from worker.limits.batch_login import batch_login
from worker.limits.conversation_hold import Threads
from worker.limits.host_gate import HostGate, PoliteEngine
from worker.memory.audits import Audits
from worker.memory.cache import AnswerCache
from worker.memory.checkpoints import conversation_saver
from worker.memory.history.history import History
from worker.memory.memories import Memories
from worker.memory.vectors.backfill import keep_backfilled
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import NAME
from worker.models.protocols import ChatModel
from worker.models.routing import open_models
from worker.page_search import PageSearchJobs
from worker.scan.engine import ScanEngine, ScanSettings
from worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Resources:
    """The job functions of one worker, with their shared resources."""

    scans: ScanJobs
    assessments: AssessJobs
    fixes: FixJobs
    queries: QueryJobs
    searches: PageSearchJobs


@asynccontextmanager
async def open_resources(
    settings: WorkerSettings, redis: Redis, engine: ScanEngine, *, worker: str = "", is_patient: bool = True
) -> AsyncGenerator[Resources]:
    """Open everything with a Redis client that the caller closes; ``worker`` is the name shown with its model calls.

    ``is_patient``: trying changes on a page is postponed while the worker tries changes on another.

    Raises ``SettingsError``, ``RedisUnsuitable`` (no search) and ``DependencyMissing`` (no browser).
    """
    keys = Keys(settings.environment)
    gate = HostGate(redis, keys, slots=settings.host_places, gap_ms=settings.host_gap_ms)
    async with open_models(settings, redis, keys, worker=worker) as models:
        vectors = Embeddings(redis, keys, models.embedder, models.open_embedder)
        history = History(vectors)
        await history.ensure_index()  # before the browser: a Redis without search is reported at once
        async with keep_backfilled(vectors), engine:
            polite = PoliteEngine(engine, gate)
            graph = ScanGraph(
                engine=polite,
                chat=models.chat if settings.chat_model == NAME else None,
                history=history,
                audits=Audits(redis, keys),
                review_areas=settings.review_areas,
            )
            scans = ScanJobs(
                graph,
                keys,
                secrets_of(redis, keys),
                settings.screenshot_ttl_s,
                settings.try_fixes,
                keeper_of=partial(batch_login, redis, keys),
                batch_pages=asyncio.Semaphore(scan_settings(settings).max_concurrent),
            )
            assessments = AssessJobs(
                models.chat,
                redis,
                keys,
                settings.review_areas,
                usage_ttl_s=settings.usage_ttl_s,
                orders=SiteOrders(models.chat, history, redis, keys),
            )
            proposer = None if settings.chat_model == NAME else ModelProposer(models.chat)
            fixes = FixJobs(polite, redis, keys, proposer=proposer, is_patient=is_patient)
            queries = QueryJobs(await query_graph(settings, models.chat, vectors, history))
            searches = PageSearchJobs(Client(settings, redis=redis), scan_settings(settings))
            yield Resources(scans, assessments, fixes, queries, searches)


async def query_graph(settings: WorkerSettings, chat: ChatModel, vectors: Embeddings, history: History) -> QueryGraph:
    """Return the graph that answers questions, after creating its indexes."""
    redis, keys = vectors.redis, vectors.keys
    cache = AnswerCache(vectors, distance=settings.cache_distance_threshold, ttl_s=settings.cache_ttl_s)
    memories = Memories(vectors, ttl_s=settings.memory_ttl_s, most=settings.memory_most)
    await cache.ensure_index()
    await memories.ensure_index()
    client = Client(settings, redis=redis)

    async def submit(job_id: str, payload: JsonObject) -> object:
        return await client.submit("scan", payload, job_id=job_id)

    async def result_of(job_id: str) -> bytes | None:
        return await cast("Awaitable[bytes | None]", redis.get(keys.result(job_id)))

    effects = SideEffects(redis, keys, memories, submit)
    tools = Toolbox(history=history, effects=effects, result_of=result_of)
    return QueryGraph(
        chat=chat,
        tools=tools,
        answers=AnswerStore(cache, model=chat.name, now_ms=history.now_ms),
        threads=Threads(redis, keys),
        checkpointer=await conversation_saver(redis, keys, ttl_s=settings.conversation_ttl_s),
        environment=settings.environment,
    )


def scan_settings(settings: WorkerSettings) -> ScanSettings:
    """Return the engine's part of the settings.

    Of several slots one is reserved for questions, of four or more another holds the next scan, and more pages than
    cores only slow each other down. Even if private addresses may be scanned, Sightline's own Redis and Ollama may not.
    """
    others = 2 if settings.max_jobs > 3 else 1  # noqa: PLR2004
    address = settings.address
    redis_ports = {port for _, port in address.hosts} | ({REDIS_PORT} if address.service or address.path else set())
    ollama_ports = (urlsplit(host.address).port or 80 for host in settings.ollama_hosts)
    return ScanSettings(
        allow_private=settings.scan_allow_private,
        allow_hosts=tuple(filter(None, (host.strip() for host in settings.scan_allow_hosts.split(",")))),
        closed_ports=(*sorted(redis_ports), *(port for port in ollama_ports if port not in {80, 443})),
        browser_path=settings.browser_path or None,
        sandbox=settings.scan_sandbox,
        max_names=0 if settings.chat_model == NAME else settings.names_judged,
        max_pictures=settings.pictures_judged,
        max_concurrent=max(1, min(settings.max_jobs - others, os.cpu_count() or 2)),
    )
