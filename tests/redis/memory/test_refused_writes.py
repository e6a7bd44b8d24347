"""An error of a write that Redis refuses holds nothing of what was to be written: it is logged and shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from producer.keys import Keys
from tests.support.memory_store import opened
from tests.support.redis_server import StartServer
from tests.support.scans import placed
from worker.memory.cache import AnswerCache, Scope
from worker.memory.checkpoints import conversation_saver
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

QUIET: Final = "who is ill?"


@pytest.fixture
async def filling(redis_server: StartServer) -> AsyncGenerator[Redis]:
    async with Redis.from_url(redis_server().url, protocol=2) as redis:
        yield redis


async def test_of_a_conversation(filling: Redis, keys: Keys):
    saver = await conversation_saver(filling, keys, ttl_s=600)
    about = {"thread_id": f"{keys.environment}:talk:a", "checkpoint_ns": "", "checkpoint_id": "1"}
    await filling.config_set("maxmemory", "1")

    with pytest.raises(OutOfMemoryError) as refused:
        await saver.aput_writes({"configurable": about}, [("turns", [QUIET])], "task")

    assert "JSON.SET" not in str(refused.value)


async def test_of_an_answer(filling: Redis, keys: Keys):
    cache = AnswerCache(Embeddings(filling, keys, BuiltinEmbedder()))
    await cache.ensure_index()
    scope = Scope(site="shop.example", generation=3, model="builtin", prompt="ask-1")
    await filling.config_set("maxmemory", "1")

    with pytest.raises(OutOfMemoryError) as refused:
        await cache.keep(QUIET, "You.", placed(QUIET), scope)

    assert QUIET not in str(refused.value)


async def test_of_a_memory(filling: Redis, keys: Keys):
    store = await opened(filling, keys)
    await filling.config_set("maxmemory", "1")

    with pytest.raises(OutOfMemoryError) as refused:
        await store.put(("a",), "k", {"text": QUIET})

    assert QUIET not in str(refused.value)
