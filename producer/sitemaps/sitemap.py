"""From a sitemap to the pages it lists: nested indexes, gzip, patterns, robots.txt; whatever is left out is counted.

Follows the protocol of sitemaps.org, strictly where it protects: only addresses of the sitemap's own site are taken,
and relative ones are none. One part that cannot be read is a problem of its own and spoils no other. What is loaded,
and how much of it, is ``download.py``'s.
"""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from producer.contract.addresses import normal_url, path_of, site_name
from producer.errors import InputError, PageUnreachable, SightlineError
from producer.sitemaps.download import download

MAX_PAGES: Final = 100_000
MAX_SITEMAPS: Final = 2_000
MAX_DEPTH: Final = 5
"""The protocol allows one index over sitemaps; some sites nest them once or twice more."""
MAX_ADDRESS_CHARS: Final = 8_192
MAX_PROBLEMS: Final = 1_000
"""Kept one by one; more are counted."""
_SNIFFED: Final = 1_024
_PIECE: Final = 65_536
_LONGEST_TAG: Final = 1 << 20
_DEEPEST: Final = 32
_MOST_WORDS: Final = 1_000
"""Names of elements and attributes: a sitemap with images, news and translations has some thirty."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the listed pages are wanted: those that fit any ``match``, none of ``exclude``, and are ``allowed``.

    A pattern is a shell's: ``*`` stands for anything. One that begins with ``/`` is compared with path and query,
    another one with the whole address.
    """

    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allowed: Callable[[str], bool] | None = None

    def why_not(self, url: str) -> str:
        """Return why ``url`` is not wanted, ``''`` for one that is."""
        if self.match and not any(fits(url, pattern) for pattern in self.match):
            return "that fit no --match"
        if any(fits(url, pattern) for pattern in self.exclude):
            return "by --exclude"
        return "" if self.allowed is None or self.allowed(url) else "by robots.txt"


@dataclass(slots=True)
class Listed:
    """What a sitemap came to: the pages, what was left out by reason with an example, and what could not be read."""

    pages: dict[str, None] = field(default_factory=dict[str, None])
    sitemaps: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, str] = field(default_factory=dict[str, str])
    problems: dict[str, SightlineError] = field(default_factory=dict[str, SightlineError])

    def leave_out(self, url: str, why: str) -> None:
        """Count an address that is not taken."""
        self.left_out[why] += 1
        self.examples.setdefault(why, url[:300])


def fits(url: str, pattern: str) -> bool:
    """Tell whether a pattern stands for ``url``."""
    if not pattern.startswith("/"):
        return fnmatchcase(url, pattern)
    return fnmatchcase(path_of(url), pattern)


def read_sitemap(url: str, choice: Choice) -> Listed:
    """Return the wanted pages of the sitemap at ``url`` and of those it names.

    Raises ``InputError`` for more than ``MAX_PAGES`` of them. What cannot be read is in ``problems``.
    """
    return _Walk(normal_url(url), choice).walk()


class _Walk:
    """One sitemap and all it names, each read once, breadth first."""

    def __init__(self, first: str, choice: Choice) -> None:
        self._first = first
        self._choice = choice
        self._depths = {first: 1}
        self._todo = deque([first])
        self._sites = {site_name(first)}
        self._listed = Listed()

    def walk(self) -> Listed:
        while self._todo:
            address = self._todo.popleft()
            self._listed.sitemaps += 1
            try:
                with download(address) as body:
                    self._sites.add(site_name(body.url))
                    for kind, text in locations(body, address):
                        self._take(kind, text, self._depths[address])
            except (PageUnreachable, _Malformed) as error:
                self._listed.problems[address] = error
        return self._listed

    def _take(self, kind: str, text: str, depth: int) -> None:
        try:
            target = _address(text)
        except ValueError as error:
            if len(self._listed.problems) < MAX_PROBLEMS:
                self._listed.problems.setdefault(text[:300], InputError(str(error)))
            else:
                self._listed.leave_out(text, "that are no addresses")
            return
        if site_name(target) not in self._sites:
            self._listed.leave_out(target, "of other sites")
        elif kind == "url":
            self._take_page(target)
        else:
            self._take_sitemap(target, depth + 1)

    def _take_page(self, page: str) -> None:
        pages = self._listed.pages
        why = "named twice" if page in pages else self._choice.why_not(page)
        if why:
            self._listed.leave_out(page, why)
            return
        if len(pages) >= MAX_PAGES:
            msg = f"more than {MAX_PAGES:,} pages: take fewer with --match or --exclude, or give parts of the sitemap"
            raise InputError(msg)
        pages[page] = None

    def _take_sitemap(self, address: str, depth: int) -> None:
        if address in self._depths:
            self._listed.leave_out(address, "sitemaps named twice")
        elif depth > MAX_DEPTH:
            msg = f"{address!r} is nested more than {MAX_DEPTH} deep in {self._first!r}: give it by itself"
            self._listed.problems[address] = InputError(msg)
        elif len(self._depths) >= MAX_SITEMAPS:
            raise InputError(f"{self._first!r} names more than {MAX_SITEMAPS:,} sitemaps: give some of them instead")
        else:
            self._depths[address] = depth
            self._todo.append(address)


