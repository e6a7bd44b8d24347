"""Which addresses are pages of one template, by their form: ``/product/4711`` and ``/product/4712``. Pure.

A number, an id, a date and a title written into the path (``red-shoes-for-men``) stand for anything. So does a word
where so many words stand that they name things, not sections. Of a query only the names count.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

WORDS: Final = 30
"""Different words in one place of a path, and they name things."""
_DEEPEST: Final = 12
_WORD: Final = re.compile(r"[^\W\d]+(?:[-_.~][^\W\d]+)?")
_LONGEST_WORD: Final = 30
_ENDING: Final = re.compile(r"(?<=[^.])\.[a-z]{2,5}$", re.IGNORECASE)


class Patterns:
    """The patterns of one site, which learn from the addresses that they are asked about."""

    def __init__(self) -> None:
        self._words: dict[str, set[str]] = {}

    def pattern_of(self, url: str) -> str:
        """Return the pattern of an address: ``/product/*``; the same address may have a wider one later."""
        parts = urlsplit(url)
        pattern = ""
        for segment in [part for part in parts.path.split("/") if part][:_DEEPEST]:
            pattern += f"/{self._name(pattern, segment)}"
        names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
        route = "#" + re.sub(r"[^/]*\d[^/]*", "*", parts.fragment) if parts.fragment else ""
        return (pattern or "/") + (f"?{'&'.join(names[:_DEEPEST])}" if names else "") + route

    def _name(self, before: str, segment: str) -> str:
        ending = _ENDING.search(segment)
        name = segment[: ending.start()] if ending else segment
        anything = f"*{ending[0]}" if ending else "*"
        if not _WORD.fullmatch(name) or len(name) > _LONGEST_WORD:
            return anything
        words = self._words.setdefault(before, set())
        if len(words) <= WORDS:
            words.add(name)
        return segment if len(words) <= WORDS else anything
