"""The store answers as LangGraph's own store in memory does: searches and namespaces, made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.base import PutOp, Result, SearchItem, SearchOp
from langgraph.store.memory import InMemoryStore

from producer.keys import Keys
from tests.support.memory_store import REAL_REDIS, example_of
from tests.support.scans import vector_of
from worker.models.builtin.models import DIMS

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "red", "Red", "a,b", "a|b", "*"])
)
# The store in memory fails on two equal texts in one value, so lists have texts of their own.
LISTS = st.lists(st.sampled_from(["one", "One", "1,2", 7, 8.5]), max_size=2, unique=True)
VALUES = st.fixed_dictionaries({}, optional={"color": SCALARS, "n": SCALARS, "tags": LISTS, "a.b": SCALARS})


async def embed(texts: Sequence[str]) -> list[list[float]]:
    return [vector_of(text).tolist() for text in texts]


def answer(results: list[Result]) -> list[SearchItem]:
    """The answer to the one search of a batch."""
    return cast("list[SearchItem]", results[0])


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
