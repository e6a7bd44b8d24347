"""A store of memories, and an environment whose vectors can be moved from one embedding model to another."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.memory_store import opened
from tests.support.two_models import NAMES, Environment, OtherEmbedder
from worker.memory.memories import Memories


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> Memories:
    return await opened(redis, keys)


@pytest.fixture
async def place(redis: Redis, keys: Keys) -> Environment:
    place = Environment(redis, keys, OtherEmbedder())
    await place.history.ensure_index()
    await place.memories.ensure_index()
    for name in NAMES:
        await place.scan(name)
    await place.memories.put(("user",), "tea", {"text": "likes tea and green cups"})
    await place.memories.put(("user",), "coffee", {"text": "likes coffee"})
    return place
