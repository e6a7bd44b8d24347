"""A waiver: an accepted barrier, with reason and last day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from producer.contract.terms import JsonObject

FINGERPRINT: Final = re.compile(r"[0-9a-f]{24}|[0-9a-f]{16}-[0-9a-f]{8}")
"""The fingerprint of an element or a finding, or the id of a component barrier."""
MAX_REASON_CHARS: Final = 1000


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waived barrier, the reason, and its last day (UTC, included); None never expires.

    ``by`` names the person, if they had signed in (``sightline web``).
    """

    fingerprint: str
    reason: str
    until: date | None = None
    by: str = ""

    def is_expired(self, today: date) -> bool:
        """Return whether its last day has passed."""
        return self.until is not None and today > self.until

    @property
    def text(self) -> str:
        """The waiver in words: ``waived until 2027-01-31: the shop is replaced then``."""
        return f"waived until {self.until}: {self.reason}" if self.until else f"waived: {self.reason}"

    def document(self) -> JsonObject:
        """Return the waiver as JSON."""
        until = self.until.isoformat() if self.until else None
        by: JsonObject = {"by": self.by} if self.by else {}
        return {"fingerprint": self.fingerprint, "reason": self.reason, "until": until, **by}
