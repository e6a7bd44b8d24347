"""Backfills missing vectors and deletes obsolete ones in the background, by one worker at a time.

Vectors are missing for a new generation, or because the model was unreachable when a document was written. The tag
``embedded`` tells which, so a walk can be interrupted and restarted anywhere. A vector is written only if the document
still has the embedded text (embed.lua); the next pass finds changed documents.

Also, records of an earlier release get normalised addresses (``history/respelled.py``), and vectors of retired
generations are deleted: a worker may embed a document for two generations and commit it after one of them was deleted.
No search finds that vector, but it would use memory. So all documents are checked by a reindex at its end, by one
worker within a minute afterwards, and then daily. The record of generations decides which vectors to delete, in the
same script that deletes them (delete_retired.lua), so this is safe during a reindex.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.errors import (
    ModelBusy,
    ModelError,
    ModelMissing,
    ModelTimeout,
    ModelUnreachable,
    SightlineError,
    SlotLost,
)
from producer.redis.raw_connection import end
from producer.redis.scripts import load_script, run_script
from producer.reports.plain_text import one_line
from worker.memory.history.history import scan_documents
from worker.memory.history.respelled import respell
from worker.memory.memories import memory_documents
from worker.memory.vectors.documents import Documents, key_batches
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import NEVER, Generation, note_field
from worker.telemetry import in_background

EMBED: Final = load_script("worker.memory.vectors", "embed")
DELETE: Final = load_script("worker.memory.vectors", "delete_retired")
BATCH: Final = 32
"""Texts per model call: enough to use the GPU, few enough not to delay questions."""
BACKFILL_S: Final = 60.0
"""Interval of searches for documents without a vector."""
RESPELL_S: Final = 3_600.0
"""Interval of walks over all records, since a worker of an earlier release may still be running."""
RETIRED_S: Final = 86_400.0
"""Interval of walks over all documents; a finished reindex triggers one immediately."""
MOST_CHANGED: Final = 25
"""Documents changed per call. Redis reindexes each, which blocks it for 2 ms with 8,000 pages."""
AGAIN_S: Final = 15.0
"""Interval while the model is unreachable, so that vectors are complete within a minute after an outage."""
OUTAGES: Final = (ModelUnreachable, ModelBusy, ModelMissing, ModelTimeout, SlotLost)
"""Errors that are not caused by the text."""
HARMLESS: Final = "a first text"
MAX_REASON: Final = 300
LEASE_S: Final = 60.0
"""Time without progress after which another worker takes over."""

log = structlog.get_logger()


def all_documents(embeddings: Embeddings) -> tuple[Documents, ...]:
    """Return the kinds of documents that have vectors."""
    return (scan_documents(embeddings), memory_documents(embeddings))


@dataclass(frozen=True, slots=True)
class Filled:
    """Numbers of documents written, and of those with shortened or refused text."""

    written: int = 0
    shortened: int = 0
    refused: int = 0

    def and_then(self, other: Filled) -> Filled:
        """Return the sum of both."""
        return Filled(self.written + other.written, self.shortened + other.shortened, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class Part:
    """The result for one text: its vector, and why it is missing or partial; neither for an empty text."""

    blob: bytes = b""
    note: str = ""

    @property
    def filled(self) -> Filled:
        """Its contribution to the totals."""
        return Filled(1, shortened=int(bool(self.blob and self.note)), refused=int(bool(self.note and not self.blob)))


async def backfill(embeddings: Embeddings, documents: Documents, generation: Generation) -> AsyncIterator[Filled]:
    """Embed documents without a vector of ``generation``; yields the numbers of each batch.

    A text that the model refuses counts as done for this generation: its document gets the reason instead of a vector
    and is not found by meaning. Stops at a batch whose documents all changed meanwhile: the next pass finds them. Safe
    to interrupt and to run concurrently. Raises ``ModelError`` if the model is unreachable, and ``IndexMoved`` once the
    generation has been retired.
    """
    field, note_in = generation.field, note_field(generation.number)
    while True:
        lacking = await documents.lacking(generation, limit=BATCH)
        if not lacking:
            return
        parts = iter(await _embedded(embeddings, generation, [text for _, text in lacking if text]))
        filled = Filled()
        for key, text in lacking:
            part = next(parts) if text else Part()
            of = str(generation.number) if text else NEVER
            vector = (field, part.blob) if part.blob else ("", "")
            is_written = await run_script(embeddings.redis, EMBED, [key], (text, of, *vector, note_in, part.note))
            if is_written:
                filled = filled.and_then(part.filled)
        yield filled
        if not filled.written:  # the same documents would be embedded again at once, and for nothing
            return


async def _embedded(embeddings: Embeddings, generation: Generation, texts: Sequence[str]) -> list[Part]:
    """Return the result for each text; texts that the model refuses or fails on do not affect the others.

    Raises ``ModelError`` for failures that are not caused by the text.
    """
    try:
        made = await embeddings.embed(generation, texts)
    except ModelError as error:
        if isinstance(error, OUTAGES):
            raise
        if len(texts) > 1:
            middle = len(texts) // 2
            parts = texts[:middle], texts[middle:]
            return [one for part in parts for one in await _embedded(embeddings, generation, part)]
        if not await _takes_another(embeddings, generation):
            raise
        log.warning("vectors.refused", model=generation.model, chars=len(texts[0]), error=str(error))
        return [Part(note=f"refused: {one_line(str(error), limit=MAX_REASON)}")]
    return [Part(blob, made.notes.get(place, "")) for place, blob in enumerate(made.blobs)]


async def _takes_another(embeddings: Embeddings, generation: Generation) -> bool:
    """Return whether the model embeds a harmless text, so that the failing text must be at fault."""
    try:
        await embeddings.embed(generation, [HARMLESS])
    except ModelError:
        return False
    return True


async def delete_retired(embeddings: Embeddings) -> AsyncIterator[tuple[int, int]]:
    """Delete vectors that belong to no live generation; yields the numbers of documents checked and changed.

    Safe to interrupt, to run concurrently, and during a reindex.
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
    """Periodically backfill vectors, delete retired ones and normalise addresses while the body runs."""
    backfilling = partial(_keep_backfilling, embeddings, every_s)
    task = in_background(backfilling, name="backfill", again_s=min(every_s, AGAIN_S))
    try:
        yield
    finally:
        await end(task)


