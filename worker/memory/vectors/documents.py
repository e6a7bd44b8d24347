"""A kind of documents and its search indexes, one per generation; a lost index is recreated.

``history.py`` and ``memories.py`` define the documents, which are hashes written elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis
from redisvl.index import AsyncSearchIndex
from redisvl.query import CountQuery, FilterQuery
from redisvl.query.filter import FilterExpression, Tag
from redisvl.query.query import BaseQuery
from redisvl.schema import IndexSchema

from producer.errors import IndexMoved
from producer.redis.scripts import as_text
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import EMBEDDED, NEVER, Generation
from worker.memory.vectors.indexes import TIMEOUT_MS, drop_index, ensure_index, on_index, wait_until_indexed

T = TypeVar("T")
WALK_BATCH: Final = 500
"""Documents per round trip; blocks Redis for at most a few ms."""


async def key_batches(redis: Redis, prefix: str, *, size: int = WALK_BATCH) -> AsyncIterator[list[str]]:
    """Yield the keys that begin with ``prefix`` in batches of at most ``size``.

    With SCAN's guarantees: keys present throughout are included, possibly more than once.
    """
    cursor = 0
    while True:
        cursor, names = await redis.scan(cursor, match=f"{prefix}*", count=size)
        # SCAN may return more than requested.
        for start in range(0, len(names), size):
            yield [as_text(name) for name in names[start : start + size]]
        if int(cursor) == 0:
            return


def index_schema(
    name: str, prefix: str, fields: Sequence[Mapping[str, Any]], generation: Generation, algorithm: Mapping[str, Any]
) -> IndexSchema:
    """Return the schema of a generation's index of the hashes under ``prefix``."""
    # With the colon: RediSearch would take ``scans:meta`` for a document of the prefix ``scan``.
    index = {"name": name, "prefix": prefix, "storage_type": "hash"}
    kept = {"datatype": generation.dtype, "distance_metric": "cosine", "dims": generation.dims}
    vector = {**algorithm, **kept}
    own = [{"name": EMBEDDED, "type": "tag"}, {"name": generation.field, "type": "vector", "attrs": vector}]
    return IndexSchema.from_dict({"index": index, "fields": [*fields, *own]})


class Documents:
    """The documents of one kind; ``schema`` returns the index schema of a generation."""

    def __init__(self, vectors: Embeddings, schema: Callable[[Generation], IndexSchema]) -> None:
        self._vectors = vectors
        self._schema = schema
        self._indexes: dict[Generation, AsyncSearchIndex] = {}

    def index(self, generation: Generation) -> AsyncSearchIndex:
        """Return the index of a generation, which may not exist yet."""
        if generation not in self._indexes:
            self._indexes[generation] = AsyncSearchIndex(self._schema(generation), redis_client=self._vectors.redis)
        return self._indexes[generation]

    async def ensure(self, generation: Generation | None = None) -> None:
        """Create the index of ``generation`` (default: the active one) unless it exists. Safe to call concurrently."""
        await ensure_index(self.index(generation or (await self._vectors.record()).active))

    async def run(self, query: BaseQuery, *, generation: Generation | None = None) -> list[dict[str, Any]]:
        """Return the rows that ``query`` finds in the index of ``generation`` (default: the active one)."""
        limited = cast("BaseQuery", query.timeout(TIMEOUT_MS))
        return await self.attempt(lambda index: index.query(limited), generation=generation)

    async def attempt(
        self, act: Callable[[AsyncSearchIndex], Awaitable[T]], *, generation: Generation | None = None
    ) -> T:
        """Call ``act`` with the index of ``generation`` (default: the active one), recreating a lost index.

        Raises ``IndexMoved`` for a retired generation.
        """
        wanted = generation or (await self._vectors.record()).active
        try:
            return await self._act(act, wanted)
        except IndexMoved:
            if generation is not None:
                raise
        return await self._act(act, (await self._vectors.record()).active)

    async def _act(self, act: Callable[[AsyncSearchIndex], Awaitable[T]], generation: Generation) -> T:
        return await on_index(partial(act, self.index(generation)), partial(self._rebuild, generation))

    async def _rebuild(self, generation: Generation) -> None:
        """Recreate a lost index. Raises ``IndexMoved`` if it was dropped at the end of a reindex."""
        index = self.index(generation)
        await self._check_live(generation)
        await ensure_index(index)
        try:
            await self._check_live(generation)
        except IndexMoved:
            # The reindex ended between the check and the creation, so nobody else would drop this index.
            await self.drop(generation)
            raise
        await wait_until_indexed(index)

    async def _check_live(self, generation: Generation) -> None:
        record = await self._vectors.record()
        if generation not in record.live:
            msg = f"the indexes moved from {generation} to {record.active}: try again"
            raise IndexMoved(msg)

    async def drop(self, generation: Generation) -> None:
        """Drop the index of a generation, but not its documents. Safe to call twice."""
        await drop_index(self._vectors.redis, self.index(generation).name)

    # ------------------------------------------------------------------------------------------ documents without a
    # vector

    async def count(self, generation: Generation) -> int:
        """Return the number of documents in the index of ``generation``."""
        return await self._count(CountQuery(FilterExpression("*")), generation)

    async def count_lacking(self, generation: Generation) -> int:
        """Return the number of documents that may have a text but no vector of ``generation``."""
        return await self._count(CountQuery(_lacking(generation)), generation)

    async def _count(self, query: CountQuery, generation: Generation) -> int:
        return int(cast("Any", await self.run(query, generation=generation)))  # RedisVL returns a number for a count

    async def lacking(self, generation: Generation, *, limit: int) -> list[tuple[str, str]]:
        """Return the keys and texts ('' for none) of documents without a vector of ``generation``."""
        query = FilterQuery(filter_expression=_lacking(generation), return_fields=["text"], num_results=limit)
        rows = await self.run(query, generation=generation)
        return [(str(row["id"]), str(row.get("text", ""))) for row in rows]


def _lacking(generation: Generation) -> FilterExpression:
    return Tag(EMBEDDED) != [str(generation.number), NEVER]
