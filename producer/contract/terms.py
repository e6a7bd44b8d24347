"""The words of the contract: states, lanes, impacts. Needs no pydantic."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

WIRE_VERSION: Final = 1
PAGE_SHOT: Final = "page"
"""Name of the screenshot of the whole page; the others are named by node fingerprint."""
BY_RULE: Final = "rule"
"""The author of changes proposed by Sightline's own rules."""

MAX_RUN_CHARS: Final = 200
"""Longest name of a pipeline run."""

JsonObject = dict[str, Any]
Standard = Literal["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "wcag22aaa", "best-practice"]
ScanStatus = Literal["scanned", "partial", "unreachable", "blocked"]


class JobState(StrEnum):
    """State of a job in its hash; the last three are final."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_final(self) -> bool:
        """Whether this state is final, except for a replay."""
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD})


class Lane(StrEnum):
    """The queues, one stream each; interactive is served first.

    Callers submit to interactive and batch. Assessments are queued by the commits of scans and have their own worker
    slots, so that neither waits for the other.
    """

    INTERACTIVE = "interactive"
    BATCH = "batch"
    ASSESS = "assess"


SUBMITTED: Final = (Lane.INTERACTIVE, Lane.BATCH)
"""The lanes that a caller may choose."""


class Impact(StrEnum):
    """Impact of a finding, in axe-core's words, from least to worst."""

    MINOR = "minor"
    MODERATE = "moderate"
    SERIOUS = "serious"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for minor to 3 for critical."""
        return IMPACTS.index(self)


IMPACTS: Final = tuple(Impact)
