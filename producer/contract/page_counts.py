"""What a batch's pages came to, as finish.lua counts them: a job that ended well may have found its page down.

A page's status is counted in its batch's hash, in the commit of its scan. Batches of earlier releases have no such
counts: all of theirs are 0. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "pages:"
"""Start of the counters' fields in a batch's hash; a page's status follows. ``_events.lua`` spells it, too."""


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Pages of a batch by the status of their scan."""

    scanned: int = 0
    partial: int = 0
    unreachable: int = 0
    blocked: int = 0

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes]) -> PageCounts:
        """Read a batch's hash."""
        return cls(**{name: int(fields.get(f"{PREFIX}{name}".encode(), b"0")) for name in cls.__slots__})

    @property
    def total(self) -> int:
        """How many scans have ended with a result."""
        return self.scanned + self.partial + self.missed

    @property
    def missed(self) -> int:
        """How many pages nothing was read of."""
        return self.unreachable + self.blocked
