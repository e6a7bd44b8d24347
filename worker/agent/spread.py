"""Spreads the retries of a worker's requeued jobs over time, so that thousands do not check all the time. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Spread:
    """Gives each requeued job a different time."""

    _last: float = 0.0

    def pause_s(self, now: float, *, at_least_s: float, gap_s: float) -> float:
        """Return the pause before the next job, counted from ``now`` (monotonic s)."""
        self._last = max(now + at_least_s, self._last + gap_s)
        return self._last - now
