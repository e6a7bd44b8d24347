"""What arq's tests need of msgpack, by the library for it that workers have."""

from __future__ import annotations

from typing import Any

import ormsgpack


def packb(value: object) -> bytes:
    """Return ``value`` as msgpack."""
    return ormsgpack.packb(value)


def unpackb(data: bytes, *, raw: bool = False) -> Any:
    """Return what ``packb`` was given; ``raw`` is always false."""
    del raw
    return ormsgpack.unpackb(data)
