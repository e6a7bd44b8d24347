"""Limits that an operator set for hosts, kept among the controls (``controls_view.py``); enter_host.lua reads them.

A limit is a field of the same hash, ``limits:<host>``, so that a scan reads pauses and limits in one call that it makes
anyway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostLimits:
    """The limits of a host: concurrent scans, and ms between their starts; None if each worker's setting applies."""

    places: int | None = None
    gap_ms: int | None = None

    @classmethod
    def of(cls, value: bytes) -> HostLimits:
        """Decode the stored value; invalid limits, such as those written by hand, are ignored."""
        try:
            about = json.loads(value)
            found = [about.get(name) for name in ("places", "gap_ms")]
        except (ValueError, AttributeError, RecursionError):
            return cls()
        return cls(*(one if isinstance(one, int) and not isinstance(one, bool) else None for one in found))

    def over(self, before: HostLimits) -> HostLimits:
        """Return these limits, with those of ``before`` where a limit is not set."""
        places = before.places if self.places is None else self.places
        return HostLimits(places, before.gap_ms if self.gap_ms is None else self.gap_ms)

    def __str__(self) -> str:
        """Return the limits in words: ``2 at a time, 1,500 ms apart``."""
        places = None if self.places is None else f"{self.places:,} at a time"
        gap = None if self.gap_ms is None else f"{self.gap_ms:,} ms apart"
        return ", ".join(filter(None, (places, gap))) or "as set for each worker"
