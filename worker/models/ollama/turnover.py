"""Detects models that displace each other from a host's memory, by the models loaded at each check. Pure.

Ollama unloads a model when its keep-alive has ended, or to make room. If two models take turns as the only loaded one,
each call first loads gigabytes. A restart changes the model once, so several changes are needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

CHANGES: Final = 3
WINDOW_S: Final = 600.0


@dataclass(slots=True)
class Turnover:
    """The changes of the only model loaded on one host."""

    _only: str = ""
    _changes: deque[float] = field(default_factory=lambda: deque[float](maxlen=CHANGES))

    def is_seen(self, loaded: Collection[str], *, now: float) -> bool:
        """Note which of two models are ``loaded`` at ``now``, s; return whether they take turns."""
        if len(loaded) > 1:
            self._only = ""
            self._changes.clear()
        for only in loaded if len(loaded) == 1 else ():
            if self._only not in {"", only}:
                self._changes.append(now)
            self._only = only
        return len(self._changes) == CHANGES and now - self._changes[0] <= WINDOW_S
