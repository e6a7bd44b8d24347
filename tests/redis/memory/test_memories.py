from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from redis.asyncio import Redis

from producer.errors import SettingsError
from producer.keys import Keys
from tests.support.scans import vector_of
from worker.memory.embeddings import Embeddings
from worker.memory.items import MAX_FACETS, MAX_TEXTS
from worker.memory.memories import MemoryStore
from worker.models.builtin import DIMS, BuiltinEmbedder

# What packaged stores got wrong, and what a query language could misread.
AWKWARD = ["user", "User", "1", "10", "a,b", "a|b", "a b", " a", "a", "{a}", "*", "a:b", "ü", "-", "~", "x" * 5_000]
LABELS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(min_size=1, max_size=8).filter(lambda label: "." not in label and "\x00" not in label),
)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=4).map(tuple).filter(lambda path: path[0] != "langgraph")
NAMES = st.one_of(st.sampled_from(["k", "K", "k:1", "", "a,b", "."]), st.text(max_size=6))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "red", "Red", "a,b", "a|b", "*"])
)
# The store in memory fails on two equal texts in one value, so lists have texts of their own.
LISTS = st.lists(st.sampled_from(["one", "One", "1,2", 7, 8.5]), max_size=2, unique=True)
VALUES = st.fixed_dictionaries({}, optional={"color": SCALARS, "n": SCALARS, "tags": LISTS, "a.b": SCALARS})
REAL_REDIS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
numbers = itertools.count()


async def embed(texts: Sequence[str]) -> list[list[float]]:
    return [vector_of(text).tolist() for text in texts]


async def opened(redis: Redis, keys: Keys, **options: Any) -> MemoryStore:
    store = MemoryStore(Embeddings(redis, keys, BuiltinEmbedder()), **options)
    await store.ensure_index()
    return store


def answer(results: list[Result]) -> list[SearchItem]:
    """The answer to the one search of a batch."""
    return cast("list[SearchItem]", results[0])


@asynccontextmanager
async def example_of(redis_url: str, keys: Keys, **options: Any) -> AsyncGenerator[MemoryStore]:
    """A store in an environment of its own for one example of a property, without its index afterwards."""
    part = Keys(f"{keys.environment}-{next(numbers)}")
    async with Redis.from_url(redis_url, protocol=2) as redis:
        yield await opened(redis, part, **options)
        await redis.execute_command("FT.DROPINDEX", f"{part.prefix}memories", "DD")


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> MemoryStore:
    return await opened(redis, keys, fields=("text",))


# ------------------------------------------------------------------------------------------ isolation


@REAL_REDIS
@given(
    items=st.lists(st.tuples(NAMESPACES, NAMES), min_size=2, max_size=6, unique=True),
    deleted=st.integers(0, 5),
)
@example(items=[(("user", "1"), "k"), (("User", "1"), "k")], deleted=1)
@example(items=[(("user", "1"), "k"), (("user", "10"), "k")], deleted=0)
@example(items=[(("a", "b"), "k"), (("a,b",), "k"), (("a|b",), "k")], deleted=0)
@example(items=[(("a",), "b:1"), (("a", "b"), "1"), (("a:b",), "1")], deleted=2)
@example(items=[(("a", "b"), "k"), (("b", "a"), "k"), (("a",), "k")], deleted=0)
async def test_nothing_put_in_one_namespace_is_met_in_another(
    redis_url: str, keys: Keys, items: list[tuple[tuple[str, ...], str]], deleted: int
):
    async with example_of(redis_url, keys, fields=("text",)) as store:
        values = {item: {"text": f"memory number {number}", "n": number} for number, item in enumerate(items)}
        await asyncio.gather(*(store.aput(*item, value) for item, value in values.items()))

        gone = items[deleted % len(items)]
        await store.adelete(*gone)
        values.pop(gone)

        got = await asyncio.gather(*(store.aget(*item) for item in items))
        assert [item and item.value for item in got] == [values.get(item) for item in items]
        for namespace, _ in items:
            below = {item for item in values if item[0][: len(namespace)] == namespace}
            for query in (None, "memory number"):
                found = await store.asearch(namespace, query=query, limit=100)
                assert {(one.namespace, one.key) for one in found} == below
                assert all(one.value == values[one.namespace, one.key] for one in found)
            for number in range(len(items)):
                one = await store.asearch(namespace, filter={"n": number}, limit=1)
                expected = [item for item in below if values[item]["n"] == number]
                assert [(item.namespace, item.key) for item in one] == expected
        assert await store.alist_namespaces() == sorted({namespace for namespace, _ in values})


@REAL_REDIS
@given(namespace=NAMESPACES, key=NAMES)
@example(namespace=("user", "1"), key="k")
async def test_two_environments_with_the_same_ids_do_not_meet(
    redis_url: str, keys: Keys, namespace: tuple[str, ...], key: str
):
    async with example_of(redis_url, keys) as one, example_of(redis_url, keys) as other:
        await one.aput(namespace, key, {"text": "mine"})

        assert await other.aget(namespace, key) is None
        assert await other.asearch(namespace, query="mine") == []
        assert await other.asearch(()) == []
        assert await other.alist_namespaces() == []
        await other.adelete(namespace, key)
        assert await one.aget(namespace, key) is not None


# ------------------------------------------------------------------------------------------ like LangGraph's own

