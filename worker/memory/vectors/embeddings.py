"""Embeds texts for the recorded generations, regardless of this worker's settings.

The record is read for each text, so every worker notices a ``sightline reindex`` at once. A document committed while a
new generation was announced, or while the model host was unreachable, may lack a vector: ``backfill.py`` finds such
documents by the tag ``embedded``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, TypeVar

import numpy as np
import structlog
from redis.asyncio import Redis

from producer.contract import Usage
from producer.errors import IndexMoved, ModelError, ServiceError, SettingsError
from producer.keys import Keys
from worker.memory.vectors.generations import (
    EMBEDDED,
    FIRST,
    NEVER,
    Generation,
    Record,
    begin_record,
    note_field,
    read_record,
    vector_field,
)
from worker.models.protocols import Embedder, OpenEmbedder, Vector, add_usage, check_vector

T = TypeVar("T")
NOTHING: Final = Usage()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Placed:
    """A vector and its generation."""

    vector: Vector
    generation: Generation

    def blob(self) -> bytes:
        """Return the vector encoded for Redis; raises ``ModelError`` for the wrong size."""
        return self.generation.blob(self.vector)

    def pack(self) -> str:
        """Encode it as a line of text."""
        return f"{b64encode(self.vector.tobytes()).decode()} {self.generation.pack()}"

    @classmethod
    def parse(cls, text: str) -> Placed | None:
        """Decode the output of ``pack``; None for ''."""
        blob, _, packed = text.partition(" ")
        generation = Generation.parse(packed)
        return None if generation is None else cls(np.frombuffer(b64decode(blob), dtype=np.float32), generation)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text and its encoded vectors by generation number; missing ones are backfilled.

    Without a text there are no vectors. ``notes`` say for which vectors the text was shortened.
    """

    text: str
    vectors: Mapping[int, bytes]
    notes: Mapping[int, str] = field(default_factory=dict[int, str])

    def fields(self) -> dict[str, str | bytes]:
        """Return the fields of its document: all of them, to overwrite those of a previous text."""
        if not self.text:
            return {EMBEDDED: NEVER}
        blobs = {vector_field(number): blob for number, blob in self.vectors.items()}
        notes = {note_field(number): note for number, note in self.notes.items()}
        return {"text": self.text, EMBEDDED: ",".join(map(str, self.vectors)), **blobs, **notes}

    def placed(self, generation: Generation) -> Placed | None:
        """Return its vector of ``generation``, or None."""
        blob = self.vectors.get(generation.number)
        return None if blob is None else Placed(generation.vector(blob), generation)

    def pack(self) -> str:
        """Encode it as JSON."""
        blobs = {number: b64encode(blob).decode() for number, blob in self.vectors.items()}
        return json.dumps([self.text, blobs, *([self.notes] if self.notes else [])])

    @classmethod
    def parse(cls, text: str) -> Embedded:
        """Decode the output of ``pack``; '' gives an empty one."""
        words, blobs, *notes = json.loads(text) if text else ("", {})
        vectors = {int(number): b64decode(blob) for number, blob in blobs.items()}
        return cls(words, vectors, {int(number): note for one in notes for number, note in one.items()})


@dataclass(frozen=True, slots=True)
class Made:
    """Vectors encoded for Redis; ``notes`` maps the indexes of shortened texts to explanations."""

    blobs: Sequence[bytes] = ()
    notes: Mapping[int, str] = field(default_factory=dict[int, str])
    usage: Usage = NOTHING


