"""Distinguishes authors' words from generated letters in classes, ids and names. Pure.

Build tools generate ``css-1q2w3e``, ``sc-bdVaJa`` or ``Card_image__x7Gh2``, different in each build; ``card__image``
stays. A word taken for generated only costs a component a distinction, the same in each build; letters wrongly taken
for a word would give it a different identity in each build. So in doubt they count as generated. The lists are in
words.toml.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Final

_PART: Final = re.compile(r"[-_:./\[\]()\s]+|(?<=[a-z])(?=[A-Z][a-z])")
_UTILITY: Final = re.compile(
    r"(?:(?:sm|md|lg|xl|2xl|xs|hover|focus|dark|group-hover|active):.*"
    r"|-?(?:m|p|mt|mb|ml|mr|mx|my|pt|pb|pl|pr|px|py|w|h|z|gap|top|left|right|bottom|inset|order|col|row|min-w|max-w|min-h|max-h)"
    r"-.*|(?:text|bg|font|border|rounded|shadow|leading|tracking|opacity|items|justify|self|object|overflow|d|flex|grid"
    r"|align|float|position|display|ring|fill|stroke|space|divide|cursor|transition|duration)(?:-.*)?"
    r"|(?:absolute|relative|static|block|inline|inline-block|inline-flex|uppercase|lowercase|truncate|italic|underline))"
)
_LISTS: Final = tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))
_TOOLS, _STATES, _LAYOUT, _KNOWN, _PAIRS, GENERIC = (
    frozenset(str(_LISTS[name]).split()) for name in ("tools", "states", "layout", "known", "pairs", "generic")
)
_WORDLIKE: Final = 0.85
_LONG, _LONG_WORDLIKE = 7, 0.75
_SHORTEST: Final = 4
"""Number of letters from which the pairs say enough: random letters pass about one time in sixty."""


def is_of_templates(word: str) -> bool:
    """Return whether ``word`` (lower case) is in the closed list of words that templates use."""
    return word in _KNOWN


def is_word(text: str) -> bool:
    """Return whether ``text`` (only letters) looks like a word, or is one that templates use."""
    word = text.lower()
    if word in _KNOWN or word.removesuffix("s") in _KNOWN:
        return True
    if not word.isalpha() or (word.isascii() and len(word) < _SHORTEST):
        return False
    if not word.isascii():
        return True
    pairs = [word[i : i + 2] for i in range(len(word) - 1)]
    return sum(pair in _PAIRS for pair in pairs) / len(pairs) >= (_WORDLIKE if len(word) < _LONG else _LONG_WORDLIKE)


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words in a class, id or name, in lower case, without numbers and generated parts.

    A part with capitals inside (``bdVaJa``) or with digits among letters (``x7Gh2``) is generated.
    """
    found: list[str] = []
    for part in _PART.split(name[:200]):
        is_mixed = part[1:] != part[1:].lower() and part != part.upper()
        if part.lower() not in _TOOLS and not is_mixed and is_word(part):
            found.append(part.lower())
    return tuple(found)


def base_class(classes: str, *, is_container: bool = False) -> str:
    """Return the class that describes an element: ``card image`` of ``is-new card__image card__image--wide``.

    States, modifiers, utilities and generated classes are ignored. Of the rest the first counts, but one that others
    extend (``btn`` of ``primary btn btn-primary``) takes precedence: further classes change nothing. A generic one
    yields to its extension: ``btn-buy`` of ``btn btn-buy``. A container's layout words (``row``, ``wrapper``,
    ``product-page``) are also ignored.
    """
    kept: list[tuple[bool, int, str]] = []
    names = classes.split()[:20]
    for number, name in enumerate(names):
        bare = name.partition("--")[0]
        words = words_of(bare)
        if not words or _UTILITY.fullmatch(bare) or all(word in _STATES for word in words):
            continue
        if all(word in _LAYOUT for word in words) or (is_container and any(word in _LAYOUT for word in words)):
            continue
        if words[0] in {"is", "has", "js"}:
            continue
        is_extended = any(other != name and other.startswith((f"{bare}-", f"{bare}_")) for other in names)
        kept.append((not is_extended, number, " ".join(words)))
    if not kept:
        return ""
    best = min(kept)[2]
    extended = (text for _, _, text in kept if text.startswith(f"{best} ") and set(text.split()) - GENERIC - _STATES)
    return best if set(best.split()) - GENERIC else next(extended, best)
