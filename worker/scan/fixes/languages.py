"""Tells a language by its commonest words, and the tag that a wrong one was meant to be. Pure."""

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
"""Common words from which on a language is told."""
_LEAD: Final = 1.5
"""Times as many as of any other language."""


def language_tag(text: str) -> str:
    """Return the tag that ``text`` was meant to be; '' where that cannot be said."""
    plain = text.strip().lower()
    if plain in WORDS["names"]:
        return str(WORDS["names"][plain])
    match = _TAG.fullmatch(plain)
    if match is None or match[1] not in _TAGS:
        return ""
    return f"{match[1]}-{match[2].upper()}" if match[2] else match[1]


def language_of(text: str) -> str:
    """Return the language that ``text`` is in; '' where too little is said, or two are as likely."""
    counts: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        counts.update(language for language, common in _COMMON.items() if word in common)
    ranked = counts.most_common(2)
    if not ranked or ranked[0][1] < _LEAST_WORDS:
        return ""
    if len(ranked) > 1 and ranked[0][1] < ranked[1][1] * _LEAD:
        return ""
    return ranked[0][0]
