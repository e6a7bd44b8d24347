"""Decides which writes failovers may have lost: those between the last replicated one and the primary's end.

Durable submits are never part of it. Next: ``replication.py``.
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
