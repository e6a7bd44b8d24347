"""Pools, models and an Ollama for the tests of the GPU pool."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.gpu import ONE, PROBED_OFTEN, USUAL
from tests.support.ollama_models import Open, OpenPool
from tests.support.ollama_server import OllamaServer
from worker.gpu.hosts import Host
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import PoolScripts, Timing
from worker.models import slot_calls as gpu_calls
from worker.models.routing import Models, open_models
from worker.settings import WorkerSettings


@pytest.fixture
def scripts(redis: Redis, keys: Keys) -> PoolScripts:
    return PoolScripts(redis, keys, Timing())


@pytest.fixture
async def open_pool(redis_url: str, keys: Keys) -> AsyncGenerator[OpenPool]:
    async with AsyncExitStack() as stack:

        async def open_one(
            worker: str, *, hosts: tuple[Host, ...] = ONE, url: str = redis_url, timing: Timing = USUAL, **options: Any
        ) -> GpuPool:
            client = await stack.enter_async_context(Redis.from_url(url, protocol=2))
            pool = GpuPool(client, keys, hosts, worker=worker, timing=timing, **options)
            await pool.open()
            stack.push_async_callback(pool.close)
            return pool

        yield open_one


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    async with OllamaServer() as server:
        yield server


@pytest.fixture
async def open_with(redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Open]:
    monkeypatch.setattr(gpu_calls, "PAUSE_S", 0.01)
    async with AsyncExitStack() as stack:

        async def open_one(url: str, **settings: Any) -> Models:
            chosen = WorkerSettings(ollama_base_url=url, **settings)
            return await stack.enter_async_context(open_models(chosen, redis, keys, worker="w1", timing=PROBED_OFTEN))

        yield open_one
