"""Long-term memories: a LangGraph ``BaseStore`` on Redis, with exact namespaces.

A memory is one hash, reached by a key made of its whole namespace and key, so reading one is no search. Its embedded
texts are vectors: the first in the hash itself, the others in hashes of their own (``…:1``, ``…:2``) that point to it.
Filters hold before ``limit`` counts. Times are Redis times. TTLs are minutes, as LangGraph has them, and begin anew
when a memory is read or written. (langgraph-checkpoint-redis' own store mixes namespaces up: its queries are full
text.) What is in a document is in ``items.py``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import structlog
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)
from redis.commands.search.aggregation import AggregateRequest
from redisvl.query import FilterQuery, VectorQuery
from redisvl.query.filter import FilterExpression, Tag

from worker.memory.items import (
    FIELDS,
    Namespace,
    check_filter,
    document_keys,
    documents,
    item_id,
    list_matching,
    matches,
    pack_item,
    parse_item,
    parse_namespace,
    schema,
    scope,
    search_item,
    texts_of,
    ttl_seconds,
)
from worker.memory.vectors.documents import Documents
from worker.memory.vectors.embeddings import Embedded, Embeddings, Placed
from worker.memory.vectors.indexes import as_text

PAGE: Final = 200
"""Candidates read at a time while a filter is applied to them."""
MAX_NAMESPACES: Final = 1_000_000
"""RediSearch gives ten rows unless told how many."""

log = structlog.get_logger()

Found = list[tuple[str, float | None]]
"""Item ids with their scores, best first."""


def memory_documents(vectors: Embeddings) -> Documents:
    """Return the memories' documents of one environment."""
    return Documents(vectors, partial(schema, vectors.keys))


