"""A store of memories, and an environment whose vectors can be moved from one embedding model to another."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.memory_store import opened
from tests.support.two_models import NAMES, Environment, OtherEmbedder
from worker.memory.memories import MemoryStore


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> MemoryStore:
    return await opened(redis, keys, fields=("text",))


@pytest.fixture
async def place(redis: Redis, keys: Keys) -> Environment:
    place = Environment(redis, keys, OtherEmbedder())
    await place.history.ensure_index()
    await place.memories.ensure_index()
    for name in NAMES:
        await place.scan(name)
    await place.memories.aput(("user",), "tea", {"text": "likes tea", "more": "and green cups"})
    await place.memories.aput(("user",), "bare", {"n": 1}, index=False)
    return place
