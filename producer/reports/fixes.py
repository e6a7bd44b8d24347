"""Tried fixes of a page for reports: only changes that remove their barrier. Pure.

The diff contains markup of hostile pages: each report escapes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.terms import BY_RULE
from producer.reports.page import Page
from producer.reports.plain_text import one_line, printable

if TYPE_CHECKING:
    from producer.contract import TriedFix

Key = tuple[str, str]
"""``issue_id`` and rule."""


def fixes_of(page: Page) -> dict[Key, TriedFix]:
    """Return the changes that remove a barrier of the page."""
    tried = page.result.fixes if page.result else ()
    return {(fix.issue_id, fix.rule): fix for fix in tried if fix.is_fix}


def tried_text(fix: TriedFix, page_url: str, *, of: int = 1) -> str:
    """Return one sentence: where the change was tried, its effect, and the model if one proposed it.

    ``of`` is the number of the component's elements, of which one was changed.
    """
    where = "your page" if fix.url in {"", page_url} else one_line(fix.url, limit=300)
    by = "" if fix.by == BY_RULE else f", proposed by {one_line(fix.by, limit=80)}"
    element = " for one of the elements" if of > 1 else ""
    return f"Tried on {where}{element}: this change removes the barrier and adds none{by}."


def diff_lines(fix: TriedFix) -> list[tuple[str, str]]:
    """Return the lines of the diff: ``-``, ``+`` or a space, and the text."""
    lines = [line for line in printable(fix.diff).split("\n") if line]
    return [(line[0] if line[0] in "+-" else " ", line[1:]) for line in lines]


def changed_markup(fix: TriedFix) -> str:
    """Return the new markup on one line."""
    return one_line(" ".join(text for sign, text in diff_lines(fix) if sign == "+"))
