"""Exponential back-off: each pause is twice as long as the previous one, up to a limit."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Backoff:
    """The pauses of one series of attempts, in seconds."""

    first_s: float
    longest_s: float
    _next_s: float = field(default=0.0, init=False)

    def pause_s(self) -> float:
        """Return the next pause."""
        pause_s = self._next_s or self.first_s
        self._next_s = min(pause_s * 2, self.longest_s)
        return pause_s

    def reset(self) -> None:
        """Start over with the first pause, after a success."""
        self._next_s = 0.0