class Embeddings:
    """Embeds texts for one environment. The caller owns the Redis client.

    ``chosen`` is the embedder of EMBEDDING_MODEL, used for a new environment; ``open_embedder`` opens those of other
    generations.
    """

    def __init__(
        self, redis: Redis, keys: Keys, chosen: Embedder | None = None, open_embedder: OpenEmbedder | None = None
    ) -> None:
        self.redis = redis
        self.keys = keys
        self._chosen = chosen
        self._open = open_embedder
        self._embedders: dict[Generation, Embedder] = {}
        self._seen: Record | None = None

    async def claim(self) -> None:
        """Record the chosen model for all vectors, or check that it matches. Safe to call twice and concurrently.

        The source or target model of a reindex is also accepted: the recorded model is used, and this is logged. Raises
        ``SettingsError`` for any other model, since vectors of two models cannot be compared.
        """
        if self._chosen is None:
            await self.record()
            return
        chosen = Generation(FIRST, self._chosen.name, self._chosen.dims)
        await begin_record(self.redis, self.keys, chosen)
        record = await self.record()
        if any((one.model, one.dims) == (chosen.model, chosen.dims) for one in record.live):
            return
        if chosen.model == record.previous:
            log.warning("settings.model_moved", given=chosen.model, used=record.active.model)
            return
        msg = (
            f"EMBEDDING_MODEL is {chosen}, but the indexes were built with {record.active}, and vectors of two models "
            f"cannot be compared: to change the model, run: sightline reindex --to {chosen.model}; "
            f"to keep it, set EMBEDDING_MODEL={record.active.model}"
        )
        raise SettingsError(msg)

    async def record(self) -> Record:
        """Return the current generations. Raises ``ServiceError`` before a worker has recorded one."""
        found = await read_record(self.redis, self.keys)
        if found is None and self._seen is not None:
            # Redis lost its data while the worker was running.
            await begin_record(self.redis, self.keys, self._seen.active)
            found = await read_record(self.redis, self.keys)
        if found is None:
            msg = f"environment {self.keys.environment!r} has no indexes yet: start a worker: sightline worker"
            raise ServiceError(msg)
        self._seen = found
        return found

    async def query(self, text: str) -> tuple[Placed, Usage]:
        """Return the vector for a search by ``text``. Raises ``ModelError``."""
        generation = (await self.record()).active
        reply = await (await self._embedder(generation)).embed_queries([text])
        vector = check_vector(reply.vectors[0], dims=generation.dims, model=generation.model)
        return Placed(vector, generation), reply.usage

    async def looked_up(self, text: str, look: Callable[[Placed], Awaitable[T]]) -> tuple[T, Usage]:
        """Search with ``look`` by ``text``, again if a reindex ended in between. Raises ``ModelError``."""
        placed, usage = await self.query(text)
        try:
            return await look(placed), usage
        except IndexMoved:
            placed, more = await self.query(text)
            return await look(placed), add_usage(usage, more)

    async def documents(self, texts: Sequence[str]) -> tuple[list[Embedded], Usage]:
        """Embed the texts for all live generations, with one call per model.

        Raises ``ModelError`` if the active model fails; vectors of a failing new model are backfilled later.
        """
        record = await self.record()
        rows = {record.active.number: await self.embed(record.active, texts)}
        if record.coming is not None:
            try:
                rows[record.coming.number] = await self.embed(record.coming, texts)
            except (ModelError, SettingsError) as error:
                log.warning("reindex.model_failed", model=record.coming.model, error=str(error))
        usage = reduce(add_usage, (made.usage for made in rows.values()))
        return [
            Embedded(
                text,
                {number: made.blobs[place] for number, made in rows.items()},
                {number: made.notes[place] for number, made in rows.items() if place in made.notes},
            )
            for place, text in enumerate(texts)
        ], usage

    async def embed(self, generation: Generation, texts: Sequence[str]) -> Made:
        """Embed ``texts`` for ``generation``, validated and encoded for Redis. Raises ``ModelError``."""
        if not texts:
            return Made()
        reply = await (await self._embedder(generation)).embed_documents(texts)
        notes = {
            place: f"shortened: the first {kept:,} of {len(texts[place]):,} characters"
            for place, kept in reply.shortened.items()
        }
        return Made([generation.blob(vector) for vector in reply.vectors], notes, reply.usage)

    async def _embedder(self, generation: Generation) -> Embedder:
        known = self._embedders.get(generation)
        if known is None:
            known = self._embedders[generation] = await self._opened(generation)
        return known

    async def _opened(self, generation: Generation) -> Embedder:
        chosen = self._chosen
        if chosen is not None and (chosen.name, chosen.dims) == (generation.model, generation.dims):
            return chosen
        if self._open is None:
            msg = f"the model {generation.model!r} is not open, so nothing can be embedded with it"
            raise ModelError(msg)
        return await self._open(generation.model, generation.dims)
