"""The time of one scan, measured from its beginning on this machine's monotonic clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

_RESERVE_SHARE: Final = 0.05
"""Share reserved for closing the page and building the result."""
_OVERTIME_S: Final = 5.0
"""Limit beyond the end for merging what was found by then, which is not given up for being a little late."""


@dataclass(slots=True)
class Deadline:
    """The time budget of a scan and its steps."""

    total_s: float
    start_s: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds left for the page, never 0, so that a late call still fails by its own limit."""
        end_s = self.start_s + self.total_s * (1 - _RESERVE_SHARE)
        return max(0.01, end_s - time.monotonic())

    @property
    def overtime_s(self) -> float:
        """Seconds left for merging what was found in time, never 0."""
        return max(0.01, self.start_s + self.total_s + _OVERTIME_S - time.monotonic())

    @property
    def spent_ms(self) -> int:
        """Milliseconds since the scan began."""
        return round((time.monotonic() - self.start_s) * 1000)
