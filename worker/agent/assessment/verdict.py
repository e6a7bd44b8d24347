"""The verdict of a model about one page. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from producer.contract import Assessment, AssessmentSource, Node, Usage
from producer.errors import ModelError

MAX_SUMMARY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model's verdict; ``notes`` say what is missing, ``failure`` which call failed.

    ``saved`` counts the calls avoided by known explanations; ``named`` are elements that need review, with their rule.
    """

    assessment: Assessment | None
    source: AssessmentSource
    usage: Usage = field(default_factory=Usage)
    repaired: bool = False
    notes: tuple[str, ...] = ()
    failure: ModelError | None = None
    saved: int = 0
    named: tuple[tuple[str, Node], ...] = ()
