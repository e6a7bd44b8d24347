"""The words of ``fixes.toml``: what ARIA and HTML know, and which of them a misspelt one was meant to be. Pure."""

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
"""Letters alone must be nearer to one word than to any other by this."""


def nearest(word: str, known: Collection[str]) -> str:
    """Return the only one of ``known`` that ``word`` can have been meant to be; '' where it is none, or not alone."""
    if word in WORDS["meant"]:
        meant = str(WORDS["meant"][word])
        return meant if meant in known else ""
    likeness = sorted(((SequenceMatcher(None, word, other).ratio(), other) for other in known), reverse=True)
    (best, found), (second, _) = likeness[:2]
    return found if best >= _LIKE and best - second >= _LEAD else ""
