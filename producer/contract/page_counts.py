"""Counts a batch's pages by outcome, as finish.lua does: a job may succeed although its page was unreachable.

A page's status is counted in its batch's hash, in the commit of its scan. In batches of earlier releases, all counts
are 0. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "pages:"
"""Start of the counters' fields in a batch's hash, followed by a page's status; also in ``_events.lua``."""


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
        """The number of scans that ended with a result."""
        return self.scanned + self.partial + self.missed

    @property
    def missed(self) -> int:
        """The number of pages that could not be read at all."""
        return self.unreachable + self.blocked
