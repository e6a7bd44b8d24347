"""Makes memory stores on the test's keys."""

from __future__ import annotations

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


async def opened(redis: Redis, keys: Keys, **options: Any) -> Memories:
    store = Memories(Embeddings(redis, keys, BuiltinEmbedder()), **options)
    await store.ensure_index()
    return store