CONDITIONS = st.one_of(
    SCALARS,
    LISTS,
    st.fixed_dictionaries({"$eq": SCALARS}),
    st.fixed_dictionaries({"$ne": SCALARS}),
)
FILTERS = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(["color", "n", "tags", "a.b"]), CONDITIONS, min_size=1, max_size=2)
)
SHORT = st.lists(st.sampled_from(["a", "A", "a,b", "b"]), min_size=1, max_size=3).map(tuple)
PUTS = st.builds(
    PutOp,
    namespace=SHORT,
    key=st.sampled_from(["k", "l"]),
    value=st.one_of(st.none(), VALUES),
    ttl=st.none(),
    index=st.sampled_from([None, False, ["color"], ["color", "tags[*]"]]),
)
PATHS = st.lists(st.sampled_from(["a", "A", "b", "*"]), min_size=1, max_size=2).map(tuple)


@REAL_REDIS
@given(
    puts=st.lists(PUTS, max_size=12),
    prefix=st.one_of(st.just(()), SHORT),
    wanted=FILTERS,
    query=st.sampled_from([None, "red", "something else"]),
    limit=st.integers(1, 4),
    offset=st.integers(0, 3),
)
async def test_searches_answer_as_langgraph_s_store_in_memory_does(
    *,
    redis_url: str,
    keys: Keys,
    puts: list[PutOp],
    prefix: tuple[str, ...],
    wanted: dict[str, Any] | None,
    query: str | None,
    limit: int,
    offset: int,
):
    known = InMemoryStore(index={"dims": DIMS, "embed": embed, "fields": ["color", "tags[*]"]})
    async with example_of(redis_url, keys, fields=("color", "tags[*]")) as store:
        for put in puts:
            # The one in memory forgets no vector when an item is written again.
            await known.abatch([put._replace(value=None)])
            await known.abatch([put])
            await store.abatch([put])

        everything = SearchOp(prefix, wanted, 1_000, 0, query)
        expected = answer(await known.abatch([everything]))
        found = answer(await store.abatch([everything]))
        page = answer(await store.abatch([SearchOp(prefix, wanted, limit, offset, query)]))

    assert {(one.namespace, one.key): one.value for one in found} == {
        (one.namespace, one.key): one.value for one in expected
    }
    scores = [one.score for one in found]
    wanted_scores = [one.score for one in expected]
    assert [score is None for score in scores] == [score is None for score in wanted_scores]
    assert [score for score in scores if score] == pytest.approx([score for score in wanted_scores if score], abs=1e-3)
    ids = [(one.namespace, one.key) for one in found]
    assert [(one.namespace, one.key) for one in page] == ids[offset : offset + limit]


@REAL_REDIS
@given(
    namespaces=st.lists(SHORT, max_size=6),
    prefix=st.one_of(st.none(), PATHS),
    suffix=st.one_of(st.none(), PATHS),
    max_depth=st.one_of(st.none(), st.integers(1, 3)),
    limit=st.integers(1, 5),
    offset=st.integers(0, 2),
)
async def test_namespaces_are_listed_as_langgraph_s_store_in_memory_does(
    *,
    redis_url: str,
    keys: Keys,
    namespaces: list[tuple[str, ...]],
    prefix: tuple[str, ...] | None,
    suffix: tuple[str, ...] | None,
    max_depth: int | None,
    limit: int,
    offset: int,
):
    known = InMemoryStore()
    async with example_of(redis_url, keys) as store:
        for namespace in namespaces:
            await known.aput(namespace, "k", {})
            await store.aput(namespace, "k", {}, index=False)

        options: dict[str, Any] = {"max_depth": max_depth, "limit": limit, "offset": offset}
        found = await store.alist_namespaces(prefix=prefix, suffix=suffix, **options)

    assert found == await known.alist_namespaces(prefix=prefix, suffix=suffix, **options)


# ------------------------------------------------------------------------------------------ promises of its own


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
    written = [key async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")]

    await store.adelete(("a",), "k")
    await store.adelete(("a",), "k")

    assert len(written) == 3
    assert [key async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")] == []


async def test_a_ttl_holds_for_all_of_a_memory_and_begins_anew_when_it_is_read(
    redis: Redis, keys: Keys, store: MemoryStore
):
    await store.aput(("a",), "k", {"t": ["one", "two"]}, index=["t[*]"], ttl=2)
    every = [key async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")]

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

    (key,) = [key async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")]
    assert ttl_s - 1 <= await redis.ttl(key) <= ttl_s


async def test_the_default_ttl_is_the_store_s(redis: Redis, keys: Keys):
    store = await opened(redis, keys, ttl={"default_ttl": 10, "refresh_on_read": False})

    await store.aput(("a",), "short", {"t": "x"})
    await store.aput(("a",), "kept", {"t": "y"}, ttl=None)

    ttls = sorted([await redis.ttl(key) async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")])
    assert ttls[0] == -1
    assert 590 < ttls[1] <= 600


async def test_an_expired_memory_is_neither_found_nor_listed(redis: Redis, keys: Keys, store: MemoryStore):
    await store.aput(("a",), "k", {"text": "one"}, ttl=1)
    for key in [key async for key in redis.scan_iter(match=f"{keys.prefix}memory:*")]:
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


@pytest.mark.parametrize(
    "op",
    [
        GetOp(("a.b",), "k"),
        PutOp(("",), "k", {}),
        SearchOp(("a\x00",)),
        ListNamespacesOp((MatchCondition("prefix", ("a.b",)),)),
    ],
)
async def test_labels_that_langgraph_forbids_are_refused_also_in_a_batch(store: MemoryStore, op: Any):
    with pytest.raises(InvalidNamespaceError):
        await store.abatch([op])


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
    assert len([key async for key in redis.scan_iter(f"{keys.memory_prefix}*")]) == 6
