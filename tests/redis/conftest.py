"""The history of the test's environment."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder


@pytest.fixture
async def history(redis: Redis, keys: Keys) -> History:
    history = History(Embeddings(redis, keys, BuiltinEmbedder()))
    await history.ensure_index()
    return history
