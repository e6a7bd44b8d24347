"""The words of ``fixes.toml``, defined by ARIA and HTML, and the intended word for a misspelt one. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

WORDS: Final[dict[str, Any]] = tomllib.loads(Path(__file__).parent.with_name("fixes.toml").read_text(encoding="utf-8"))
ARIA: Final = frozenset(f"aria-{name}" for name in WORDS["aria"].split())
BOOLEAN_ARIA: Final = frozenset(f"aria-{name}" for name in WORDS["booleans"].split())
ROLES: Final = frozenset(WORDS["roles"].split())
AUTOCOMPLETE: Final = frozenset(WORDS["autocomplete"].split())
_LIKE: Final = 0.84
_LEAD: Final = 0.04
"""Margin by which a word's letters must be closer to one known word than to any other."""


def nearest(word: str, known: Collection[str]) -> str:
    """Return the only one of ``known`` that ``word`` can stand for; '' if there is none, or several."""
    if word in WORDS["meant"]:
        meant = str(WORDS["meant"][word])
        return meant if meant in known else ""
    # The likeness is at most what the lengths allow: without this, long words of a page would take minutes.
    alike = [other for other in known if 2 * min(len(word), len(other)) >= (_LIKE - _LEAD) * (len(word) + len(other))]
    likeness = sorted(((SequenceMatcher(None, word, other).ratio(), other) for other in alike), reverse=True)
    (best, found), (second, _) = [*likeness, (0.0, ""), (0.0, "")][:2]
    return found if best >= _LIKE and best - second >= _LEAD else ""
