"""What came of asking a model about one page. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from producer.contract import Assessment, AssessmentSource, Node, Usage
from producer.errors import ModelError

MAX_SUMMARY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking; ``notes`` say what is missing from it, ``failure`` which call failed of it.

    ``saved`` counts the calls that explanations known before made needless; ``named`` are elements that need review by
    the rule beside them.
    """

    assessment: Assessment | None
    source: AssessmentSource
    usage: Usage = field(default_factory=Usage)
    repaired: bool = False
    notes: tuple[str, ...] = ()
    failure: ModelError | None = None
    saved: int = 0
    named: tuple[tuple[str, Node], ...] = ()

    def costing(self, usage: Usage) -> Verdict:
        """Return the verdict with what all calls for it cost."""
        return replace(self, usage=usage)
