"""Reads how long an animated GIF plays: the delays of its frames, and how often it repeats."""

from __future__ import annotations

import contextlib
import math
from typing import Final

_HEADER: Final = 13
_HUNDREDTHS: Final = 100
_BROWSERS_LEAST: Final = 2
"""Browsers show frames with a delay of 0 or 1 hundredth for a tenth of a second."""
_BROWSERS_DELAY: Final = 10
_EXTENSION, _IMAGE, _CONTROL, _APPLICATION = 0x21, 0x2C, 0xF9, 0xFF
_HAS_TABLE: Final = 0x80


def plays_s(data: bytes) -> float:
    """Return the seconds that it plays: 0 for a still image or another format, infinity if it never stops."""
    delays, repeats = _read(data)
    if len(delays) <= 1:
        return 0.0
    once = sum(_BROWSERS_DELAY if delay < _BROWSERS_LEAST else delay for delay in delays) / _HUNDREDTHS
    return math.inf if repeats == 0 else once * repeats


def _read(data: bytes) -> tuple[list[int], int]:
    """Return the whole frames' delays in hundredths of a second, and how often all are shown (0: always).

    Browsers show what there is of a file that ends early.
    """
    if data[:6] not in {b"GIF87a", b"GIF89a"}:
        return [], 1
    delays: list[int] = []
    delay, repeats = 0, 1
    with contextlib.suppress(IndexError):
        at = _HEADER + _table(data[10])
        while data[at] in {_EXTENSION, _IMAGE}:
            if data[at] == _IMAGE:
                at = _after_blocks(data, at + 11 + _table(data[at + 9]))
                delays.append(delay)
                continue
            if data[at + 1] == _CONTROL:
                delay = int.from_bytes(data[at + 4 : at + 6], "little")
            elif data[at + 1] == _APPLICATION and data[at + 3 : at + 11] == b"NETSCAPE":
                again = int.from_bytes(data[at + 16 : at + 18], "little")
                repeats = again + 1 if again else 0
            at = _after_blocks(data, at + 2)
    return delays, repeats


def _table(flags: int) -> int:
    """Return the size of a colour table in bytes."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & _HAS_TABLE else 0


def _after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1
