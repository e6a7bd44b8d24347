"""Decides which questions are too complex for a small local model, by a simple rule. Pure.

A question is complex when it is long, asks several things, or asks to compare, explain, plan or sum up. The rule reads
English words; in other languages length and question marks decide. Assessments of pages are never complex.
"""

from __future__ import annotations

import re
from typing import Final

MANY_WORDS: Final = 60
SEVERAL: Final = 2
_DEMANDING: Final = re.compile(
    r"\b(analy[sz]e|compare|explain|plan|priorit\w+|roadmap|root causes?|strategy|summar\w+|versus|vs|why)\b",
    re.IGNORECASE,
)


def complexity(question: str) -> str:
    """Return why ``question`` is complex, or ''."""
    words = len(question.split())
    if words > MANY_WORDS:
        return f"complex: the question has more than {MANY_WORDS} words"
    if len(re.findall(r"[?？؟][?？؟!]*", question)) >= SEVERAL:  # noqa: RUF001  full-width and Arabic question marks
        return "complex: it asks several questions"
    found = _DEMANDING.search(question)
    return f"complex: the question says {found[1].lower()!r}" if found else ""
