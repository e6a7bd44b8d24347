"""A change of markup tried on a page, and its result there. Never part of the gate."""

from __future__ import annotations

from operator import not_
from typing import Final, Literal

from pydantic import Field

from producer.contract.message import Part
from producer.contract.terms import BY_RULE

PENDING: Final = "pending"
FIRST: Final = "pending: before the assessment"
"""While no model host can be asked, changes that need none are tried first; the assessment is queued again by them."""
LATER: Final = "pending: what a model proposes"
"""… and the others after the assessment."""
TRIED: Final = "tried"
FixVerdict = Literal["removes", "no_effect", "adds_others", "refused", "not_tried"]


class Replacement(Part):
    """The position of the element's text in the page's served source, and its replacement.

    Lines and columns count from 1, columns in code points; ``end_column`` is behind the last one that goes.
    """

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


class TriedFix(Part):
    """One proposed change of one component barrier, and what it did when it was tried on a page in the browser.

    ``removes``: the barrier is gone and nothing else fails. ``no_effect``: it is still there, or a script of the page
    has taken the change back. ``adds_others``: other rules or elements fail with it. ``refused``: the proposal is more
    than a change of its element. ``not_tried``: the page or the element could not be had again. ``why`` says more of
    all but the first. Only what ``removes`` has a ``diff`` (unified, 2 KB at most) and may be shown as a fix.

    ``by`` is ``rule``, or the model that proposed it; ``url`` the page it was tried on. ``replacement`` is there where
    the served source has the element's text exactly once.
    """

    issue_id: str
    rule: str
    verdict: FixVerdict
    by: str = BY_RULE
    url: str = ""
    why: str = Field(default="", exclude_if=not_)
    diff: str = Field(default="", exclude_if=not_)
    replacement: Replacement | None = Field(default=None, exclude_if=lambda given: given is None)

    @property
    def is_fix(self) -> bool:
        """Whether the change may be shown as a fix."""
        return self.verdict == "removes" and bool(self.diff)
