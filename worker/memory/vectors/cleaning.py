"""Deletes vectors of generations that have ended: what a reindex leaves, and what is committed after it went by.

A worker may embed a document for two generations, and commit it when one of them has ended and its vectors are gone.
No search finds that vector, but it takes its place for ever. So whoever cleans walks over all documents: the reindex at
its end, one worker of all within a minute after it, and one a day from then on. The record of the generations decides
which vectors go, in the same step as they go (clean_vectors.lua), so that cleaning is safe beside a reindex.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import structlog

from producer.redis.scripts import load_script, run_script
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.indexes import as_text

CLEAN: Final = load_script("worker.memory.vectors", "clean_vectors")
CLEAN_S: Final = 86_400.0
"""Between walks over all documents by workers; the end of a reindex makes the next one due at once."""
WALK_BATCH: Final = 500
MOST_CLEANED: Final = 25
"""Documents cleaned in one call. Redis indexes each anew, 2 ms with 8,000 pages, and answers nobody else meanwhile."""

log = structlog.get_logger()


async def clean(embeddings: Embeddings) -> AsyncIterator[tuple[int, int]]:
    """Delete the vectors that belong to no live generation; yields how many documents were looked at, and cleaned.

    Safe to break off, to run twice at once, and beside a reindex.
    """
    async for keys in _walk(embeddings):
        while keys:
            looked_at, cleaned = await run_script(
                embeddings.redis, CLEAN, [embeddings.keys.embedding, *keys], [MOST_CLEANED]
            )
            yield int(looked_at), int(cleaned)
            keys = keys[int(looked_at) :]  # noqa: PLW2901  what is left of the batch


async def clean_in_turn(embeddings: Embeddings, *, every_s: float = CLEAN_S) -> int:
    """Clean all documents, unless another worker did within ``every_s`` and no reindex has ended since.

    Returns how many were cleaned.
    """
    if not await embeddings.redis.set(embeddings.keys.cleaning, "1", nx=True, px=max(1, round(every_s * 1_000))):
        return 0
    total = sum([cleaned async for _, cleaned in clean(embeddings)])
    if total:
        log.info("vectors.cleaned", documents=total)
    return total


async def make_due(embeddings: Embeddings) -> None:
    """Have a worker clean with its next look."""
    await embeddings.redis.delete(embeddings.keys.cleaning)


async def _walk(embeddings: Embeddings) -> AsyncIterator[list[str]]:
    """Yield the keys of all documents, a batch at a time."""
    for prefix in (embeddings.keys.scan_prefix, embeddings.keys.memory_prefix):
        cursor = 0
        while True:
            cursor, names = await embeddings.redis.scan(cursor, match=f"{prefix}*", count=WALK_BATCH)
            if names:
                yield [as_text(name) for name in names]
            if int(cursor) == 0:
                break
