from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.contract import Usage
from producer.errors import ModelError
from producer.keys import Keys
from tests.support.cut_connection import cut_before
from tests.support.scans import GENERATION, placed, wrong_vector
from worker.memory.cache import AnswerCache, Scope
from worker.memory.vectors.embeddings import Embeddings, Placed
from worker.models.builtin.models import DIMS, BuiltinEmbedder
from worker.models.protocols import EmbedReply, Vectors

SCOPE = Scope(site="shop.example", generation=3, model="builtin", prompt="ask-1")
QUESTION = "Which page has the worst barriers?"


class Scripted(BuiltinEmbedder):
    """Two dimensions' worth of meaning: the angle of each question is given, in units of cosine distance."""

    def __init__(self, distances: dict[str, float]) -> None:
        self.distances = distances

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        vectors: Vectors = np.zeros((len(texts), DIMS), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[0] = 1 - self.distances[text]
            row[1] = np.sqrt(1 - row[0] ** 2)
        return EmbedReply(vectors, Usage(calls=1))


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def cache(redis: Redis, keys: Keys) -> AnswerCache:
    cache = AnswerCache(Embeddings(redis, keys, BuiltinEmbedder()))
    await cache.ensure_index()
    return cache


async def kept(redis: Redis, keys: Keys) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=f"{keys.prefix}cache:*:answers:*")]


async def keep(cache: AnswerCache, question: str = QUESTION, scope: Scope = SCOPE, answer: str = "The cart.") -> None:
    await cache.keep(question, answer, placed(question), scope, about={"sources": ["job-1"]})


async def test_a_question_of_the_same_meaning_gets_the_answer_given_before(redis: Redis, keys: Keys):
    clock = Clock()
    meaning = Scripted({"what is WCAG?": 0.0, "explain WCAG to me": 0.09, "what is ARIA?": 0.15, "who?": 0.9})
    cache = AnswerCache(Embeddings(redis, keys, meaning), clock=clock)
    await cache.ensure_index()
    first = await cache.look_up("what is WCAG?", SCOPE)
    await cache.keep("what is WCAG?", "A standard.", first.placed, SCOPE, about={"sources": ["job-1"]})
    clock.now += 30

    second = await cache.look_up("explain WCAG to me", SCOPE)
    near = await cache.look_up("what is ARIA?", SCOPE)
    far = await cache.look_up("who?", SCOPE)

    assert first.found is near.found is far.found is None
    assert second.found is not None
    assert (second.found.answer, second.found.question) == ("A standard.", "what is WCAG?")
    assert second.found.distance == pytest.approx(0.09, abs=1e-3)
    assert (second.found.age_s, second.found.about) == (30, {"sources": ["job-1"]})
    assert await cache.counts() == {"misses": 2, "kept": 1, "hits": 1, "near_misses": 1, "hit_age_s": 30}


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, site=""),
        replace(SCOPE, site="shop"),
        replace(SCOPE, site="Shop.example"),
        replace(SCOPE, generation=4),
        replace(SCOPE, model="qwen3.5:4b"),
        replace(SCOPE, prompt="ask-2"),
        replace(SCOPE, context="the turn before"),
    ],
)
async def test_an_answer_is_given_in_its_own_scope_alone(cache: AnswerCache, other: Scope):
    await keep(cache)

    assert (await cache.look_up(QUESTION, other)).found is None
    assert (await cache.look_up(QUESTION, SCOPE)).found is not None


TEXTS = st.one_of(
    st.sampled_from(["", "a", "A", "a,b", "a|b", "a b", "*", "dev", "dev:x", "é", "x" * 10_000]), st.text()
)
SCOPES = st.builds(Scope, site=TEXTS, generation=st.integers(0, 3), model=TEXTS, prompt=TEXTS, context=TEXTS)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scopes=st.lists(SCOPES, min_size=2, max_size=4, unique=True))
@example(
    scopes=[replace(SCOPE, site=""), replace(SCOPE, site="a,b"), replace(SCOPE, site="a"), replace(SCOPE, site="b")]
)
async def test_no_two_scopes_share_an_answer(redis: Redis, keys: Keys, cache: AnswerCache, scopes: list[Scope]):
    await redis.unlink("none", *await kept(redis, keys))
    for number, scope in enumerate(scopes):
        await keep(cache, scope=scope, answer=str(number))

    found = [(await cache.look_up(QUESTION, scope)).found for scope in scopes]

    assert [one and one.answer for one in found] == [str(number) for number in range(len(scopes))]


async def test_an_answer_does_not_live_longer_for_being_read(redis: Redis, keys: Keys):
    cache = AnswerCache(Embeddings(redis, keys, BuiltinEmbedder()), ttl_s=3_600)
    await cache.ensure_index()
    await keep(cache)
    (key,) = await kept(redis, keys)
    ttl_s = await redis.ttl(key)
    await redis.expire(key, 600)

    assert (await cache.look_up(QUESTION, SCOPE)).found is not None

    assert 3_590 < ttl_s <= 3_600
    assert await redis.ttl(key) <= 600


async def test_a_connection_lost_before_the_ttl_is_set_leaves_no_answer(redis: Redis, keys: Keys):
    async with cut_before(redis, b"EXPIRE") as through:
        with pytest.raises(RedisConnectionError):
            await keep(AnswerCache(Embeddings(through, keys, BuiltinEmbedder())))

    assert await kept(redis, keys) == []


async def test_a_new_scan_makes_older_answers_unreachable(redis: Redis, keys: Keys, cache: AnswerCache):
    begun = replace(SCOPE, generation=await cache.generation("shop.example"))
    await redis.execute_command("HINCRBY", keys.site("shop.example"), "generation", 1)
    # The query that began before the scan ends after it.
    await keep(cache, scope=begun)

    now = replace(SCOPE, generation=await cache.generation("shop.example"))

    assert (begun.generation, now.generation) == (0, 1)
    assert (await cache.look_up(QUESTION, now)).found is None


@pytest.mark.parametrize("question", ["?", "x" * 50_000, "a,b|c {d}", "質問"], ids=["short", "long", "awkward", "cjk"])
async def test_odd_questions_are_kept_and_found(cache: AnswerCache, question: str):
    await keep(cache, question)

    found = (await cache.look_up(question, SCOPE)).found

    assert found is not None
    assert found.question == question


async def test_a_vector_of_the_wrong_length_is_refused(redis: Redis, keys: Keys, cache: AnswerCache):
    with pytest.raises(ModelError, match="float32"):
        await cache.keep(QUESTION, "x", Placed(wrong_vector(3), GENERATION), SCOPE)

    assert await kept(redis, keys) == []


async def test_eight_workers_may_open_the_cache_at_once(redis: Redis, keys: Keys):
    caches = [AnswerCache(Embeddings(redis, keys, BuiltinEmbedder())) for _ in range(8)]

    await asyncio.gather(*(cache.ensure_index() for cache in caches))

    await keep(caches[0])
    assert all([(await cache.look_up(QUESTION, SCOPE)).found for cache in caches])


async def test_an_index_dropped_under_a_running_worker_is_built_again(redis: Redis, keys: Keys, cache: AnswerCache):
    await keep(cache)
    names = cast("list[bytes]", await redis.execute_command("FT._LIST"))
    (name,) = [name for name in names if keys.prefix.encode() in name]
    await redis.execute_command("FT.DROPINDEX", name, "DD")

    assert (await cache.look_up(QUESTION, SCOPE)).found is None
    await keep(cache)
    assert (await cache.look_up(QUESTION, SCOPE)).found is not None
