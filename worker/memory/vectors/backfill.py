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
from dataclasses import dataclass
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
from producer.redis.scripts import load_script, run_script
from producer.reports.plain_text import one_line
from worker.memory.history.history import scan_documents
from worker.memory.history.respelled import respell
from worker.memory.memories import memory_documents
from worker.memory.vectors.documents import Documents, key_batches
from worker.memory.vectors.embeddings import Embeddings
from worker.memory.vectors.generations import NEVER, Generation, note_field

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
AGAIN_S: Final = 15.0
"""Between looks while the model is away: what was scanned in an outage has its vector within a minute after it."""
OUTAGES: Final = (ModelUnreachable, ModelBusy, ModelMissing, ModelTimeout, SlotLost)
"""Errors that say nothing about the text."""
HARMLESS: Final = "a first text"
MAX_REASON: Final = 300
LEASE_S: Final = 60.0
"""After so long without a step another worker goes on: the one that began was killed."""

log = structlog.get_logger()


def all_documents(embeddings: Embeddings) -> tuple[Documents, ...]:
    """Return the kinds of documents that have vectors."""
    return (scan_documents(embeddings), memory_documents(embeddings))


@dataclass(frozen=True, slots=True)
class Filled:
    """How many documents were written, and of how many of them the text was shortened or refused."""

    written: int = 0
    shortened: int = 0
    refused: int = 0

    def and_then(self, other: Filled) -> Filled:
        """Return the sums of both."""
        return Filled(self.written + other.written, self.shortened + other.shortened, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one text: its vector, and why it is none of the whole text; neither where there is no text."""

    blob: bytes = b""
    note: str = ""

    @property
    def filled(self) -> Filled:
        """What it adds to the sums."""
        return Filled(1, shortened=int(bool(self.blob and self.note)), refused=int(bool(self.note and not self.blob)))


async def backfill(embeddings: Embeddings, documents: Documents, generation: Generation) -> AsyncIterator[Filled]:
    """Embed what lacks a vector of ``generation``; yields after each batch what was written.

    A text that the model refuses counts as done for this generation, without a vector and with the reason in its
    document: it is found by all but meaning. Safe to break off and to run twice at once. Raises ``ModelError`` for a
    model that is away, and ``IndexMoved`` once the generation has ended.
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


async def _embedded(embeddings: Embeddings, generation: Generation, texts: Sequence[str]) -> list[Part]:
    """Return what comes of each text; one that the model refuses, or breaks on, is set aside, and the others go on.

    Raises ``ModelError`` for what may go better later.
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
        if error.retryable and not await _takes_another(embeddings, generation):
            raise
        log.warning("vectors.refused", model=generation.model, chars=len(texts[0]), error=str(error))
        return [Part(note=f"refused: {one_line(str(error), limit=MAX_REASON)}")]
    return [Part(blob, made.notes.get(place, "")) for place, blob in enumerate(made.blobs)]


async def _takes_another(embeddings: Embeddings, generation: Generation) -> bool:
    """Whether the model embeds a text that no model refuses: then what it broke on is at fault."""
    try:
        await embeddings.embed(generation, [HARMLESS])
    except ModelError:
        return False
    return True


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
            await asyncio.sleep(min(every_s, AGAIN_S))
        else:
            await asyncio.sleep(every_s)


async def backfill_in_turn(embeddings: Embeddings, *, every_s: float = BACKFILL_S) -> int:
    """Embed what lacks a vector of the active generation, unless another worker did within ``every_s``.

    Returns how many vectors were written.
    """
    generation = (await embeddings.record()).active

    async def steps() -> AsyncIterator[int]:
        for documents in all_documents(embeddings):
            async for filled in backfill(embeddings, documents, generation):
                yield filled.written

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

    ``mark`` is held for ``LEASE_S`` a step, and for ``every_s`` once all are done: a killed worker's are done again,
    and those that failed, ``AGAIN_S`` later.
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
    # One that was deleted meanwhile makes another walk due.
    await redis.set(mark, "1", xx=True, px=every_ms)
    return total
