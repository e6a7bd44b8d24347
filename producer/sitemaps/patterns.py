"""Groups addresses that look like one template, such as ``/product/4711`` and ``/product/4712``. Pure.

Numbers, ids, dates and titles in the path (``red-shoes-for-men``) are wildcards. So is a word in a position that holds
too many different words for sections. Only the names of query parameters count.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

WORDS: Final = 30
"""Number of different words in one position of a path from which they count as names of items."""
_DEEPEST: Final = 12
_WORD: Final = re.compile(r"[^\W\d]+(?:[-_.~][^\W\d]+)?")
_LONGEST_WORD: Final = 30
_ENDING: Final = re.compile(r"(?<=[^.])\.[a-z]{2,5}$", re.IGNORECASE)


class Patterns:
    """The patterns of one site, refined by each address looked up."""

    def __init__(self) -> None:
        self._words: dict[str, set[str]] = {}

    def pattern_of(self, url: str) -> str:
        """Return an address's pattern, such as ``/product/*``; it may become wider later."""
        parts = urlsplit(url)
        pattern = ""
        for segment in [part for part in parts.path.split("/") if part][:_DEEPEST]:
            pattern += f"/{self._name(pattern, segment)}"
        names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
        route = "#" + re.sub(r"(?<![^/])[^/\d]*+\d[^/]*+", "*", parts.fragment) if parts.fragment else ""
        return (pattern or "/") + (f"?{'&'.join(names[:_DEEPEST])}" if names else "") + route

    def _name(self, before: str, segment: str) -> str:
        ending = _ENDING.search(segment)
        name = segment[: ending.start()] if ending else segment
        anything = f"*{ending[0]}" if ending else "*"
        if len(name) > _LONGEST_WORD or not _WORD.fullmatch(name):  # in this order: the match is quadratic
            return anything
        words = self._words.setdefault(before, set())
        if len(words) <= WORDS:
            words.add(name)
        return segment if len(words) <= WORDS else anything
