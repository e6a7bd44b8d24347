"""Finds phrases of ``phrases.toml`` in a page's text. Pure, in linear time whatever the text."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final, cast

_FILE: Final = Path(__file__).with_name("phrases.toml")
_ENDS: Final = " \t\n.\u2026!,:;-\u2013\u2014|\u00b7*"
_SEPARATORS: Final = re.compile(r"\s[|\u00b7\u2022:\u00bb\u00ab/\-\u2013\u2014]\s|[|\u00b7\u2022\u00bb\u00ab]|:\s")
"""Separators between the parts of a title, such as a page's name and its site's."""


@cache
def _all_phrases() -> dict[str, frozenset[str]]:
    tables = cast("dict[str, dict[str, list[str]]]", tomllib.loads(_FILE.read_text(encoding="utf-8")))
    return {kind: frozenset(map(plain, chain.from_iterable(found.values()))) for kind, found in tables.items()}


def phrases(kind: str) -> frozenset[str]:
    """Return the phrases of a kind, in all languages."""
    return _all_phrases()[kind]


def plain(text: str) -> str:
    """Return the text in lower case, with uniform spaces and apostrophes, and without outer punctuation."""
    return re.sub(r"\s+", " ", text.lower().replace("\u2019", "'").replace("\u00ad", "")).strip(_ENDS)


def find_phrase(kind: str, text: str) -> str:
    """Return the first phrase of the kind in the text, the longest of several there; '' if there is none."""
    text = plain(text)
    said = sorted((phrase for phrase in phrases(kind) if phrase in text), key=len, reverse=True)
    words = "|".join(map(re.escape, said))
    found = re.search(rf"(?<!\w)(?:{words})(?!\w)", text) if said else None
    return found.group() if found else ""


def is_phrase(kind: str, text: str) -> bool:
    """Return whether the whole text is a phrase of the kind."""
    return plain(text) in phrases(kind)


def parts_of(title: str) -> list[str]:
    """Return a title's parts: ``Not found | Shop`` has two."""
    return [part for part in map(plain, _SEPARATORS.split(title)) if part]
