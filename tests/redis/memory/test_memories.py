"""What the store of memories promises of its own: limits, filters, lives, indexes."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from tests.support.memory_store import opened
from worker.memory.items import MAX_FACETS, MAX_TEXTS
from worker.memory.memories import MemoryStore
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder


async def keys_of_memories(redis: Redis, keys: Keys) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")]


async def test_sixty_gets_at_once_find_sixty_memories(store: MemoryStore):
    await asyncio.gather(*(store.aput(("user", str(n)), "k", {"n": n}) for n in range(60)))

    found = await asyncio.gather(*(store.aget(("user", str(n)), "k") for n in range(60)))

    assert [item and item.value["n"] for item in found] == list(range(60))


async def test_a_filter_holds_before_the_limit_counts(store: MemoryStore):
    for number in range(450):
        await store.aput(("a",), str(number), {"text": f"same words {number}", "n": number})

    newest = await store.asearch(("a",), filter={"n": {"$lt": 3}}, limit=2)
    nearest = await store.asearch(("a",), query="same words", filter={"n": {"$lt": 3}}, limit=3)

    assert [item.value["n"] for item in newest] == [2, 1]
    assert {item.value["n"] for item in nearest} == {0, 1, 2}


async def test_a_memory_with_many_texts_is_found_by_each_of_them(store: MemoryStore):
    await store.aput(("a",), "big", {f"t{n}": f"text {n}" for n in range(MAX_FACETS + 1)}, index=False)
    await store.aput(("a",), "small", {"t1": "text 1"}, index=False)

    found = await store.asearch(("a",), filter={"t1": "text 1"})
    other = await store.asearch(("a",), filter={"t1": "text 2"})

    assert {item.key for item in found} == {"big", "small"}
    assert other == []


async def test_more_texts_than_can_be_embedded_are_refused_and_nothing_is_written(store: MemoryStore):
    with pytest.raises(ValueError, match=f"at most {MAX_TEXTS}"):
        await store.aput(("a",), "k", {"t": [str(n) for n in range(MAX_TEXTS + 1)]}, index=["t[*]"])

    assert await store.aget(("a",), "k") is None


async def test_a_memory_written_again_keeps_its_birth_and_loses_its_old_texts(store: MemoryStore):
    await store.aput(("a",), "k", {"t": ["red apple", "green pear"]}, index=["t[*]"])
    first = await store.aget(("a",), "k")
    await store.aput(("a",), "k", {"t": ["blue plum"]}, index=["t[*]"])

    again = await store.aget(("a",), "k")
    (found,) = await store.asearch(("a",), query="green pear")

    assert first is not None
    assert again is not None
    assert again.created_at == first.created_at
    assert again.updated_at >= first.updated_at
    assert found.score is not None
    assert found.score < 0.9


async def test_a_deleted_memory_leaves_no_key(redis: Redis, keys: Keys, store: MemoryStore):
    await store.aput(("a",), "k", {"t": ["one", "two", "three"]}, index=["t[*]"])
    written = await keys_of_memories(redis, keys)

    await store.adelete(("a",), "k")
    await store.adelete(("a",), "k")

    assert len(written) == 3
    assert await keys_of_memories(redis, keys) == []


async def test_a_ttl_holds_for_all_of_a_memory_and_begins_anew_when_it_is_read(
    redis: Redis, keys: Keys, store: MemoryStore
):
    await store.aput(("a",), "k", {"t": ["one", "two"]}, index=["t[*]"], ttl=2)
    every = await keys_of_memories(redis, keys)

    async def ttls() -> set[bool]:
        return {115 < await redis.ttl(key) <= 120 for key in every}

    async def age() -> None:
        for key in every:
            await redis.expire(key, 60)

    assert len(every) == 2
    assert await ttls() == {True}
    await age()
    await store.aget(("a",), "k", refresh_ttl=False)
    await store.asearch(("a",), refresh_ttl=False)
    assert await ttls() == {False}
    await store.aget(("a",), "k")
    assert await ttls() == {True}
    await age()
    await store.asearch(("a",), query="one")
    assert await ttls() == {True}


@pytest.mark.parametrize(("minutes", "ttl_s"), [(0.001, 1), (1e300, 100 * 366 * 86_400)])
async def test_a_ttl_is_within_what_redis_can_count(
    redis: Redis, keys: Keys, store: MemoryStore, minutes: float, ttl_s: int
):
    await store.aput(("a",), "k", {}, index=False, ttl=minutes)

    (key,) = await keys_of_memories(redis, keys)
    assert ttl_s - 1 <= await redis.ttl(key) <= ttl_s


async def test_the_default_ttl_is_the_store_s(redis: Redis, keys: Keys):
    store = await opened(redis, keys, ttl={"default_ttl": 10, "refresh_on_read": False})

    await store.aput(("a",), "short", {"t": "x"})
    await store.aput(("a",), "kept", {"t": "y"}, ttl=None)

    ttls = sorted([await redis.ttl(key) for key in await keys_of_memories(redis, keys)])
    assert ttls[0] == -1
    assert 590 < ttls[1] <= 600


async def test_an_expired_memory_is_neither_found_nor_listed(redis: Redis, keys: Keys, store: MemoryStore):
    await store.aput(("a",), "k", {"text": "one"}, ttl=1)
    for key in await keys_of_memories(redis, keys):
        await redis.pexpireat(key, 1)

    assert await store.aget(("a",), "k") is None
    assert await store.asearch((), query="one") == []
    assert await store.alist_namespaces() == []


async def test_a_value_that_is_not_json_is_refused(store: MemoryStore):
    with pytest.raises(ValueError, match=r"'k' in \('a',\) cannot be kept as JSON"):
        await store.aput(("a",), "k", {"t": object()}, index=False)


async def test_an_operator_that_stores_do_not_have_is_refused(store: MemoryStore):
    with pytest.raises(ValueError, match=r"'\$regex'"):
        await store.asearch(("a",), filter={"t": {"$regex": ".*"}})


async def test_sync_calls_work_from_a_thread_and_are_refused_on_the_loop(store: MemoryStore):
    await asyncio.to_thread(store.put, ("a",), "k", {"text": "x"})

    found = await asyncio.to_thread(store.get, ("a",), "k")

    assert found is not None
    with pytest.raises(RuntimeError, match="wait for itself"):
        store.get(("a",), "k")


class OtherEmbedder(BuiltinEmbedder):
    @property
    def name(self) -> str:
        return "nomic-embed-text"


async def test_another_embedding_model_is_refused(redis: Redis, keys: Keys, store: MemoryStore):
    with pytest.raises(SettingsError, match="set EMBEDDING_MODEL=builtin"):
        await MemoryStore(Embeddings(redis, keys, OtherEmbedder())).ensure_index()
    await store.ensure_index()


async def test_eight_workers_may_open_the_store_at_once(redis: Redis, keys: Keys):
    stores = await asyncio.gather(*(opened(redis, keys) for _ in range(8)))

    await stores[0].aput(("a",), "k", {"text": "x"})

    assert [len(await store.asearch(("a",), query="x")) for store in stores] == [1] * 8


async def test_an_index_dropped_under_a_running_worker_is_built_again(redis: Redis, keys: Keys, store: MemoryStore):
    await store.aput(("a",), "k", {"text": "x"})
    await redis.execute_command("FT.DROPINDEX", f"{keys.prefix}memories")

    assert [item.key for item in await store.asearch(("a",), query="x")] == ["k"]


async def test_of_too_many_memories_of_a_scope_the_oldest_go(redis: Redis, keys: Keys):
    store = await opened(redis, keys, fields=("text", "more"), most=3)

    for number in range(5):
        await store.aput(("shop",), f"k{number}", {"text": f"word {number}", "more": f"and {number}"})
    await store.aput(("other",), "k", {"text": "elsewhere"})
    await store.aput(("shop",), "k2", {"text": "written again"})

    kept = await store.asearch(("shop",), limit=10)
    by_meaning = await store.asearch(("shop",), query="word", limit=10)
    assert [item.key for item in kept] == ["k2", "k4", "k3"]
    assert sorted(item.key for item in by_meaning) == ["k2", "k3", "k4"]
    assert len(await store.asearch(("other",))) == 1
    assert len(await keys_of_memories(redis, keys)) == 6
