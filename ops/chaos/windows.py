"""The data that failovers may have lost: replies in the journal from the last replicated write to the primary's end.

Next: ``replication.py``. Durable submits are never among it.
"""

from __future__ import annotations

from typing import Any

from journal import Journal


class Windows:
    """The failovers of a run."""

    def __init__(self, journal: Journal) -> None:
        self._spans = [(fact["begins"], fact["ends"]) for fact in journal.facts("window")]
        self.excused = 0

    def excuse(self, fact: dict[str, Any]) -> bool:
        """Return whether an acknowledged fact may be lost, and count it. Facts without times are never excused."""
        if "at" not in fact:
            return False
        is_excused = any(fact["at"] >= begins and fact["began"] <= ends for begins, ends in self._spans)
        self.excused += is_excused
        return is_excused
