"""A person's decision on a component with undecided findings: verdict, author, day and reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias

from producer.contract.terms import JsonObject

Verdict: TypeAlias = Literal["barrier", "no-barrier"]
VERDICTS: Final[tuple[Verdict, ...]] = ("barrier", "no-barrier")


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a component (``Node.issue_id``), on all its pages, and the day (UTC) of the decision."""

    issue_id: str
    verdict: Verdict
    reason: str
    by: str
    on: date

    @property
    def text(self) -> str:
        """The decision in words: ``no barrier, decided by Anna on 2026-11-28: the icon is decoration``."""
        return f"{self.verdict.replace('-', ' ')}, decided by {self.by} on {self.on}: {self.reason}"

    def document(self) -> JsonObject:
        """Return the decision as JSON."""
        about = {"issue_id": self.issue_id, "verdict": self.verdict, "reason": self.reason}
        return {**about, "by": self.by, "on": self.on.isoformat()}
