"""Spreads over time when requeued jobs of a worker look again, so that thousands do not look all the time. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Spread:
    """Gives each job that is requeued a time of its own."""

    _last: float = 0.0

    def pause_s(self, now: float, *, at_least_s: float, gap_s: float) -> float:
        """Return how long the next one waits, from ``now`` on, monotonic s."""
        self._last = max(now + at_least_s, self._last + gap_s)
        return self._last - now
