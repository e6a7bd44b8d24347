"""A worker's knowledge of a model outage, so that thousands of waiting assessments do not all check. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_NOTED: Final = 20_000


@dataclass(slots=True)
class Outage:
    """The last outage that a job met; it is assumed to last until ``ends``, monotonic s.

    ``noted`` are the scans whose results already mention it: their jobs need not read them again meanwhile.
    """

    ends: float = 0.0
    error: str = ""
    noted: set[str] = field(default_factory=set[str])

    def holds(self, scan: str, now: float) -> bool:
        """Return whether the job of ``scan`` can skip the check."""
        return now < self.ends and scan in self.noted

    def met(self, scan: str, error: str, *, until: float) -> None:
        """Record an outage that the result of ``scan`` mentions."""
        if len(self.noted) >= MOST_NOTED:
            self.noted.clear()
        self.noted.add(scan)
        self.ends, self.error = until, error
