"""The memories' promises: limits, order, lifetimes, indexes."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from tests.support.memory_store import opened
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder


async def keys_of_memories(redis: Redis, keys: Keys) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")]


async def test_the_newest_come_first_and_no_more_than_asked_for(store: Memories):
    for number in range(60):
        await store.put(("a",), str(number), {"text": f"same words {number}", "n": number})

    newest = await store.search(("a",), limit=2)
    nearest = await store.search(("a",), query="same words 7", limit=3)

    assert [item.value["n"] for item in newest] == [59, 58]
    assert (len(nearest), nearest[0].value["n"], round(nearest[0].score or 0, 3)) == (3, 7, 1.0)


async def test_a_memory_written_again_loses_its_old_text(redis: Redis, keys: Keys, store: Memories):
    await store.put(("a",), "k", {"text": "green pear"})
    (key,) = await keys_of_memories(redis, keys)
    written = (await store.search(("a",)))[0].updated_us
    await store.put(("a",), "k", {"text": "blue plum"})

    (found,) = await store.search(("a",), query="green pear")

    assert await keys_of_memories(redis, keys) == [key]
    assert found.updated_us > written
    assert found.score is not None
    assert found.score < 0.9


@pytest.mark.parametrize("query", ["", "one"])
async def test_a_ttl_begins_again_when_a_memory_is_read(redis: Redis, keys: Keys, query: str):
    store = await opened(redis, keys, ttl_s=120)
    await store.put(("a",), "k", {"text": "one"})
    (key,) = await keys_of_memories(redis, keys)

    written = await redis.ttl(key)
    await redis.expire(key, 60)
    await store.search(("a",), query=query)

    assert 115 < written <= 120
    assert 115 < await redis.ttl(key) <= 120


async def test_without_a_ttl_a_memory_is_kept(redis: Redis, keys: Keys, store: Memories):
    await store.put(("a",), "k", {"text": "one"})
    await store.search(("a",))

    assert [await redis.ttl(key) for key in await keys_of_memories(redis, keys)] == [-1]


async def test_an_expired_memory_is_not_found(redis: Redis, keys: Keys, store: Memories):
    await store.put(("a",), "k", {"text": "one"})
    for key in await keys_of_memories(redis, keys):
        await redis.pexpireat(key, 1)

    assert await store.search((), query="one") == []
    assert await store.search(()) == []


async def test_a_memory_of_the_previous_release_is_found_and_replaced(redis: Redis, keys: Keys, store: Memories):
    await store.put(("a",), "k", {"text": "green pear"})
    (key,) = await keys_of_memories(redis, keys)
    await redis.execute_command("HSET", key, "facets", "f" * 40)

    (found,) = await store.search(("a",), query="green pear")
    await store.put(("a",), "k", {"text": "blue plum"})

    assert (found.namespace, found.key, found.value) == (("a",), "k", {"text": "green pear"})
    assert [item.value for item in await store.search(("a",))] == [{"text": "blue plum"}]


async def test_of_too_many_memories_of_a_scope_the_oldest_are_dropped(redis: Redis, keys: Keys):
    store = await opened(redis, keys, most=3)

    for number in range(5):
        await store.put(("shop",), f"k{number}", {"text": f"word {number}"})
    await store.put(("other",), "k", {"text": "elsewhere"})
    await store.put(("shop",), "k2", {"text": "written again"})

    kept = await store.search(("shop",), limit=10)
    by_meaning = await store.search(("shop",), query="word", limit=10)
    assert [item.key for item in kept] == ["k2", "k4", "k3"]
    assert sorted(item.key for item in by_meaning) == ["k2", "k3", "k4"]
    assert len(await keys_of_memories(redis, keys)) == 4


class OtherEmbedder(BuiltinEmbedder):
    name = "nomic-embed-text"


async def test_another_embedding_model_is_refused(redis: Redis, keys: Keys, store: Memories):
    with pytest.raises(SettingsError, match="set EMBEDDING_MODEL=builtin"):
        await Memories(Embeddings(redis, keys, OtherEmbedder())).ensure_index()
    await store.ensure_index()


async def test_eight_workers_may_open_the_store_at_once(redis: Redis, keys: Keys):
    stores = await asyncio.gather(*(opened(redis, keys) for _ in range(8)))

    await stores[0].put(("a",), "k", {"text": "x"})

    assert [len(await store.search(("a",), query="x")) for store in stores] == [1] * 8


async def test_an_index_dropped_under_a_running_worker_is_built_again(redis: Redis, keys: Keys, store: Memories):
    await store.put(("a",), "k", {"text": "x"})
    await redis.execute_command("FT.DROPINDEX", f"{keys.prefix}memories")

    assert [item.key for item in await store.search(("a",), query="x")] == ["k"]