async def _keep_backfilling(embeddings: Embeddings, every_s: float) -> None:
    while True:
        try:
            await respell_in_turn(embeddings)
            await delete_retired_in_turn(embeddings)
            await backfill_in_turn(embeddings, every_s=every_s)
        except (RedisError, OSError, SightlineError) as error:
            log.warning("backfill.failed", error=one_line(f"{type(error).__name__}: {error}", limit=MAX_REASON))
            await asyncio.sleep(min(every_s, AGAIN_S))
        else:
            await asyncio.sleep(every_s)


async def backfill_in_turn(embeddings: Embeddings, *, every_s: float = BACKFILL_S) -> int:
    """Backfill vectors of the active generation, unless another worker did within ``every_s``.

    Returns the number of vectors written.
    """
    generation = (await embeddings.record()).active

    async def steps() -> AsyncIterator[int]:
        for documents in all_documents(embeddings):
            async for filled in backfill(embeddings, documents, generation):
                yield filled.written

    # Slightly less, or a worker that checks just before the end would wait for another interval.
    total = await _in_turn(embeddings.redis, embeddings.keys.backfill, steps(), every_s=every_s * 0.9)
    if total:
        log.info("vectors.backfilled", documents=total, model=generation.model)
    return total


async def delete_retired_in_turn(embeddings: Embeddings, *, every_s: float = RETIRED_S) -> int:
    """Delete vectors of retired generations, unless a worker did within ``every_s`` and no reindex has ended since.

    Returns the number of documents that had any.
    """
    steps = (changed async for _, changed in delete_retired(embeddings))
    total = await _in_turn(embeddings.redis, embeddings.keys.retired, steps, every_s=every_s)
    if total:
        log.info("vectors.deleted", documents=total)
    return total


async def respell_in_turn(embeddings: Embeddings, *, every_s: float = RESPELL_S) -> int:
    """Normalise addresses in records of an earlier release, unless a worker did within ``every_s``.

    Returns the number of records corrected.
    """
    redis, keys = embeddings.redis, embeddings.keys
    total = await _in_turn(redis, keys.respelled, respell(redis, keys), every_s=every_s)
    if total:
        log.info("history.respelled", records=total)
    return total


async def _in_turn(redis: Redis, mark: str, steps: AsyncIterator[int], *, every_s: float) -> int:
    """Run ``steps`` unless another worker does so or did within ``every_s``; returns their sum.

    ``mark`` is held for ``LEASE_S`` per step, and for ``every_s`` after the last one. Another worker takes over from a
    killed one; failed steps are retried after ``AGAIN_S``.
    """
    every_ms = max(1, round(every_s * 1_000))
    lease_ms = min(every_ms, round(LEASE_S * 1_000))
    if not await redis.set(mark, "1", nx=True, px=lease_ms):
        return 0
    total = 0
    try:
        async for done in steps:
            total += done
            await redis.set(mark, "1", xx=True, px=lease_ms)
    except SightlineError:
        await redis.set(mark, "1", xx=True, px=min(lease_ms, round(AGAIN_S * 900)))
        raise
    # If the mark was deleted in the meantime, another walk is due.
    await redis.set(mark, "1", xx=True, px=every_ms)
    return total
