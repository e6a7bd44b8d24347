"""An environment with a history, memories and two embedding models, for tests of reindexing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pytest
from redis.asyncio import Redis

from producer.contract import Usage
from producer.errors import ModelError, ModelRefused
from producer.keys import Keys
from tests.support.scans import finding, scan_result, write_scan
from worker.memory.history.history import History
from worker.memory.history.scan_record import search_text
from worker.memory.memories import Memories
from worker.memory.vectors.backfill import all_documents
from worker.memory.vectors.embeddings import Embedded, Embeddings
from worker.memory.vectors.generations import Generation, Record, read_record
from worker.memory.vectors.reindex import Reindexed, Tell, reindex
from worker.models.builtin.models import BuiltinEmbedder, hash_text
from worker.models.protocols import Embedder, EmbedReply

OLD = Generation(1, "builtin", 256)
NEW = Generation(2, "other", 64)
NAMES = ("cart", "form", "help", "home")


@dataclass
class OtherEmbedder:
    """Another model, with other dims: the built-in one's vectors, folded. It fails after ``down`` calls.

    A call with a text that contains ``refuses`` is refused; one with ``breaks`` fails. Only the first ``takes``
    characters of a text are embedded; 0 means all.
    """

    name: str = "other"
    dims: int = 64
    down: int = -1
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0
    refuses: str = ""
    breaks: str = ""
    takes: int = 0

    def __post_init__(self) -> None:
        self.hold.set()

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        self.calls += 1
        await self.hold.wait()
        if self.down >= 0 and self.calls > self.down:
            msg = "nothing answers at the model server"
            raise ModelError(msg)
        if self.refuses and any(self.refuses in text for text in texts):
            raise ModelRefused(f"it takes no text of {self.refuses!r}")
        if self.breaks and any(self.breaks in text for text in texts):
            raise ModelError("the runner process has terminated")
        shortened = {place: self.takes for place, text in enumerate(texts) if 0 < self.takes < len(text)}
        folded = np.stack([hash_text(text).reshape(-1, self.dims).sum(axis=0) for text in texts])
        vectors = folded / np.linalg.norm(folded, axis=1, keepdims=True)
        return EmbedReply(vectors.astype(np.float32), Usage(calls=1), shortened)

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        return await self.embed_documents(texts)


class Environment:
    """One environment with a history, memories and a worker that may embed with both models."""

    def __init__(self, redis: Redis, keys: Keys, other: OtherEmbedder) -> None:
        self.redis, self.keys, self.other = redis, keys, other
        self.further: dict[str, Embedder] = {}
        self.embeddings = self.worker()
        self.history = History(self.embeddings)
        self.memories = Memories(self.embeddings)

    def worker(self, chosen: Embedder | None = None) -> Embeddings:
        async def open_embedder(name: str, dims: int) -> Embedder:
            known: dict[str, Embedder] = {"builtin": BuiltinEmbedder(), "other": self.other, **self.further}
            assert known[name].dims == dims
            return known[name]

        return Embeddings(self.redis, self.keys, chosen or BuiltinEmbedder(), open_embedder)

    async def scan(self, name: str, embedded: Embedded | None = None) -> None:
        """Write a scan's document as finish.lua does."""
        result = scan_result(finding("label", "n"), url=f"https://shop.example/{name}", title=name, scan_id=name)
        if embedded is None:
            (embedded,), _ = await self.embeddings.documents([search_text(result)])
        await write_scan(self.redis, self.keys, result, page=name, text=embedded)

    async def reindex(self, to: Embedder | None = None, tell: Tell | None = None) -> Reindexed:
        return await reindex(self.worker(), to or self.other, tell=tell or (lambda _: None))

    async def broken_off_reindex(self) -> None:
        """Run a reindex of 44 scans that ends after its first batch because the model becomes unreachable."""
        self.other.down = 1
        for number in range(40):
            await self.scan(f"more-{number}")
        with pytest.raises(ModelError):
            await self.reindex()

    async def record(self) -> Record:
        record = await read_record(self.redis, self.keys)
        assert record is not None
        return record

    async def fields(self, key: str) -> dict[str, bytes]:
        found = await cast("Awaitable[dict[bytes, bytes]]", self.redis.hgetall(key))
        return {name.decode(): value for name, value in found.items()}

    async def is_whole(self, generation: Generation) -> bool:
        """Return whether every document has its vectors of ``generation``."""
        return not sum([await kind.count_lacking(generation) for kind in all_documents(self.embeddings)])

    async def lacks(self, key: str, name: str) -> bool:
        return name not in await self.fields(key)

    async def indexes(self) -> set[str]:
        """Return the names of the indexes with vectors."""
        names = cast("list[bytes]", await self.redis.execute_command("FT._LIST"))
        own = {name.decode() for name in names if name.startswith(self.keys.prefix.encode())}
        return own - {self.keys.barriers_index}
