"""The history as it is, for those who only look: no index is made, and no model is asked.

A worker decides which model the vectors are of (``Embeddings.claim``). A command must not: run first, with settings of
its own, it would shut the workers out.
"""

from __future__ import annotations

from redis.asyncio import Redis

from producer.keys import Keys
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import read_record
from worker.models.protocols import OpenEmbedder


async def recorded_history(redis: Redis, keys: Keys, open_embedder: OpenEmbedder | None = None) -> History | None:
    """Return the history for looking; None while no worker has made one. To look by meaning, models must be opened."""
    if await read_record(redis, keys) is None:
        return None
    return History(Embeddings(redis, keys, open_embedder=open_embedder))
