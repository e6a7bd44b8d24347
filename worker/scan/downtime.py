"""Remembers servers found down, so that scans do not wait for them again soon. In memory, for one engine.

A server that starts late is waited for (``load.py``); with a hundred pages on a dead one, only the first scan waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

FORGET_S: Final = 60.0
_MOST: Final = 1_000

Origin = tuple[str, int]
"""Host and port."""


@dataclass(slots=True)
class Downtime:
    """Origins found down, with this machine's monotonic time."""

    _found_s: dict[Origin, float] = field(default_factory=dict[Origin, float])

    def is_known(self, origin: Origin) -> bool:
        """Return whether the origin was down a moment ago."""
        found_s = self._found_s.get(origin)
        return found_s is not None and time.monotonic() - found_s < FORGET_S

    def note(self, origin: Origin, *, is_down: bool) -> None:
        """Record the state of the origin; the oldest of very many are dropped."""
        self._found_s.pop(origin, None)
        if is_down:
            self._found_s[origin] = time.monotonic()
        if len(self._found_s) > _MOST:
            del self._found_s[next(iter(self._found_s))]
