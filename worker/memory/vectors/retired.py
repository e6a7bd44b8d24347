"""Deletes vectors of retired generations: what a reindex leaves, and what is committed after it went by.

A worker may embed a document for two generations, and commit it when one of them has ended and its vectors are gone.
No search finds that vector, but it would stay. So all documents are walked over: by the reindex at its end, by one
worker within a minute after it, and by one worker a day from then on (``backfill.py``). The record of the generations
decides which vectors go, in the same step as they go (delete_retired.lua), so that this is safe beside a reindex.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from producer.redis.scripts import load_script, run_script
from worker.memory.vectors.documents import key_batches
from worker.memory.vectors.embeddings import Embeddings

DELETE: Final = load_script("worker.memory.vectors", "delete_retired")
MOST_CHANGED: Final = 25
"""Documents changed by one call. Redis indexes each again, 2 ms with 8,000 pages, and answers nobody else meanwhile."""


async def delete_retired(embeddings: Embeddings) -> AsyncIterator[tuple[int, int]]:
    """Delete the vectors that belong to no live generation; yields how many documents were looked at, and changed.

    Safe to break off, to run twice at once, and beside a reindex.
    """
    redis, keys = embeddings.redis, embeddings.keys
    for prefix in (keys.scan_prefix, keys.memory_prefix):
        async for names in key_batches(redis, prefix):
            left = names
            while left:
                looked_at, changed = await run_script(redis, DELETE, [keys.embedding, *left], [MOST_CHANGED])
                yield int(looked_at), int(changed)
                left = left[int(looked_at) :]
