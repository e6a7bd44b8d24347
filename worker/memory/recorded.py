"""The history as it is, for those who only look: no index is made, and no model is asked.

A worker decides which model the vectors are of (``indexes.claim_model``). A command must not: run first, with settings
of its own, it would shut the workers out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from producer.errors import ModelError
from producer.keys import Keys
from worker.memory.history import History
from worker.memory.indexes import as_text
from worker.models.protocols import EmbedReply


@dataclass(frozen=True, slots=True)
class Recorded:
    """The model that an index was built with, as its workers recorded it; '' and 0 where none did."""

    model: str
    dims: int


async def read_recorded(redis: Redis, key: str) -> Recorded:
    """Return the model that is recorded in the hash ``key``."""
    model, dims = await cast("Any", redis).hmget(key, ["model", "dims"])
    return Recorded(as_text(model), int(as_text(dims) or 0))


class UnaskedEmbedder:
    """An ``Embedder`` by name and length only, for what looks nothing up by meaning."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    @property
    def name(self) -> str:
        """The recorded model."""
        return self._recorded.model

    @property
    def dims(self) -> int:
        """Length of its vectors."""
        return self._recorded.dims

    async def embed_documents(self, texts: Sequence[str]) -> EmbedReply:
        """Raise ``ModelError``."""
        msg = f"the model {self.name!r} was not opened, and {len(texts)} texts were to be embedded"
        raise ModelError(msg)

    async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
        """Raise ``ModelError``."""
        return await self.embed_documents(texts)


async def recorded_history(redis: Redis, keys: Keys) -> History | None:
    """Return the history for looking and filtering; None while no worker has made one."""
    recorded = await read_recorded(redis, keys.scans_meta)
    return History(redis, keys, UnaskedEmbedder(recorded)) if recorded.model else None
