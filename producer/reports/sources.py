"""Finds a scanned page's markup in a repository's files, so that reports can name file and line. Pure.

An element is found by its opening tag (name and attributes in any order and quotes), then by the text that follows. If
several files match, the page's file is used (``/shop/`` is ``shop/index.html``), else none: a wrong place is worse than
none. Templates that compute attributes at run time are not found.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

_TAG: Final = re.compile(r"""<([A-Za-z][\w:.-]*+)((?:[^"'<>]++|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE: Final = re.compile(r"""([^\s=/"'<>]++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'<>]++))?""")
_FOLLOWING_CHARS: Final = 80
"""Characters after a tag, without white space, that are compared if several elements have the same tag."""

_Key: TypeAlias = "tuple[str, frozenset[tuple[str, str]]]"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; ``path`` is relative to the repository, separated by ``/``."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class _Tag:
    """An opening tag of a file."""

    path: str
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Sources:
    """The texts of a repository's files with markup, by path."""

    texts: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    _tags: dict[_Key, list[_Tag]] | None = None

    def place_of(self, snippet: str, url: str) -> Place | None:
        """Return the position of the element ``snippet`` of the page at ``url``, or None."""
        tag = _TAG.match(snippet) if self.texts else None
        if tag is None:
            return None
        found = self._index().get(_key(tag), [])
        if len(found) > 1:
            rest = _squeezed(snippet[tag.end() :].rstrip("…"))
            found = [one for one in found if self._following(one).startswith(rest)] or found
        if len({one.path for one in found}) > 1:
            found = [one for one in found if _is_file_of(one.path, url)]
        if not found or len({one.path for one in found}) > 1:
            return None
        first = found[0]
        return Place(first.path, self.texts[first.path].count("\n", 0, first.start) + 1)

    def _index(self) -> dict[_Key, list[_Tag]]:
        """Return the opening tags of all files by name and attributes."""
        if self._tags is None:
            self._tags = {}
            for path, text in self.texts.items():
                for tag in _TAG.finditer(text):
                    self._tags.setdefault(_key(tag), []).append(_Tag(path, tag.start(), tag.end()))
        return self._tags

    def _following(self, tag: _Tag) -> str:
        return _squeezed(self.texts[tag.path][tag.end : tag.end + 10 * _FOLLOWING_CHARS])


def _key(tag: re.Match[str]) -> _Key:
    pairs = ((name.lower(), html.unescape(value.strip("\"'"))) for name, value in _ATTRIBUTE.findall(tag[2]))
    return tag[1].lower(), frozenset(pairs)


def _squeezed(text: str) -> str:
    return "".join(text.split())[:_FOLLOWING_CHARS]


def _is_file_of(path: str, url: str) -> bool:
    """Return whether a server would serve a file of this name at ``url``."""
    try:
        asked = unquote(urlsplit(url).path).strip("/")
    except ValueError:
        return False
    names = [f"{asked}/index.html", f"{asked}.html", asked] if asked else ["index.html"]
    return any(path == name or path.endswith(f"/{name}") for name in names)
