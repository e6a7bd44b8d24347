"""The answer cache: RedisVL's ``SemanticCache``, scoped so that no answer is reused where it would be wrong.

An answer is found only for a question of nearly the same meaning in the same ``Scope``: site, chat model, prompt
version and the site's generation. finish.lua raises the generation with every scan, so a new scan makes all older
answers of its site unreachable. Reading an answer does not extend its TTL. Scans are never served from here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final, cast

from redis.asyncio import Redis
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.index import AsyncSearchIndex
from redisvl.query.filter import Tag
from redisvl.utils.vectorize import BaseVectorizer

from producer.contract import Usage
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.memory.vectors.embeddings import Embeddings, Placed
from worker.memory.vectors.generations import Generation
from worker.memory.vectors.indexes import ensure_index, exact_tag, on_index, redis_errors, unquoted

NEAR_MISS: Final = 2.0
"""Multiple of the threshold up to which a miss counts as near; many near misses mean that the threshold is too low."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope in which an answer is valid. ``site`` '' means all sites; ``generation`` is read when the query starts.

    ``context`` is a digest of everything else the answer depends on, such as earlier questions; '' for nothing.
    """

    site: str
    generation: int
    model: str
    prompt: str
    context: str = ""

    @property
    def tag(self) -> str:
        """Return this scope's tag: a digest, so that special characters in names do no harm."""
        whole = [self.site, self.generation, self.model, self.prompt, self.context]
        return sha256(json.dumps(whole).encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A cached answer to ``question``; ``age_s`` is its age, ``distance`` that from the current question."""

    answer: str
    question: str
    distance: float
    age_s: float
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a look-up; pass ``placed`` to ``keep``. ``usage`` is that of the embedding."""

    found: CachedAnswer | None
    placed: Placed
    usage: Usage


class _Dims(BaseVectorizer):
    """Gives the cache the number of dimensions; it embeds nothing, since vectors are always passed in."""


class _SharedCache(SemanticCache):
    """A ``SemanticCache`` without I/O in its constructor, on the worker's client, with a fixed TTL."""

    def __init__(self, client: Redis, *, name: str, generation: Generation, ttl_s: int) -> None:
        super().__init__(
            name=name,
            ttl=ttl_s,
            vectorizer=_Dims(model=generation.model, dims=generation.dims),
            filterable_fields=[{"name": "scope", "type": "tag"}],
            create_index=False,
        )
        self._shared = _with_transactions(client)

    async def _get_async_redis_client(self) -> Redis:
        return self._shared

    async def aexpire(self, key: str, ttl: int | None = None) -> None:
        """Do nothing: RedisVL would restart an answer's TTL whenever it is found."""


def _with_transactions(client: Redis) -> Redis:
    """Return a client on the same connections, whose pipelines are transactions.

    RedisVL 0.26 sets the TTL in a second command: an answer would be kept for good if the connection is lost in
    between. It accepts no client of another class. Remove this when it sets the TTL in a transaction.
    """
    copied: Any = copy(client)

    def pipeline(*_: object, **_options: object) -> Any:
        return unquoted(client.pipeline(transaction=True))

    copied.pipeline = pipeline
    return copied


class AnswerCache:
    """The semantic cache of one environment. Call ``ensure_index`` once before.

    ``distance`` is the cosine distance up to which two questions count as the same.
    """

    def __init__(
        self,
        vectors: Embeddings,
        *,
        distance: float = 0.1,
        ttl_s: int = 3_600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = vectors.redis
        self._keys = vectors.keys
        self._vectors = vectors
        self._distance = distance
        self._ttl_s = ttl_s
        self._clock = clock
        self._caches: dict[Generation, _SharedCache] = {}

    async def ensure_index(self) -> None:
        """Create the index unless it exists. Safe to call twice and concurrently.

        Raises ``RedisUnsuitable`` without search.
        """
        await self._vectors.claim()
        await self._ensure((await self._vectors.record()).active)

    async def generation(self, site: str) -> int:
        """Return the generation of ``site`` ('' for all sites): its number of committed scans."""
        return int(as_text(await cast("Awaitable[Any]", self._redis.hget(self._keys.site(site), "generation"))) or 0)

    async def look_up(self, question: str, scope: Scope) -> Lookup:
        """Return the answer to the nearest question in ``scope``, if near enough, and count the hit or miss."""
        placed, usage = await self._vectors.query(question)
        nearest = await self._nearest(placed, scope)
        found = nearest if nearest is not None and nearest.distance <= self._distance else None
        outcome = "hits" if found else "misses" if nearest is None else "near_misses"
        await self._count(outcome, age_s=found.age_s if found else 0.0)
        return Lookup(found, placed, usage)

    async def keep(
        self, question: str, answer: str, placed: Placed, scope: Scope, *, about: Mapping[str, Any] | None = None
    ) -> None:
        """Store ``answer`` for ``scope``; ``about`` is JSON returned with it, such as its sources.

        Raises ``ModelError`` for a vector of the wrong size.
        """
        placed.blob()
        with redis_errors():
            await self._cache(placed.generation).astore(
                question,
                answer,
                vector=cast("list[float]", placed.vector.tolist()),
                metadata={"about": json.dumps(dict(about or {})), "kept_s": self._clock()},
                filters={"scope": scope.tag},
            )
        await self._count("kept")

    async def counts(self) -> dict[str, int]:
        """Return the cache's counters: ``hits``, ``near_misses``, ``misses``, ``kept``.

        ``hit_age_s`` is the total age of the answers returned.
        """
        fields = await cast("Awaitable[dict[Any, Any]]", self._redis.hgetall(self._keys.cache_stats))
        return {as_text(name): int(as_text(value)) for name, value in fields.items()}

    def _cache(self, generation: Generation) -> _SharedCache:
        """Return a generation's cache: answers are not reused across models, and expire."""
        if generation not in self._caches:
            name = cache_index(self._keys, generation)
            self._caches[generation] = _SharedCache(self._redis, name=name, generation=generation, ttl_s=self._ttl_s)
        return self._caches[generation]

    async def _ensure(self, generation: Generation) -> None:
        await ensure_index(AsyncSearchIndex(self._cache(generation).index.schema, redis_client=self._redis))

    async def _nearest(self, placed: Placed, scope: Scope) -> CachedAnswer | None:
        within = min(2.0, self._distance * NEAR_MISS)
        cache = self._cache(placed.generation)
        asked: dict[str, Any] = {
            "vector": placed.vector.tolist(),
            "distance_threshold": within,
            "filter_expression": Tag("scope") == scope.tag,
        }
        rows = await on_index(partial(cache.acheck, **asked), partial(self._ensure, placed.generation))
        return self._parse(rows[0]) if rows else None

    def _parse(self, row: Mapping[str, Any]) -> CachedAnswer:
        metadata = cast("dict[str, Any]", row["metadata"])
        return CachedAnswer(
            answer=row["response"],
            question=row["prompt"],
            distance=float(row["vector_distance"]),
            age_s=max(0.0, self._clock() - float(metadata["kept_s"])),
            about=json.loads(metadata["about"]),
        )

    async def _count(self, outcome: str, *, age_s: float = 0.0) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hincrby(self._keys.cache_stats, outcome, 1)
            pipe.hincrby(self._keys.cache_stats, "hit_age_s", round(age_s))
            await pipe.execute()


def cache_index(keys: Keys, generation: Generation) -> str:
    """Return the name of a model's cache index; none is a prefix of another."""
    return keys.cache(f"{generation.dims}:{exact_tag(generation.model)}")
