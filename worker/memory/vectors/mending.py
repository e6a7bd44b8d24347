"""Makes the vectors that documents lack: of a new generation, or because the model was away when they were written.

Which they are says the tag ``embedded``, so a walk can be broken off anywhere and begun again. A vector is written only
if its document still has the text that was embedded (embed.lua); what changed meanwhile is found by the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import structlog
from redis.exceptions import RedisError

from producer.errors import SightlineError
from producer.redis.scripts import load_script, run_script
from worker.memory.history.history import scan_documents
from worker.memory.memories import memory_documents
from worker.memory.vectors.cleaning import clean_in_turn
from worker.memory.vectors.documents import Documents
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import NEVER, Generation

EMBED: Final = load_script("worker.memory.vectors", "embed")
BATCH: Final = 32
"""Texts of one model call: enough to use the card, few enough that questions get their turn."""
MEND_S: Final = 60.0
"""Between looks for documents without a vector; one worker of all looks."""

log = structlog.get_logger()


def all_documents(embeddings: Embeddings) -> tuple[Documents, ...]:
    """Return the kinds of documents that have vectors."""
    return (scan_documents(embeddings), memory_documents(embeddings))


async def mend(embeddings: Embeddings, documents: Documents, generation: Generation) -> AsyncIterator[int]:
    """Embed what lacks a vector of ``generation``; yields after each batch how many were written.

    Safe to break off and to run twice at once. Raises ``ModelError``, and ``IndexMoved`` once the generation has ended.
    """
    while True:
        lacking = await documents.lacking(generation, limit=BATCH)
        if not lacking:
            return
        texts = [text for _, text in lacking if text]
        blobs, _ = await embeddings.embed(generation, texts)
        vectors = iter(blobs)
        written = 0
        for key, text in lacking:
            args = (text, str(generation.number), generation.field, next(vectors)) if text else ("", NEVER, "", "")
            written += int(await run_script(embeddings.redis, EMBED, [key], args))
        yield written


@contextlib.asynccontextmanager
async def keep_mended(embeddings: Embeddings, *, every_s: float = MEND_S) -> AsyncGenerator[None]:
    """Mend the active generation, and clean what is left of ended ones, from time to time while the body runs."""
    task = asyncio.create_task(_keep_mending(embeddings, every_s), name="mend-vectors")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_mending(embeddings: Embeddings, every_s: float) -> None:
    while True:
        try:
            await clean_in_turn(embeddings)
            await mend_in_turn(embeddings, every_s=every_s)
        except (SightlineError, RedisError, OSError) as error:
            log.warning("vectors.not_mended", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(every_s)


async def mend_in_turn(embeddings: Embeddings, *, every_s: float = MEND_S) -> int:
    """Embed what lacks a vector of the active generation, unless another worker did within ``every_s``.

    Returns how many vectors were written.
    """
    redis, keys = embeddings.redis, embeddings.keys
    if not await redis.set(keys.mending, "1", nx=True, px=max(1, round(every_s * 900))):
        return 0
    generation = (await embeddings.record()).active
    total = 0
    for documents in all_documents(embeddings):
        async for written in mend(embeddings, documents, generation):
            total += written
    if total:
        log.info("vectors.mended", documents=total, model=generation.model)
    return total
