"""Extracts the links of an HTML page in a stream, in bounded time for hostile input. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from producer.contract.addresses import normal_url, public_url

MAX_LINKS: Final = 20_000
"""Per page."""
_MAX_CHARS: Final = 4_096
_HTTP: Final = ("http://", "https://")


class _Links(HTMLParser):
    """Collects the targets of ``a`` and ``area``, relative to the first ``base``."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.found: list[str] = []

    def parse_html_declaration(self, i: int) -> int:
        """Read ``<![x[`` as a comment, as browsers do; Python's parser asserts (python/cpython issue 77057)."""
        is_marked = self.rawdata.startswith("<![", i)
        return self.parse_bogus_comment(i) if is_marked else super().parse_html_declaration(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"a", "area", "base"}:
            return
        href = next((value for name, value in attrs if name == "href" and value), "").strip()
        if not href or len(href) > _MAX_CHARS:
            return
        if tag == "base":
            self.base = self.base or href
        elif not href.startswith("#") or href.startswith(("#/", "#!/")):  # a fragment of this page
            self.found.append(href)


def links_of(pieces: Iterable[bytes], url: str, *, charset: str = "utf-8") -> Iterator[str]:
    """Yield the http and https addresses that the page at ``url`` links to, normalised and without duplicates.

    The caller bounds ``pieces``: an unfinished tag, script or comment is kept in memory.
    """
    reader, decoder, text = _Links(), codecs.getincrementaldecoder(charset)("replace"), ""
    for piece in pieces:
        text += decoder.decode(piece)
        if len(text) < len(reader.rawdata):
            continue  # html.parser reads an unfinished tag again from its start: each feed is at least as long
        reader.feed(text)
        text = ""
        if len(reader.found) > MAX_LINKS:
            break
    reader.feed(text)
    seen: set[str] = set()
    for href in reader.found[:MAX_LINKS]:
        address = _address(href, _joined(url, reader.base))
        if address and address not in seen:
            seen.add(address)
            yield address


def _joined(url: str, href: str) -> str:
    try:
        return urljoin(url, href)
    except ValueError:
        return url


def _address(href: str, base: str) -> str:
    """Return a link's target without user info; '' unless it can be a page."""
    try:
        target = urljoin(base, "".join(href.split("\n")).replace("\t", "").replace("\r", ""))
        return public_url(normal_url(target)) if target.lower().startswith(_HTTP) else ""
    except ValueError:
        return ""
