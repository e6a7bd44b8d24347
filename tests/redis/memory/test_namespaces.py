"""Memories of one namespace, whatever its labels, are not found in another."""

from __future__ import annotations

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.memory_store import REAL_REDIS
from worker.memory.memories import Memories

# Labels that packaged stores mishandled, or that a query language could misread.
AWKWARD = ["user", "User", "1", "10", "a,b", "a|b", "a b", " a", "a", "{a}", "*", "a:b", "ü", "-", "~", "x" * 5_000]
LABELS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(min_size=1, max_size=8),
)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=4).map(tuple)
NAMES = st.one_of(st.sampled_from(["k", "K", "k:1", "", "a,b", "."]), st.text(max_size=6))


@REAL_REDIS
@given(
    items=st.lists(st.tuples(NAMESPACES, NAMES), min_size=2, max_size=6, unique=True),
)
@example(items=[(("user", "1"), "k"), (("User", "1"), "k")])
@example(items=[(("user", "1"), "k"), (("user", "10"), "k")])
@example(items=[(("a", "b"), "k"), (("a,b",), "k"), (("a|b",), "k")])
@example(items=[(("a",), "b:1"), (("a", "b"), "1"), (("a:b",), "1")])
@example(items=[(("a", "b"), "k"), (("b", "a"), "k"), (("a",), "k")])
async def test_nothing_put_in_one_namespace_is_met_in_another(
    redis: Redis, keys: Keys, store: Memories, items: list[tuple[tuple[str, ...], str]]
):
    await redis.unlink("none", *[key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")])
    values = {item: {"text": f"memory number {number}", "n": number} for number, item in enumerate(items)}
    await asyncio.gather(*(store.put(*item, value) for item, value in values.items()))

    for namespace, _ in items:
        below = {item for item in values if item[0][: len(namespace)] == namespace}
        for query in ("", "memory number"):
            found = await store.search(namespace, query=query, limit=100)
            assert {(one.namespace, one.key) for one in found} == below
            assert all(one.value == values[one.namespace, one.key] for one in found)