class MemoryStore(BaseStore):
    """LangGraph's store on one environment's memories. Call ``ensure_index`` once before.

    ``fields`` are the paths of a value that are embedded unless a put says otherwise; ``$`` is the whole value. Of more
    than ``most`` memories at and below a namespace that is written to, those written longest ago go; 0 is no limit.
    Sync methods work from any thread but the event loop's.
    """

    supports_ttl = True

    def __init__(
        self, vectors: Embeddings, *, fields: Sequence[str] = ("$",), ttl: TTLConfig | None = None, most: int = 0
    ) -> None:
        self._redis = vectors.redis
        self._prefix = vectors.keys.memory_prefix
        self._vectors = vectors
        self._fields = tuple(fields)
        self.ttl_config = ttl
        self._most = most
        self._documents = memory_documents(vectors)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ensure_index(self) -> None:
        """Create the index and record its model unless both are there. Safe to call twice and by many at once.

        Raises ``RedisUnsuitable`` without search, ``SettingsError`` for vectors of another model.
        """
        self._loop = asyncio.get_running_loop()
        await self._vectors.claim()
        await self._documents.ensure()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run ``ops`` from another thread than the event loop's; from that one it would wait for itself."""
        if self._loop is None:
            msg = "the store is not open: await ensure_index() first"
            raise RuntimeError(msg)
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            msg = "a sync call on the event loop would wait for itself: await aget, aput, asearch … instead"
            raise RuntimeError(msg)
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run ``ops``: first all that read, then the writes, of which the last for a memory counts."""
        listed = list(ops)
        for op in listed:
            validate_op_namespace(op)
        results: list[Result] = []
        puts: dict[str, PutOp] = {}
        for op in listed:
            match op:
                case GetOp():
                    results.append(await self._get(op))
                case SearchOp():
                    results.append(cast("Result", await self._search(op)))
                case ListNamespacesOp():
                    results.append(cast("Result", await self._list_namespaces(op)))
                case PutOp():
                    puts[item_id(op.namespace, op.key)] = op
                    results.append(None)
        if puts:
            await self._put(puts)
            if self._most:
                for namespace in {op.namespace for op in puts.values() if op.value is not None}:
                    await self._drop_oldest(namespace)
        return results

    # ------------------------------------------------------------------------------------------ reading

    async def _get(self, op: GetOp) -> Item | None:
        (found,) = await self._fetch([item_id(op.namespace, op.key)])
        if found is None:
            return None
        item, ttl_s = found
        if ttl_s and op.refresh_ttl:
            await self._refresh({item_id(op.namespace, op.key): ttl_s})
        return item

    async def _fetch(self, ids: Sequence[str]) -> list[tuple[Item, int] | None]:
        """Return the memories of ``ids`` with their TTLs in s, in that order; None for one that is gone."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(self._prefix + one, list(FIELDS))
            return [parse_item(values) for values in await pipe.execute()] if ids else []

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        wanted = op.filter or {}
        check_filter(wanted)
        within = scope(op.namespace_prefix, wanted)
        needed = op.offset + op.limit
        if op.query:
            found, _ = await self._vectors.looked_up(op.query, partial(self._nearest, within, wanted, needed))
            if len(found) < needed:
                # What has no vector comes after what has: it is in the namespace, and it fits the filter.
                found += await self._newest(within & (Tag("kind") == "unembedded"), wanted, needed - len(found))
        else:
            found = await self._newest(within & (Tag("kind") == ["item", "unembedded"]), wanted, needed)
        page = found[op.offset : needed]
        items = await self._fetch([one for one, _ in page])
        kept = [(one, score, item) for (one, score), item in zip(page, items, strict=True) if item]
        if op.refresh_ttl:
            await self._refresh({one: ttl_s for one, _, (_, ttl_s) in kept if ttl_s})
        return [search_item(item, score) for _, score, (item, _) in kept]

    async def _newest(self, within: FilterExpression, wanted: Mapping[str, Any], needed: int) -> Found:
        """Return memories that match, the last written first."""
        count = PAGE if wanted else needed
        found: Found = []
        for start in itertools.count(step=count):
            query = FilterQuery(filter_expression=within, return_fields=["kind"], sort_by=("updated_us", "DESC"))
            query.paging(start, count)
            rows = await self._documents.run(query)
            found += await self._matching([(self._id(row["id"]), None) for row in rows], wanted)
            if len(found) >= needed or len(rows) < count:
                break
        return found[:needed]

    async def _nearest(self, within: FilterExpression, wanted: Mapping[str, Any], needed: int, placed: Placed) -> Found:
        """Return memories that match, nearest in meaning first; one with several texts counts by its nearest."""
        vector, generation = placed.blob(), placed.generation
        count = max(PAGE, needed)
        while True:
            query = VectorQuery(
                vector, generation.field, dtype=generation.dtype, filter_expression=within, num_results=count
            )
            rows = await self._documents.run(query, generation=generation)
            best: dict[str, float] = {}
            for row in rows:
                best.setdefault(self._id(row["id"]), 1.0 - float(row["vector_distance"]))
            ranked = sorted(best.items(), key=lambda one: (-one[1], one[0]))
            found = await self._matching(ranked, wanted)
            if len(rows) < count:
                return found[:needed]
            # Of memories that are equally near, some may have been left out: without them pages would overlap.
            farthest = min(best.values())
            if len([1 for _, score in found if score is not None and score > farthest]) >= needed:
                return found[:needed]
            count *= 4

    async def _matching(self, rows: Sequence[tuple[str, float | None]], wanted: Mapping[str, Any]) -> Found:
        """Return those of ``rows`` whose values fit the filter: the index knows equal texts only."""
        if not wanted:
            return list(rows)
        items = await self._fetch([one for one, _ in rows])
        return [row for row, item in zip(rows, items, strict=True) if item and matches(item[0].value, wanted)]

    async def _list_namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        known: Namespace = ()
        for condition in op.match_conditions or ():
            if condition.match_type == "prefix" and "*" not in condition.path:
                known = condition.path
        query = str(scope(known, {}) & (Tag("kind") == ["item", "unembedded"]))
        request = AggregateRequest(query).load(cast("Any", "ns")).group_by(["@ns"]).limit(0, MAX_NAMESPACES).dialect(2)
        rows = (await self._documents.attempt(lambda index: index.aggregate(request))).rows
        return list_matching((parse_namespace(as_text(row[1])) for row in rows), op)

    def _id(self, key: Any) -> str:
        """Return the id of the memory that a document, its own or one of its further texts, belongs to."""
        return as_text(key).removeprefix(self._prefix).partition(":")[0]

    # ------------------------------------------------------------------------------------------ writing

    async def _put(self, puts: Mapping[str, PutOp]) -> None:
        """Write or delete each memory with all its texts, in one transaction."""
        embedded = await self._embed(puts)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for one in puts:
                pipe.hget(self._prefix + one, "created_us")
            (seconds, microseconds), *created = await pipe.execute()
        now_us = int(seconds) * 1_000_000 + int(microseconds)
        async with self._redis.pipeline(transaction=True) as pipe:
            # No two of a batch have one time, so that pages of a listing neither overlap nor skip.
            for written_us, (one, op), created_us in zip(itertools.count(now_us), puts.items(), created, strict=False):
                pipe.unlink(*document_keys(self._prefix + one))
                if op.value is None:
                    continue
                ttl_s = ttl_seconds(op)
                fields = pack_item(op.namespace, op.key, op.value)
                fields |= {"created_us": as_text(created_us) or str(written_us), "updated_us": str(written_us)}
                fields |= {"ttl_s": str(ttl_s)}
                for key, document in documents(self._prefix + one, fields, embedded[one]).items():
                    pipe.hset(key, mapping=cast("dict[Any, Any]", document))
                    if ttl_s:
                        pipe.expire(key, ttl_s)
            await pipe.execute()

    async def _drop_oldest(self, namespace: Namespace) -> None:
        """Drop what is over the limit; what a killed worker left over goes with the next write."""
        query = FilterQuery(
            filter_expression=scope(namespace, {}) & (Tag("kind") == ["item", "unembedded"]),
            return_fields=["kind"],
            sort_by=("updated_us", "DESC"),
        )
        query.paging(self._most, PAGE)
        over = [self._prefix + self._id(row["id"]) for row in await self._documents.run(query)]
        if over:
            await self._redis.unlink(*(key for one in over for key in document_keys(one)))
            log.warning("memory.dropped", namespace=namespace[0], memories=len(over), most=self._most)

    async def _embed(self, puts: Mapping[str, PutOp]) -> dict[str, list[Embedded]]:
        """Return each memory's texts with their vectors, embedded in one call."""
        texts = {one: texts_of(op, self._fields) for one, op in puts.items()}
        flat = [text for one in texts.values() for text in one]
        embedded = iter((await self._vectors.documents(flat))[0] if flat else ())
        return {one: [next(embedded) for _ in listed] for one, listed in texts.items()}

    async def _refresh(self, ttls: Mapping[str, int]) -> None:
        """Begin the TTLs of memories anew, in s."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for one, ttl_s in ttls.items():
                for key in document_keys(self._prefix + one):
                    pipe.expire(key, ttl_s)
            if ttls:
                await pipe.execute()
