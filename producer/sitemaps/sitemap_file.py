"""Parses a file of addresses in any form of the sitemaps.org protocol, as a stream.

The forms are XML sitemaps and indexes, RSS and Atom feeds, and text with one address per line. Byte order marks, blank
lines and comments before the XML declaration are skipped. Memory is bounded for hostile input.
``sitemap.py`` selects addresses.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from producer.errors import InputError
from producer.text_file import without_comment

MAX_ADDRESS_CHARS: Final = 8_192
_PIECE: Final = 65_536
_LONGEST_TAG: Final = 1 << 20
_DEEPEST: Final = 32
_MOST_WORDS: Final = 1_000
"""Distinct names of elements and attributes; a sitemap with images, news and translations has some thirty."""
_BLANK: Final = codecs.BOM_UTF8 + b" \t\r\n\v\f"
_COMMENTS: Final = re.compile(rb"(?>(?:<!--.*?-->\s*)+)(?=<\?xml\s)", re.DOTALL)
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_ROOTS: Final = frozenset({"urlset", "sitemapindex", "rss", "RDF", "feed"})
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_EXPECTED: Final = "expected an XML sitemap, an RSS or Atom feed, or text with an address per line"


class Malformed(InputError):
    """The file is not a sitemap."""


def locations(body: io.RawIOBase, name: str) -> Iterator[tuple[str, str]]:
    """Yield each address of a file with its element, ``url`` or ``sitemap``, keeping one entry in memory.

    Raises ``Malformed`` after yielding the entries before the error.
    """
    pieces = _pieces(io.BufferedReader(body, buffer_size=_PIECE), name)
    first = next(pieces, b"")
    bom = next((mark for mark in _UTF16 if first.startswith(mark)), b"")
    start = (first.decode("utf-16", "replace") if bom else first.decode("utf-8-sig", "replace")).lower()
    if not start:
        raise Malformed(f"{name!r} is empty: expected an XML sitemap")
    if start.startswith(("<!doctype html", "<html")):
        msg = f"{name!r} is a web page, not a sitemap: look for a 'Sitemap: …' line in the site's robots.txt"
        raise Malformed(msg)
    pieces = itertools.chain([first], pieces)
    try:
        yield from _of_xml(pieces, name) if start.startswith("<") else _of_text(pieces, name, _UTF16.get(bom, "utf-8"))
    except ParseError as error:
        raise Malformed(f"{name!r} is incomplete or not XML: {error}") from None
    except DefusedXmlException:
        raise Malformed(f"{name!r} declares a document type or entities: a sitemap has neither") from None
    except (LookupError, ValueError) as error:
        raise Malformed(f"{name!r} has an unsupported encoding ({error}): expected UTF-8") from None


def _pieces(stream: io.BufferedReader[Any], name: str) -> Iterator[bytes]:
    """Yield the file without leading white space and byte order marks; a UTF-16 mark stays."""
    passed = 0
    while piece := stream.read1(_PIECE):
        passed += len(piece)
        if begun := _begun(piece):
            yield begun
            break
        if passed > _LONGEST_TAG:
            raise Malformed(f"{name!r} begins with more than {_LONGEST_TAG // 2**20} MB of white space")
    while piece := stream.read1(_PIECE):
        yield piece


def _begun(piece: bytes) -> bytes:
    """Return ``piece`` without leading white space and marks, and without comments before the XML declaration."""
    for mark, encoding in _UTF16.items():
        if piece.startswith(mark):
            blank = {char.encode(encoding) for char in " \t\r\n\ufeff"}
            at = 2
            while piece[at : at + 2] in blank:
                at += 2
            return mark + piece[at:] if piece[at:] else b""
    begun = piece.lstrip(_BLANK)
    return begun[before.end() :] if (before := _COMMENTS.match(begun)) else begun


# ---------------------------------------------------------------------------------------------- text


def _of_text(pieces: Iterable[bytes], name: str, encoding: str) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a text sitemap, which may have comments, as files for --file."""
    decoder, rest, is_known = codecs.getincrementaldecoder(encoding)("replace"), "", False
    for piece in itertools.chain(pieces, [b"\n".decode().encode(encoding)]):
        *lines, rest = (rest + decoder.decode(piece)).replace("\r", "\n").split("\n")
        if len(rest) > _LONGEST_TAG:
            raise Malformed(f"{name!r} has a line of more than {_LONGEST_TAG // 2**20} MB")
        for line in lines:
            text = without_comment(line)
            if not text:
                continue
            if not is_known and not _ADDRESS.match(text):
                raise Malformed(f"{name!r} is not a sitemap: {_EXPECTED}")
            is_known = True
            yield "url", text


# ---------------------------------------------------------------------------------------------- XML


def _of_xml(pieces: Iterable[bytes], name: str) -> Iterator[tuple[str, str]]:
    entries = _Entries(name)
    parser = XMLParser(target=entries, forbid_dtd=True)
    seen, silent = 0, 0
    for piece in pieces:
        parser.feed(piece)
        yield from entries.taken()
        silent = 0 if entries.events > seen else silent + len(piece)
        seen = entries.events
        if silent > _LONGEST_TAG:
            raise Malformed(f"{name!r} has a tag or comment of more than {_LONGEST_TAG // 2**20} MB")
    parser.close()
    yield from entries.taken()


class _Entries:
    """A parser target instead of a tree, which a hostile file could grow without a single entry."""

    def __init__(self, name: str) -> None:
        self.events = 0
        self._name = name
        self._path: list[str] = []
        self._words: set[str] = set()
        self._text: list[str] = []
        self._found: list[tuple[str, str]] = []

    def taken(self) -> list[tuple[str, str]]:
        """Return the entries found since the previous call."""
        found, self._found = self._found, []
        return found

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.events += 1
        self._path.append(tag.rpartition("}")[2])
        self._words.update((tag, *attributes))
        self._text.clear()
        if len(self._path) == 1 and self._path[0] not in _ROOTS:
            root = self._path[0][:40]
            msg = f"{self._name!r} is a <{root}> document: expected <urlset> or <sitemapindex>, <rss> or <feed>"
            raise Malformed(msg)
        if len(self._path) > _DEEPEST or len(self._words) > _MOST_WORDS:
            # The parser itself stores each open element and each distinct name.
            raise Malformed(f"{self._name!r} is nested too deep or has too many kinds of elements for a sitemap")
        if self._path == ["feed", "entry", "link"] and attributes.get("rel", "alternate") == "alternate":
            self._found += [("url", text)] if (text := attributes.get("href", "").strip()) else []

    def data(self, text: str) -> None:
        self.events += 1
        if self._path[-1] in {"loc", "link"} and sum(map(len, self._text)) <= MAX_ADDRESS_CHARS:
            self._text.append(text)

    def end(self, tag: str) -> None:
        del tag
        self.events += 1
        text = "".join(self._text).strip()
        match self._path:
            case ["urlset" | "sitemapindex", "url" | "sitemap" as kind, "loc"] if text:
                self._found.append((kind, text))
            case ["rss", "channel", "item", "link"] | ["RDF", "item", "link"] if text:
                self._found.append(("url", text))
            case _:
                pass
        self._path.pop()
        self._text.clear()

    def close(self) -> None:
        """Return None; entries are read with ``taken`` during the parse."""
