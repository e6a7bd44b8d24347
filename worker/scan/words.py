"""Distinguishes authors' words from generated letters in classes, ids and names. Pure.

Build tools generate ``css-1q2w3e``, ``sc-bdVaJa`` or ``Card_image__x7Gh2``, different in each build; ``card__image``
stays. A word taken for generated only costs a component a distinction, the same in each build; letters wrongly taken
for a word would give it a different identity in each build. So when in doubt, they count as generated: forms that build
tools use first, then letters that are not a word. The lists are in words.toml.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Final

_PART: Final = re.compile(r"[-_:./\[\]()\s]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_MADE: Final = tuple(
    re.compile(form)
    for form in (
        r"(?P<name>[A-Za-z][\w-]*_[\w-]*\w)__(?P<made>[\w+-]{5,8})",  # CSS modules: Card_image__hAban
        r"_(?P<name>[A-Za-z][\w-]*?)_(?P<made>[a-z\d]{5,6})_\d+",  # Vite: _image_hince_12
        r"(?P<name>[A-Za-z][\w-]*?)-module--(?P<rest>[A-Za-z]\w*?)--(?P<made>[\w+-]{5,8})",  # Gatsby
        r"(?P<name>(?:[\w-]*?[\w]-)?)(?:css|sc|jsx|svelte|astro|emotion)-(?P<made>[A-Za-z\d]{4,12})(?:-(?P<rest>[\w-]+))?",
    )
)
"""Forms of build tools, with letters at a fixed position; a word there stays only if templates use it."""
_UTILITY: Final = re.compile(
    r".+:.+|.*\[.*\]|(?:is|has|js)-.*"
    r"|-?(?:[mp][trblxyse]?|[wh]|z|[gf][xysw]|gap|col|min-[wh]|max-[wh]|lh|translate|rotate|skew|line-clamp|backdrop|tabular)-.*"
    r"|-?(?:top|left|right|bottom|start|end|inset|order|row|cols|size|scale|basis|shrink|grow|indent|delay|blur|scroll|columns"
    r"|list|select|content|table|touch|snap|origin|break|resize|outline|accent|caret|ease|animate|aspect|img|lead)"
    r"-(?:\d.*|(?:span|start|end|mt|mb|pt|pb|offset|in|[xy])-.*|px|full|auto|none|all|words|center|fixed|disc|decimal|inside"
    r"|in|out|spin|ping|pulse|bounce|square|video|text|keep|fluid|thumbnail|first|last|manipulation|top|bottom|left|right)"
    r"|(?:from|via|to|accent|caret|outline|decoration)-(?:[a-z]+-\d+|none|auto|black|white|transparent|dotted|dashed|wavy)"
    r"|(?:text|bg|font|border|rounded|shadow|leading|tracking|opacity|items|justify|self|object|overflow|d|flex|grid|align|float"
    r"|position|display|ring|fill|stroke|space|divide|cursor|transition|duration|pointer-events|will-change|whitespace"
    r"|underline-offset|place-(?:items|content|self)|hyphens|appearance|(?:sr|visually)-(?:only|hidden)|no-underline"
    r"|not-italic|line-through|normal-(?:case|nums)|pull)(?:-.*)?"
    r"|absolute|relative|static|block|inline|inline-block|inline-flex|uppercase|lowercase|capitalize|truncate|italic|underline"
    r"|antialiased|blur|grow|peer|prose|isolate|invisible|resize"
)
_LISTS: Final = tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))
_TOOLS, _STATES, _LAYOUT, _KNOWN, _FREQUENT, _PAIRS, _SHORT, GENERIC = (
    frozenset(str(_LISTS[name]).split())
    for name in ("tools", "states", "layout", "known", "frequent", "pairs", "short", "generic")
)
_WORDS: Final = _KNOWN | _FREQUENT
_SURE: Final = frozenset(word for word in _KNOWN | _STATES | _LAYOUT | _FREQUENT if word not in {"id", "ad"})
_WORDLIKE: Final = 0.85
_LONG, _LONG_WORDLIKE = 7, 0.75
_MAX_CHARS: Final = 200
"""Maximum characters of a name: the patterns above take time quadratic in it."""
_SHORTEST: Final = 4
"""Number of letters from which the pairs say enough: random letters pass about one time in sixty."""
_ALONE: Final = 9
"""Number of letters from which pairs alone say enough, if all are of words: one time in ten thousand."""


def is_of_templates(word: str) -> bool:
    """Return whether ``word`` (lower case) is in the closed list of words that templates use."""
    return word in _KNOWN


def is_word(text: str) -> bool:
    """Return whether ``text`` (only letters) looks like a word, or is a frequent one."""
    word = text.lower()
    if not _WORDS.isdisjoint({word, word.removesuffix("s")}):
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
    return tuple(word for part in _PART.split(_authored(name[:_MAX_CHARS])) for word in _words_in(part))


def sure_words_of(name: str) -> tuple[str, ...]:
    """Return the words in a class or id, which builds often generate: none if all may be letters by chance."""
    found = words_of(name)
    return found if any(map(_is_sure, found)) else ()


def _is_sure(word: str) -> bool:
    """Return whether a word is no accident, so that the words beside it are words, too."""
    if word in _SURE or word.removesuffix("s") in _SURE or not word.isascii():
        return True
    return len(word) >= _ALONE and all(word[i : i + 2] in _PAIRS for i in range(len(word) - 1))


def _authored(name: str) -> str:
    """Return a name without the letters that a build tool puts at a fixed position."""
    for form in _MADE:
        if (found := form.fullmatch(name)) and found["made"] not in _KNOWN:
            return "-".join(filter(None, (found["name"].strip("-"), found.groupdict().get("rest"))))
    return name


def _words_in(part: str) -> list[str]:
    """Return the words of a name in camel case; if a piece of it is no word, only those that templates use."""
    pieces = [piece for piece in _CAMEL.split(part) if piece.lower() not in _TOOLS | _SHORT]
    found = [piece.lower() for piece in pieces if not _is_mixed(piece) and is_word(piece)]
    if len(found) == len(pieces):
        return found
    return [word for word in found if word in _KNOWN and len(word) >= _SHORTEST]


def _is_mixed(piece: str) -> bool:
    return piece[1:] != piece[1:].lower() and piece != piece.upper()


def base_class(classes: str, *, is_container: bool = False) -> str:
    """Return the class that describes an element: ``card image`` of ``is-new card__image card__image--wide``.

    States, modifiers, utilities and generated classes are ignored. Of the rest the first counts, but one that others
    extend (``btn`` of ``primary btn btn-primary``) takes precedence: further classes change nothing. A generic one
    yields to its extension: ``btn-buy`` of ``btn btn-buy``. A container's layout words (``row``, ``wrapper``,
    ``product-page``) are also ignored.
    """
    kept: list[tuple[bool, int, str]] = []
    names = [name[:_MAX_CHARS] for name in classes.split()[:20]]
    is_styled = any(name.startswith("sc-") or "-sc-" in name for name in names)
    for number, name in enumerate(names):
        bare = _authored(name).partition("--")[0]
        words = sure_words_of(bare)
        if not words or _UTILITY.fullmatch(bare) or all(word in _STATES for word in words):
            continue
        if is_styled and bare.isalpha() and not all(word in _KNOWN for word in words):
            continue  # styled-components adds a class of letters alone
        if all(word in _LAYOUT for word in words) or (is_container and any(word in _LAYOUT for word in words)):
            continue
        is_extended = any(other != name and other.startswith((f"{bare}-", f"{bare}_")) for other in names)
        kept.append((not is_extended, number, " ".join(words)))
    if not kept:
        return ""
    best = min(kept)[2]
    extended = (text for _, _, text in kept if text.startswith(f"{best} ") and set(text.split()) - GENERIC - _STATES)
    return best if set(best.split()) - GENERIC else next(extended, best)
