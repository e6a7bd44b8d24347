"""Detects a language by its most common words, and corrects wrong language tags. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from worker.scan.fixes.vocabulary import WORDS

_COMMON: Final = {language: frozenset(str(words).split()) for language, words in WORDS["common"].items()}
_TAGS: Final = frozenset(WORDS["languages"].split()) | set(_COMMON)
_TAG: Final = re.compile(r"([a-z]{2})(?:[-_]([a-z]{2}))?", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]+")
_LEAST_WORDS: Final = 8
"""Minimum number of common words to detect a language."""
_LEAD: Final = 1.5
"""Required ratio to the second most likely language."""


def language_tag(text: str) -> str:
    """Return the language tag that ``text`` is a misspelling of, or ''."""
    plain = text.strip().lower()
    if plain in WORDS["names"]:
        return str(WORDS["names"][plain])
    match = _TAG.fullmatch(plain)
    if match is None or match[1] not in _TAGS:
        return ""
    return f"{match[1]}-{match[2].upper()}" if match[2] else match[1]


def language_of(text: str) -> str:
    """Return the language of ``text``; '' if it is too short or ambiguous."""
    counts: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        counts.update(language for language, common in _COMMON.items() if word in common)
    ranked = counts.most_common(2)
    if not ranked or ranked[0][1] < _LEAST_WORDS:
        return ""
    if len(ranked) > 1 and ranked[0][1] < ranked[1][1] * _LEAD:
        return ""
    return ranked[0][0]
