"""Finds the intended name of a field, button or link in words that the page already has. Pure.

The words of class names, files and addresses are English: they name a control only where the page is English too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from worker.scan.fixes.facts import Facts
from worker.scan.fixes.languages import language_of
from worker.scan.fixes.markup import attributes
from worker.scan.fixes.vocabulary import WORDS
from worker.scan.words import words_of

MAX_NAME: Final = 80
"""Maximum length of a name; longer text beside a field is not a label."""
_ACTIONS: Final = frozenset(WORDS["actions"].split())
"""Words of an icon that describe its button's action; others describe its appearance."""
_DATA: Final = (
    "title",
    "data-title",
    "data-tooltip",
    "data-original-title",
    "data-label",
    "placeholder",
    "value",
    "alt",
)
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SENTENCE: Final = re.compile(r"\.(?:\s|$)|[!?]\s")
_LETTER: Final = re.compile(r"[^\W\d_]")


def field_name(facts: Facts) -> str:
    """Return the name of a field: the words beside it, its hint, or the words of its name; '' for none."""
    given = attributes(facts["markup"])
    near = "" if _SENTENCE.search(facts["near"]) else facts["near"]
    for text in (near, *(given.get(name, "") for name in ("placeholder", "title", "data-label"))):
        if fit := _fit(text):
            return fit
    words = words_of(given.get("name", "")) or words_of(given.get("id", ""))
    return _sentence(words) if _is_english(facts) else ""


def name_of(facts: Facts) -> str:
    """Return the name of a button or link, derived from its own or its icon's names; '' for none."""
    given = attributes(facts["markup"])
    said = [icon["title"] or icon["text"] for icon in facts["icons"]]
    for text in (*said, *(given.get(name, "") for name in _DATA)):
        if fit := _fit(text):
            return fit
    return _by_icon(facts, given) if _is_english(facts) else ""


def _by_icon(facts: Facts, given: dict[str, str]) -> str:
    """Return the action named by the class or file of the icon, or of the control itself."""
    places = [text for icon in facts["icons"] for text in (icon["reference"], icon["classes"]) if text]
    places += [given.get(name, "") for name in ("id", "name", "class", "data-icon", "data-action", "src", "href")]
    for place in places:
        words = (word.lower() for word in _WORD.findall(_last_part(place)))
        meant = [word for word in words if word in _ACTIONS]
        if meant:
            return _sentence(list(dict.fromkeys(WORDS["said"].get(word, word) for word in meant[:2])))
    return ""


def _last_part(place: str) -> str:
    """Return the fragment of a reference, or the name of its file or page without the ending."""
    if place.startswith(("data:", "blob:")):
        return ""
    path, _, fragment = place.partition("#")
    name = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return fragment or re.sub(r"\.[a-z0-9]{2,5}$", "", name, flags=re.IGNORECASE)


def _is_english(facts: Facts) -> bool:
    language = facts["language"].partition("-")[0].lower()
    return language == "en" or (not language and language_of(facts["text"]) in {"en", ""})


def _fit(text: str) -> str:
    line = " ".join(text.split()).strip(" :*…")
    return line if _LETTER.search(line) and len(line) <= MAX_NAME else ""


def _sentence(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text[:1].upper() + text[1:MAX_NAME]
