"""Makes the wall clock of a Python process adjustable: put this folder on its PYTHONPATH.

The file named by WRONG_CLOCK contains the clock's error in seconds; it may change at any time. ``time.time``,
``time.time_ns`` and ``datetime.now`` are what Python programs read it by. The monotonic clock is unaffected, as when an
administrator or NTP sets a clock.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from datetime import tzinfo
from pathlib import Path
from typing import Self

_true_ns, _file = time.time_ns, Path(os.environ["WRONG_CLOCK"])
_known = (0.0, 0)
"""When the file was read last (monotonic, s), and what it said, ns."""


def _wrong_ns() -> int:
    global _known  # noqa: PLW0603  one clock a process
    if time.monotonic() - _known[0] > 0.05:  # s; the clock is read often
        text = _file.read_text() if _file.exists() else ""
        _known = (time.monotonic(), int(float(text or 0) * 1e9))
    return _true_ns() + _known[1]


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(_wrong_ns() / 1e9, tz)


time.time_ns = _wrong_ns
time.time = lambda: _wrong_ns() / 1e9
dt.datetime = _Datetime
