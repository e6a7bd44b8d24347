"""A change of markup tried on a page, and its result there. Never part of the gate."""

from __future__ import annotations

from operator import not_
from typing import Final, Literal

from pydantic import Field

from producer.contract.message import Part
from producer.contract.terms import BY_RULE

PENDING: Final = "pending"
FIRST: Final = "pending: before the assessment"
"""If no model host is available, changes that need none are tried first; their job then queues the assessment again."""
LATER: Final = "pending: what a model proposes"
"""Other changes are tried after the assessment."""
TRIED: Final = "tried"
FixVerdict = Literal["removes", "no_effect", "adds_others", "refused", "not_tried"]


class Replacement(Part):
    """The position of the element's text in the page's served source, and its replacement.

    Lines and columns count from 1, columns in code points; ``end_column`` is one past the last replaced column.
    """

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


class TriedFix(Part):
    """A proposed change for a component barrier, and its effect when tried on a page in the browser.

    ``removes``: the barrier is gone and nothing else fails. ``no_effect``: it is still there, or a script of the page
    reverted the change. ``adds_others``: other rules or elements fail with it. ``refused``: the proposal changes more
    than its element. ``not_tried``: the page or the element was not available again. ``why`` explains all but the
    first. Only ``removes`` has a ``diff`` (unified, at most 2 KB) and may be shown as a fix.

    ``by`` is ``rule``, or the model that proposed it; ``url`` the page it was tried on. ``replacement`` is set if the
    served source contains the element's text exactly once.
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
