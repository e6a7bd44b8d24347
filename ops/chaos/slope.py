"""Decides whether samples over time are level: a line through them, its gain per hour, the standard error. No I/O."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GROWS_FROM: Final = 3.0
"""Standard errors from zero before a slope is more than noise."""
LEVEL_WITHIN: Final = 2.0
"""Standard errors above a slope that its limit must be before it is called level."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through samples: its gain per hour as a share of the mean, and the standard error of that."""

    mean: float
    hourly: float
    error: float

    def verdict(self, limit: float) -> str:
        """Return ``level``, ``GROWS`` or ``unclear``; falling lines are level, however steep."""
        if self.hourly > limit and self.hourly > GROWS_FROM * self.error:
            return "GROWS"
        return "level" if self.hourly + LEVEL_WITHIN * self.error < limit else "unclear"


def slope_of(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the least-squares line; the error of its slope allows for samples that resemble their neighbours."""
    slope, base = statistics.linear_regression(times_s, values)
    rest = [value - base - slope * at for at, value in zip(times_s, values, strict=True)]
    spread = sum((at - statistics.fmean(times_s)) ** 2 for at in times_s)
    alike = max(0.0, statistics.correlation(rest[1:], rest[:-1])) if len(set(rest)) > 2 else 0.0  # noqa: PLR2004
    repeated = min(
        len(times_s) / 3, (1 + alike) / (1 - alike)
    )  # neighbouring samples that carry the information of one
    error = math.sqrt(sum(r * r for r in rest) / (len(times_s) - 2) / spread * repeated)
    mean = statistics.fmean(values)
    an_hour = 3600 / (mean or 1.0)
    return Slope(mean, slope * an_hour, error * an_hour)
