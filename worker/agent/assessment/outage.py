"""What a worker's assessments know of an outage of the model, so that thousands that wait do not all look. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_NOTED: Final = 20_000


@dataclass(slots=True)
class Outage:
    """The last outage that a job met; it is taken to last until ``ends``, monotonic s.

    ``noted`` are the scans whose results say so: their jobs need not read them again meanwhile.
    """

    ends: float = 0.0
    error: str = ""
    noted: set[str] = field(default_factory=set[str])

    def holds(self, scan: str, now: float) -> bool:
        """Whether the job of ``scan`` need not look."""
        return now < self.ends and scan in self.noted

    def met(self, scan: str, error: str, *, until: float) -> None:
        """Take note of an outage that the result of ``scan`` tells."""
        if len(self.noted) >= MOST_NOTED:
            self.noted.clear()
        self.noted.add(scan)
        self.ends, self.error = until, error
