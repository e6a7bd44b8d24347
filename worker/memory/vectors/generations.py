"""Records which embedding model an environment's vectors come from; workers read it before they embed.

A *generation* is the set of one model's vectors: a separate field in the documents, and a separate index for each kind
of document. The ``active`` generation serves searches. During ``sightline reindex`` another one is ``coming``: new
documents also get its vectors. Then it atomically becomes active, and the old one is ``retired`` until its fields and
indexes are deleted. All are fields of the hash ``embedding``, so that readers see a consistent state. ``embeddings.py``
embeds; ``reindex.py`` moves to a new generation.
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
"""Tag field of every document: the numbers of the generations for which it has vectors."""
NEVER: Final = "never"
"""Value of that field in documents without a text."""
VECTOR: Final = "vector"
BITS: Final = 16
"""Bits per component in new generations; compared with 32, they take half the memory and three quarters of the search
time."""
UNSAID_BITS: Final = 32
"""Bits of a record without that field."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The vectors of one embedding model, each ``float16[dims]`` or ``float32[dims]``.

    ``number`` is unique in the environment.
    """

    number: int
    model: str
    dims: int
    bits: int = BITS

    @property
    def field(self) -> str:
        """The documents' field for these vectors."""
        return vector_field(self.number)

    @property
    def dtype(self) -> str:
        """The vectors' data type, as named by Redis and NumPy."""
        return f"float{self.bits}"

    def blob(self, vector: Vector) -> bytes:
        """Encode ``vector`` for Redis; raises ``ModelError`` for the wrong size."""
        return check_vector(vector, dims=self.dims, model=self.model).astype(self.dtype).tobytes()

    def vector(self, blob: bytes) -> Vector:
        """Decode the output of ``blob``, with its precision."""
        return np.frombuffer(blob, dtype=self.dtype).astype(np.float32)

    @property
    def shape(self) -> str:
        """Its form in the record, without the number."""
        size = str(self.dims) if self.bits == UNSAID_BITS else f"{self.dims}f{self.bits}"
        return f"{size}:{self.model}"

    def pack(self) -> str:
        """Encode it for the record."""
        return f"{self.number}:{self.shape}"

    @classmethod
    def parse(cls, text: str) -> Generation | None:
        """Decode the output of ``pack``; None for ''. Raises ``RedisUnsuitable`` for an unknown form."""
        if not text:
            return None
        number, _, rest = text.partition(":")
        size, _, model = rest.partition(":")
        dims, _, bits = size.partition("f")
        try:
            return cls(int(number), model, int(dims), int(bits or UNSAID_BITS))
        except ValueError:
            msg = (
                f"Redis has the record {text!r} of its vectors, which a newer release may have written: update this one"
            )
            raise RedisUnsuitable(msg) from None

    def __str__(self) -> str:
        bits = "" if self.bits == BITS else f" of {self.bits} bits"
        return f"{self.model!r} ({self.dims} dimensions{bits})"


FIRST: Final = 1


def vector_field(number: int) -> str:
    """Return the documents' field for a generation's vectors."""
    return VECTOR if number == FIRST else f"{VECTOR}_{number}"


def note_field(number: int) -> str:
    """Return the documents' field for the reason why a generation's vector is missing or partial."""
    return f"{vector_field(number)}_note"


@dataclass(frozen=True, slots=True)
class Record:
    """The generations of one environment; ``previous`` is the formerly active model, '' for none."""

    active: Generation
    coming: Generation | None = None
    retired: Generation | None = None
    previous: str = ""

    @property
    def live(self) -> tuple[Generation, ...]:
        """The generations for which documents are embedded, the active one first."""
        return (self.active,) if self.coming is None else (self.active, self.coming)


async def read_record(redis: Redis, keys: Keys) -> Record | None:
    """Return the environment's generations; None before a worker has recorded one."""
    values = await cast("Any", redis).hmget(keys.embedding, FIELDS)
    active, coming, retired, previous = (as_text(value) for value in values)
    begun = Generation.parse(active)
    if begun is None:
        return None
    return Record(begun, Generation.parse(coming), Generation.parse(retired), previous)


async def begin_record(redis: Redis, keys: Keys, generation: Generation) -> None:
    """Record ``generation`` as active unless there is one already: the first worker decides."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hsetnx(keys.embedding, "active", generation.pack())
        pipe.hsetnx(keys.embedding, "count", str(generation.number))
        await pipe.execute()
