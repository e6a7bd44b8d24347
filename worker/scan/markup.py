"""Reads the first elements of a snippet of markup, which may be cut anywhere. Pure."""

from __future__ import annotations

import contextlib
from html.parser import HTMLParser
from typing import Final

MAX_CHARS: Final = 4_000
"""Maximum characters of a snippet: axe-core's are cut at 2,000."""
_MAX_ELEMENTS: Final = 8
_MAX_TEXTS: Final = 8


def first_elements(snippet: str) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """Return tag and attributes of the first few elements, and their first text.

    Of duplicate attributes, the first counts.
    """
    reader = _Elements()
    # Raw text of a page such as <xmp><![x[ makes Python's parser (python/cpython issue 77057) assert.
    with contextlib.suppress(AssertionError):
        reader.feed(snippet[:MAX_CHARS])
    return reader.found, " ".join(reader.texts)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len(self.found) < _MAX_ELEMENTS:
            self.found.append((tag, {name: value or "" for name, value in reversed(attrs)}))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None and len(self.texts) < _MAX_TEXTS and not data.isspace():
            self.texts.append(data)
