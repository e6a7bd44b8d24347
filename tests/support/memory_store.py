"""Makes memory stores on the test's keys: one per test, or one per example of a property."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from producer.keys import Keys
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

REAL_REDIS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_numbers = itertools.count()


async def opened(redis: Redis, keys: Keys, **options: Any) -> Memories:
    store = Memories(Embeddings(redis, keys, BuiltinEmbedder()), **options)
    await store.ensure_index()
    return store


@asynccontextmanager
async def example_of(redis_url: str, keys: Keys, **options: Any) -> AsyncGenerator[Memories]:
    """A store in a separate environment for one example of a property; its index is dropped afterwards."""
    part = Keys(f"{keys.environment}-{next(_numbers)}")
    async with Redis.from_url(redis_url, protocol=2) as redis:
        yield await opened(redis, part, **options)
        await redis.execute_command("FT.DROPINDEX", f"{part.prefix}memories", "DD")
