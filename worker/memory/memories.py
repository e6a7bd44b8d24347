"""Stores what users asked to remember: a hash per memory, with a vector, found by namespace and by meaning.

Namespaces are paths. A memory's document has a TAG for each prefix of its path. The tag is a digest of exactly that
prefix, so a search below ``("words", "1")`` finds neither ``("words", "10")`` nor ``("Words", "1")``. Times are Redis
times. Reading or writing a memory restarts its TTL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final, cast

import structlog
from redisvl.query import FilterQuery, VectorQuery
from redisvl.query.filter import FilterExpression, Tag
from redisvl.schema import IndexSchema

from producer.contract import JsonObject
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.memory.vectors.documents import Documents, index_schema
from worker.memory.vectors.embeddings import Embeddings, Placed
from worker.memory.vectors.generations import Generation
from worker.memory.vectors.indexes import unquoted

MAX_DROPPED: Final = 200
"""Memories over the limit that one write deletes; the next write continues."""
KIND: Final = "item"
"""Kind of every memory; workers of earlier releases find only documents of this kind."""
FIELDS: Final = ("ns", "key", "value", "updated_us", "ttl_s")

Namespace = tuple[str, ...]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory; ``score`` is its similarity to the query (1: same meaning), None without a query."""

    namespace: Namespace
    key: str
    value: JsonObject
    updated_us: int
    score: float | None = None


def memory_documents(vectors: Embeddings) -> Documents:
    """Return the memories' documents of one environment."""
    return Documents(vectors, partial(_schema, vectors.keys))


class Memories:
    """The memories of one environment. Call ``ensure_index`` once before.

    Each expires ``ttl_s`` after it was last read or written, never if 0. A write deletes the oldest memories beyond
    ``most`` at and below its namespace; 0 means no limit.
    """

    def __init__(self, vectors: Embeddings, *, ttl_s: int = 0, most: int = 0) -> None:
        self._redis = vectors.redis
        self._prefix = vectors.keys.memory_prefix
        self._vectors = vectors
        self._ttl_s = ttl_s
        self._most = most
        self._documents = memory_documents(vectors)

    async def ensure_index(self) -> None:
        """Create the index and record its model unless both exist. Safe to call twice and concurrently.

        Raises ``RedisUnsuitable`` without search, ``SettingsError`` for vectors of another model.
        """
        await self._vectors.claim()
        await self._documents.ensure()

    async def put(self, namespace: Namespace, key: str, value: JsonObject) -> None:
        """Store ``value``, indexed by the meaning of its ``text``; overwrites the same namespace and key."""
        (embedded,), _ = await self._vectors.documents([str(value["text"])])
        name = self.name_of(namespace, key)
        seconds, microseconds = await self._redis.time()
        now_us = str(int(seconds) * 1_000_000 + int(microseconds))
        fields: dict[Any, Any] = {
            "kind": KIND,
            "ns": json.dumps(list(namespace)),
            "key": json.dumps(key),
            "value": json.dumps(value),
            "prefixes": ",".join(_digest(list(namespace[:depth])) for depth in range(1, len(namespace) + 1)),
            "updated_us": now_us,
            "ttl_s": str(self._ttl_s),
            **embedded.fields(),
        }
        async with unquoted(self._redis.pipeline(transaction=True)) as pipe:
            pipe.unlink(name)  # delete the vectors of the previous text
            pipe.hset(name, mapping=fields)
            if self._ttl_s:
                pipe.expire(name, self._ttl_s)
            await pipe.execute()
        if self._most:
            await self._drop_oldest(namespace)

    def name_of(self, namespace: Namespace, key: str) -> str:
        """Return the Redis key of a memory."""
        return self._prefix + _digest([list(namespace), key])

    async def search(self, namespace: Namespace, *, query: str = "", limit: int = 10) -> list[Memory]:
        """Return memories at and below ``namespace``, closest to ``query`` first; without a query, newest first.

        Raises ``ModelError``.
        """
        within = _within(namespace)
        if query:
            found, _ = await self._vectors.looked_up(query, partial(self._nearest, within, limit))
        else:
            found = [(name, None) for name in await self._newest(within, 0, limit)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name, _ in found:
                pipe.hmget(name, list(FIELDS))
            rows = await pipe.execute() if found else []
        kept = [(name, score, row) for (name, score), row in zip(found, rows, strict=True) if row[0] and row[2]]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name, _, row in kept:
                if ttl_s := int(row[4] or 0):
                    pipe.expire(name, ttl_s)
            await pipe.execute()
        return [_memory(row, score) for _, score, row in kept]

    async def _nearest(self, within: FilterExpression, limit: int, placed: Placed) -> list[tuple[str, float | None]]:
        generation = placed.generation
        query = VectorQuery(
            placed.blob(), generation.field, dtype=generation.dtype, filter_expression=within, num_results=limit
        )
        rows = await self._documents.run(query, generation=generation)
        return [(as_text(row["id"]), 1.0 - float(row["vector_distance"])) for row in rows]

    async def _newest(self, within: FilterExpression, start: int, limit: int) -> list[str]:
        query = FilterQuery(filter_expression=within, return_fields=["kind"], sort_by=("updated_us", "DESC"))
        query.paging(start, limit)
        return [as_text(row["id"]) for row in await self._documents.run(query)]

    async def _drop_oldest(self, namespace: Namespace) -> None:
        """Delete memories over the limit; the next write also deletes what a killed worker left."""
        over = await self._newest(_within(namespace), self._most, MAX_DROPPED)
        if over:
            await self._redis.unlink(*over)
            log.warning("memory.dropped", namespace=namespace[0], memories=len(over), most=self._most)


def _schema(keys: Keys, generation: Generation) -> IndexSchema:
    """Return the schema of a generation's memory index; FLAT is exact under any filter, and memories are few."""
    fields: list[dict[str, Any]] = [
        *({"name": name, "type": "tag"} for name in ("kind", "prefixes")),
        {"name": "updated_us", "type": "numeric", "attrs": {"sortable": True}},
    ]
    name = keys.index_of(keys.memories_index, generation.number)
    return index_schema(name, keys.memory_prefix, fields, generation, {"algorithm": "flat"})


def _within(namespace: Namespace) -> FilterExpression:
    return Tag("prefixes") == _digest(list(namespace)) if namespace else FilterExpression("*")


def _memory(row: Sequence[object], score: float | None) -> Memory:
    ns, key, value, updated_us, _ = (as_text(one) for one in row)
    path = cast("list[str]", json.loads(ns))
    return Memory(tuple(path), str(json.loads(key)), json.loads(value), int(updated_us), score)


def _digest(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:40]
