"""The part of msgpack that arq's tests need, based on the library that workers use."""

from __future__ import annotations

from typing import Any

import ormsgpack


def packb(value: object) -> bytes:
    """Return ``value`` as msgpack."""
    return ormsgpack.packb(value)


def unpackb(data: bytes, *, raw: bool = False) -> Any:
    """Decode the output of ``packb``; ``raw`` is always false."""
    del raw
    return ormsgpack.unpackb(data)