def _address(text: str) -> str:
    if len(text) > MAX_ADDRESS_CHARS:
        raise ValueError(f"{text[:60]!r}… is an address of more than {MAX_ADDRESS_CHARS:,} characters")
    return normal_url(text)


# ---------------------------------------------------------------------------------------------- one file


class _Malformed(InputError):
    """The file is no sitemap."""


def locations(body: io.RawIOBase, name: str) -> Iterator[tuple[str, str]]:
    """Yield each ``<loc>`` of one file with what it is of, ``url`` or ``sitemap``, holding no more than one entry.

    Raises ``_Malformed``, after what came before the fault.
    """
    stream = io.BufferedReader(body, buffer_size=_PIECE)
    _check_xml(stream.peek(_SNIFFED)[:_SNIFFED], name)
    try:
        yield from _locations(stream, name)
    except ParseError as error:
        raise _Malformed(f"{name!r} is not whole, or no XML: {error}") from None
    except DefusedXmlException:
        raise _Malformed(f"{name!r} declares a document type or entities: a sitemap has neither") from None
    except (LookupError, ValueError) as error:
        raise _Malformed(f"{name!r} has an encoding that is not read ({error}): expected UTF-8") from None


def _locations(stream: io.BufferedReader[Any], name: str) -> Iterator[tuple[str, str]]:
    entries = _Entries(name)
    parser = XMLParser(target=entries, forbid_dtd=True)
    seen, silent = 0, 0
    while piece := stream.read1(_PIECE):
        parser.feed(piece)
        yield from entries.taken()
        silent = 0 if entries.events > seen else silent + len(piece)
        seen = entries.events
        if silent > _LONGEST_TAG:
            raise _Malformed(f"{name!r} has a tag or comment of more than {_LONGEST_TAG // 2**20} MB")
    parser.close()
    yield from entries.taken()


class _Entries:
    """What the parser tells goes here instead of into a tree: a hostile file would grow one without an entry in it."""

    def __init__(self, name: str) -> None:
        self.events = 0
        self._name = name
        self._path: list[str] = []
        self._words: set[str] = set()
        self._text: list[str] = []
        self._found: list[tuple[str, str]] = []

    def taken(self) -> list[tuple[str, str]]:
        """Return what was found since it was asked last."""
        found, self._found = self._found, []
        return found

    def start(self, tag: str, attributes: Iterable[str]) -> None:
        self.events += 1
        self._path.append(tag.rpartition("}")[2])
        self._words.update((tag, *attributes))
        self._text.clear()
        if len(self._path) == 1 and self._path[0] not in {"urlset", "sitemapindex"}:
            raise _Malformed(
                f"{self._name!r} is a <{self._path[0][:40]}> document: expected <urlset> or <sitemapindex>"
            )
        if len(self._path) > _DEEPEST or len(self._words) > _MOST_WORDS:
            # The parser itself keeps each open element and each name.
            raise _Malformed(f"{self._name!r} is nested too deep or has too many kinds of elements for a sitemap")

    def data(self, text: str) -> None:
        self.events += 1
        if self._path[-1] == "loc" and sum(map(len, self._text)) <= MAX_ADDRESS_CHARS:
            self._text.append(text)

    def end(self, tag: str) -> None:
        del tag
        self.events += 1
        match self._path:
            case [_, "url" | "sitemap" as kind, "loc"] if text := "".join(self._text).strip():
                self._found.append((kind, text))
            case _:
                pass
        self._path.pop()
        self._text.clear()

    def close(self) -> None:
        """End with nothing to return: what was found is taken as it comes."""


def _check_xml(head: bytes, name: str) -> None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise _Malformed(f"{name!r} is empty: expected an XML sitemap")
    if start.startswith((b"<!doctype html", b"<html")):
        msg = f"{name!r} is a web page, not a sitemap: robots.txt of most sites says where theirs is, as 'Sitemap: …'"
        raise _Malformed(msg)
    if not start.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        raise _Malformed(f"{name!r} is no XML sitemap: a list of addresses, one a line, is for --file")
