"""Fills in, in the background, what documents lack, and removes what they no longer need; one worker of all at a time.

Vectors: of a new generation, or because the model was away when a document was written. Which they are says the tag
``embedded``, so a walk can be broken off anywhere and begun again. A vector is written only if its document still has
the text that was embedded (embed.lua); what changed meanwhile is found by the next look. Besides, records of an
earlier release get the one spelling of their address (``history/respelled.py``), and vectors of retired generations are
deleted: a worker may embed a document for two generations, and commit it when one of them has ended and its vectors are
gone. No search finds that vector, but it would stay. So all documents are walked over: by the reindex at its end, by
one worker within a minute after it, and by one worker a day from then on. The record of the generations decides which
vectors go, in the same step as they go (delete_retired.lua), so that this is safe beside a reindex.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.errors import ModelError, ModelMissing, SightlineError
from producer.redis.scripts import load_script, run_script
from worker.memory.history.history import scan_documents
from worker.memory.history.respelled import respell
from worker.memory.memories import memory_documents
from worker.memory.vectors.documents import Documents, key_batches
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import NEVER, Generation

EMBED: Final = load_script("worker.memory.vectors", "embed")
DELETE: Final = load_script("worker.memory.vectors", "delete_retired")
BATCH: Final = 32
"""Texts of one model call: enough to use the card, few enough that questions get their turn."""
BACKFILL_S: Final = 60.0
"""Between looks for documents without a vector."""
RESPELL_S: Final = 3_600.0
"""Between walks over all records: a worker of an earlier release may run beside this one."""
RETIRED_S: Final = 86_400.0
"""Between walks over all documents; the end of a reindex makes the next one due at once."""
MOST_CHANGED: Final = 25
"""Documents changed by one call. Redis indexes each again, 2 ms with 8,000 pages, and answers nobody else meanwhile."""
LEASE_S: Final = 60.0
"""After so long without a step another worker goes on: the one that began was killed."""

log = structlog.get_logger()


def all_documents(embeddings: Embeddings) -> tuple[Documents, ...]:
    """Return the kinds of documents that have vectors."""
    return (scan_documents(embeddings), memory_documents(embeddings))


async def backfill(embeddings: Embeddings, documents: Documents, generation: Generation) -> AsyncIterator[int]:
    """Embed what lacks a vector of ``generation``; yields after each batch how many were written.

    A text that the model refuses counts as done for this generation, without a vector: it is found by all but meaning.
    Safe to break off and to run twice at once. Raises ``ModelError`` for a model that is away, and ``IndexMoved`` once
    the generation has ended.
    """
    while True:
        lacking = await documents.lacking(generation, limit=BATCH)
        if not lacking:
            return
        texts = [text for _, text in lacking if text]
        vectors = iter(await _vectors(embeddings, generation, texts))
        written = 0
        for key, text in lacking:
            vector = next(vectors) if text else None
            of = str(generation.number) if text else NEVER
            args = (text, of, generation.field, vector) if vector is not None else (text, of, "", "")
            written += int(await run_script(embeddings.redis, EMBED, [key], args))
        yield written


async def _vectors(embeddings: Embeddings, generation: Generation, texts: Sequence[str]) -> list[bytes | None]:
    """Return the texts' vectors; None for one that the model refuses: it is set aside, and the others go on.

    Raises ``ModelError`` for what may go better later.
    """
    try:
        blobs, _ = await embeddings.embed(generation, texts)
    except ModelError as error:
        if error.retryable or isinstance(error, ModelMissing):
            raise
        if len(texts) == 1:
            log.warning("vectors.refused", model=generation.model, chars=len(texts[0]), error=str(error))
            return [None]
        middle = len(texts) // 2
        parts = texts[:middle], texts[middle:]
        return [vector for part in parts for vector in await _vectors(embeddings, generation, part)]
    return list(blobs)


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


@contextlib.asynccontextmanager
async def keep_backfilled(embeddings: Embeddings, *, every_s: float = BACKFILL_S) -> AsyncGenerator[None]:
    """Do all that is due at once, and again every ``every_s``, while the body runs."""
    task = asyncio.create_task(_keep_backfilling(embeddings, every_s), name="backfill")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_backfilling(embeddings: Embeddings, every_s: float) -> None:
    while True:
        try:
            await respell_in_turn(embeddings)
            await delete_retired_in_turn(embeddings)
            await backfill_in_turn(embeddings, every_s=every_s)
        except (SightlineError, RedisError, OSError) as error:
            log.warning("backfill.failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(every_s)


async def backfill_in_turn(embeddings: Embeddings, *, every_s: float = BACKFILL_S) -> int:
    """Embed what lacks a vector of the active generation, unless another worker did within ``every_s``.

    Returns how many vectors were written.
    """
    generation = (await embeddings.record()).active

    async def steps() -> AsyncIterator[int]:
        for documents in all_documents(embeddings):
            async for written in backfill(embeddings, documents, generation):
                yield written

    # A little less, or a worker that looks just before the time is over would wait for as long again.
    total = await _in_turn(embeddings.redis, embeddings.keys.backfill, steps(), every_s=every_s * 0.9)
    if total:
        log.info("vectors.backfilled", documents=total, model=generation.model)
    return total


async def delete_retired_in_turn(embeddings: Embeddings, *, every_s: float = RETIRED_S) -> int:
    """Delete vectors of retired generations, unless a worker did within ``every_s`` and no reindex has ended since.

    Returns how many documents had any.
    """
    steps = (changed async for _, changed in delete_retired(embeddings))
    total = await _in_turn(embeddings.redis, embeddings.keys.retired, steps, every_s=every_s)
    if total:
        log.info("vectors.deleted", documents=total)
    return total


async def respell_in_turn(embeddings: Embeddings, *, every_s: float = RESPELL_S) -> int:
    """Give records of an earlier release the one spelling of their address, unless a worker did within ``every_s``.

    Returns how many there were.
    """
    redis, keys = embeddings.redis, embeddings.keys
    total = await _in_turn(redis, keys.respelled, respell(redis, keys), every_s=every_s)
    if total:
        log.info("history.respelled", records=total)
    return total


async def _in_turn(redis: Redis, mark: str, steps: AsyncIterator[int], *, every_s: float) -> int:
    """Go through ``steps``, unless another worker does so or did within ``every_s``; returns their sum.

    ``mark`` is held for ``LEASE_S`` a step, and for ``every_s`` once all are done: a killed worker's are done again.
    """
    every_ms = max(1, round(every_s * 1_000))
    lease_ms = min(every_ms, round(LEASE_S * 1_000))
    if not await redis.set(mark, "1", nx=True, px=lease_ms):
        return 0
    total = 0
    async for done in steps:
        total += done
        await redis.set(mark, "1", xx=True, px=lease_ms)
    # One that was deleted meanwhile makes another walk due.
    await redis.set(mark, "1", xx=True, px=every_ms)
    return total
