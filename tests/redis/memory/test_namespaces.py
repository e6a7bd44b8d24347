"""Memories of one namespace or environment, whatever its labels, are not met in another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp, SearchOp

from producer.keys import Keys
from tests.support.memory_store import REAL_REDIS, example_of
from worker.memory.memories import MemoryStore

# What packaged stores got wrong, and what a query language could misread.
AWKWARD = ["user", "User", "1", "10", "a,b", "a|b", "a b", " a", "a", "{a}", "*", "a:b", "ü", "-", "~", "x" * 5_000]
LABELS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(min_size=1, max_size=8).filter(lambda label: "." not in label and "\x00" not in label),
)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=4).map(tuple).filter(lambda path: path[0] != "langgraph")
NAMES = st.one_of(st.sampled_from(["k", "K", "k:1", "", "a,b", "."]), st.text(max_size=6))


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
