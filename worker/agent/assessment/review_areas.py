"""Which prompt a rule that axe-core left undecided is put to the model with, and the prompts' versions. Pure.

An area is one file, ``prompts/review/<area>.md``: its first line names its rules, the rest is the prompt. Together they
name all rules of axe-core (``worker/scan/vendor``) that can end ``incomplete``; a test in ``tests/browser`` reads them
out of the shipped program, so that a new one has to be given an area. Next: ``review.py``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from worker.agent import prompts
from worker.agent.prompts import REPAIR, load_prompt, version_of

UNASKED: Final = frozenset({"frame-tested", "hidden-content"})
"""Rules that say what axe-core could not look at at all: there is nothing to show a model either."""

_NAMES: Final = sorted(file.name.removesuffix(".md") for file in files(prompts).joinpath("review").iterdir())
_FILES: Final = {area: load_prompt(f"review/{area}").partition("\n\n") for area in _NAMES}
_SYSTEM: Final = load_prompt("review")

AREAS: Final = {area: frozenset(head.removeprefix("Rules: ").split(", ")) for area, (head, _, _) in _FILES.items()}
"""Rules by area."""
REVIEW_PROMPTS: Final = {area: f"{_SYSTEM}\n\n{prompt}" for area, (_, _, prompt) in _FILES.items()}
REVIEW_VERSIONS: Final = {area: version_of(f"review-{area}", text, REPAIR) for area, text in REVIEW_PROMPTS.items()}
_AREA_OF: Final = {rule: area for area, rules in AREAS.items() for rule in rules}


def area_of(rule: str) -> str:
    """Return the area of ``rule``, '' for a rule nobody is asked about."""
    return _AREA_OF.get(rule, "")
