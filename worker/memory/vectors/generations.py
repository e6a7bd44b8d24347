"""Which embedding model the vectors of one environment are of: the record that every worker reads before it embeds.

A *generation* is one model's vectors: a field of their own in the documents, and an index of their own for each kind of
document. One is ``active``: searches use it. While ``sightline reindex`` runs, another is ``coming``: new documents get
its vectors too. Then it becomes the active one in one step, and the old one is ``retired`` until its fields and indexes
are gone. Each is one field of the hash ``embedding``, so that whoever reads it sees one state. ``embeddings.py``
embeds; ``reindex.py`` moves on from one generation to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from redis.asyncio import Redis

from producer.errors import RedisUnsuitable
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.models.protocols import Vector, check_vector

FIELDS: Final = ("active", "coming", "retired", "previous")
EMBEDDED: Final = "embedded"
"""Tag field of every document: the numbers of the generations whose vectors it has."""
NEVER: Final = "never"
"""Stands there in documents that have no text to embed."""
VECTOR: Final = "vector"
BITS: Final = 16
"""Of each number of a new generation's vectors: half the memory, a search in three quarters of the time."""
UNSAID_BITS: Final = 32
"""What a record means that says none."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One embedding model's vectors, each ``float16[dims]`` or ``float32[dims]``.

    No two of an environment have one ``number``.
    """

    number: int
    model: str
    dims: int
    bits: int = BITS

    @property
    def field(self) -> str:
        """Name of the documents' field with these vectors."""
        return vector_field(self.number)

    @property
    def dtype(self) -> str:
        """What its vectors are kept as, in the words of Redis and NumPy."""
        return f"float{self.bits}"

    def blob(self, vector: Vector) -> bytes:
        """Return ``vector`` as Redis keeps it; raises ``ModelError`` for one that doesn't fit."""
        return check_vector(vector, dims=self.dims, model=self.model).astype(self.dtype).tobytes()

    def vector(self, blob: bytes) -> Vector:
        """Return what ``blob`` made bytes of, as near as its bits allow."""
        return np.frombuffer(blob, dtype=self.dtype).astype(np.float32)

    @property
    def shape(self) -> str:
        """All but the number, as the record holds it."""
        size = str(self.dims) if self.bits == UNSAID_BITS else f"{self.dims}f{self.bits}"
        return f"{size}:{self.model}"

    def pack(self) -> str:
        """Return it as the record holds it."""
        return f"{self.number}:{self.shape}"

    @classmethod
    def parse(cls, text: str) -> Generation | None:
        """Return what ``pack`` packed; None for ''. Raises ``RedisUnsuitable`` for what this release does not know."""
        if not text:
            return None
        number, _, rest = text.partition(":")
        size, _, model = rest.partition(":")
        dims, _, bits = size.partition("f")
        try:
            return cls(int(number), model, int(dims), int(bits or UNSAID_BITS))
        except ValueError:
            msg = f"Redis says of its vectors {text!r}, which a newer release may have written: update this one"
            raise RedisUnsuitable(msg) from None

    def __str__(self) -> str:
        bits = "" if self.bits == BITS else f" of {self.bits} bits"
        return f"{self.model!r} ({self.dims} dimensions{bits})"


FIRST: Final = 1


def vector_field(number: int) -> str:
    """Return the documents' field with the vectors of a generation."""
    return VECTOR if number == FIRST else f"{VECTOR}_{number}"


def note_field(number: int) -> str:
    """Return the documents' field that says why a generation has no vector of the whole text, where it has none."""
    return f"{vector_field(number)}_note"


@dataclass(frozen=True, slots=True)
class Record:
    """The generations of one environment; ``previous`` is the model that was active before, '' if there was none."""

    active: Generation
    coming: Generation | None = None
    retired: Generation | None = None
    previous: str = ""

    @property
    def live(self) -> tuple[Generation, ...]:
        """The generations that documents are embedded for, the active one first."""
        return (self.active,) if self.coming is None else (self.active, self.coming)


async def read_record(redis: Redis, keys: Keys) -> Record | None:
    """Return the environment's generations; None while no worker has begun with one."""
    values = await cast("Any", redis).hmget(keys.embedding, FIELDS)
    active, coming, retired, previous = (as_text(value) for value in values)
    begun = Generation.parse(active)
    if begun is None:
        return None
    return Record(begun, Generation.parse(coming), Generation.parse(retired), previous)


async def begin_record(redis: Redis, keys: Keys, generation: Generation) -> None:
    """Record ``generation`` as the active one, unless there is one. The first worker of all decides."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hsetnx(keys.embedding, "active", generation.pack())
        pipe.hsetnx(keys.embedding, "count", str(generation.number))
        await pipe.execute()
