"""Reads the pages that a sitemap lists: nested indexes, gzip, patterns, robots.txt. Skipped addresses are counted.

Follows the sitemaps.org protocol, strictly where it protects: only addresses of the sitemap's own site are used, except
for previews (``Choice.replaced``). The protocol forbids relative addresses, but they occur and are resolved against the
file. An unreadable part is reported and does not affect the others. ``sitemap_file.py`` parses files; ``download.py``
loads them within limits.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urljoin, urlsplit

from producer.contract.addresses import normal_url, path_of, public_url, site_name
from producer.errors import InputError, PageUnreachable, SightlineError
from producer.sitemaps.download import Downloads
from producer.sitemaps.sitemap_file import MAX_ADDRESS_CHARS, Malformed, locations

MAX_PAGES: Final = 100_000
MAX_SITEMAPS: Final = 2_000
MAX_DEPTH: Final = 5
"""The protocol allows one level of index; some sites nest one or two more."""
MAX_PROBLEMS: Final = 1_000
"""Maximum number of problems listed individually; further ones are only counted."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_FILES: Final = re.compile(
    r"\.(pdf|ps|epub|docx?|xlsx?|pptx?|od[tsp]|rtf|csv|ics|vcf"
    r"|jpe?g|png|gif|webp|avif|svg|ico|bmp|tiff?|heic"
    r"|zip|gz|tgz|bz2|xz|7z|rar|tar|dmg|exe|msi|apk|iso|jar"
    r"|mp[34]|m4[av]|og[gav]|wav|webm|mov|avi|flac|woff2?|[to]tf|eot|css|m?js|json|map|wasm)",
    re.IGNORECASE,
)
"""Extensions that browsers download or do not show as a page. ``.txt`` and ``.xml`` may be pages."""
FILES_LEFT_OUT: Final = "that are files, not pages"
NO_MATCH: Final = "that match no --match"


@dataclass(frozen=True, slots=True)
class Choice:
    """Selects pages that match any of ``match``, none of ``exclude``, and are ``allowed``.

    Patterns are shell patterns. A pattern that begins with ``/`` is matched against path and query, any other against
    the whole address. ``replaced`` maps address prefixes to replacements, for previews whose sitemaps name the
    production site.
    """

    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allowed: Callable[[str], bool] | None = None
    replaced: tuple[tuple[str, str], ...] = ()

    def why_not(self, url: str) -> str:
        """Return why ``url`` is not selected, or ``''``."""
        if is_file(url):
            return FILES_LEFT_OUT
        if self.match and not any(fits(url, pattern) for pattern in self.match):
            return NO_MATCH
        if any(fits(url, pattern) for pattern in self.exclude):
            return "by --exclude"
        return "" if self.allowed is None or self.allowed(url) else "by robots.txt"


@dataclass(slots=True)
class Listed:
    """The result of reading a sitemap: pages, skipped addresses by reason with an example, and problems."""

    pages: dict[str, None] = field(default_factory=dict[str, None])
    sitemaps: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, str] = field(default_factory=dict[str, str])
    problems: dict[str, SightlineError] = field(default_factory=dict[str, SightlineError])

    def leave_out(self, url: str, why: str) -> None:
        """Count a skipped address."""
        self.left_out[why] += 1
        self.examples.setdefault(why, url[:300])

    def add_problem(self, url: str, error: InputError, why: str) -> None:
        """Add a problem of an entry; beyond ``MAX_PROBLEMS``, count it as left out."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.setdefault(url[:300], error)
        else:
            self.leave_out(url, why)


@dataclass(slots=True)
class Room:
    """How many more pages and sitemaps may be read: those that a robots.txt lists share one."""

    pages: int = field(default_factory=lambda: MAX_PAGES)
    sitemaps: int = field(default_factory=lambda: MAX_SITEMAPS)


def fits(url: str, pattern: str) -> bool:
    """Return whether ``url`` matches a pattern."""
    if not pattern.startswith("/"):
        return fnmatchcase(url, pattern)
    return fnmatchcase(path_of(url), pattern)


def is_file(url: str) -> bool:
    """Return whether the address has the extension of a PDF, image or archive; a wiki's ``File:x.png`` is a page."""
    name = urlsplit(url).path.rpartition("/")[2]
    return ":" not in name and _FILES.fullmatch(name, max(name.rfind("."), 0)) is not None


def replaced(url: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Return the address with the first matching prefix replaced; ``…/shop`` does not match ``…/shopping``."""
    for start, instead in pairs:
        rest = url.removeprefix(start)
        if rest != url and (not rest or start.endswith("/") or rest[0] in "/?#"):
            return instead + rest
        if start == f"{url}/":
            return instead
    return url


def read_sitemap(url: str, choice: Choice, downloads: Downloads | None = None, *, room: Room | None = None) -> Listed:
    """Return the selected pages of the sitemap at ``url`` and of the sitemaps it lists, which take from ``room``.

    Raises ``InputError`` for more than ``room``. Unreadable parts are in ``problems``.
    """
    return _Walk(normal_url(url), choice, downloads or Downloads(), room or Room()).walk()


class _Walk:
    """A breadth-first walk of a sitemap and those it lists, reading each once."""

    def __init__(self, first: str, choice: Choice, downloads: Downloads, room: Room) -> None:
        self._first = first
        self._choice = choice
        self._downloads = downloads
        self._room = room
        self._depths: dict[str, int] = {}
        self._todo = deque[str]()
        self._sites = {site_name(first)}
        self._listed = Listed()

    def walk(self) -> Listed:
        self._take_sitemap(self._first, 1)
        while self._todo:
            address = self._todo.popleft()
            self._listed.sitemaps += 1
            try:
                with self._downloads.open(address) as body:
                    self._sites.add(site_name(body.url))
                    for kind, text in locations(body, address):
                        self._take(kind, text, base=body.url, depth=self._depths[address])
            except (PageUnreachable, Malformed) as error:
                self._listed.problems[address] = error
        return self._listed

    def _take(self, kind: str, text: str, *, base: str, depth: int) -> None:
        try:
            target = replaced(_address(text, base), self._choice.replaced)
        except ValueError as error:
            self._listed.add_problem(text, InputError(str(error)), "that are not addresses")
            return
        if site_name(target) not in self._sites:
            self._listed.leave_out(target, "of other sites")
        elif kind == "url":
            self._take_page(target)
        else:
            self._take_sitemap(target, depth + 1)

    def _take_page(self, page: str) -> None:
        pages = self._listed.pages
        why = "listed twice" if page in pages else self._choice.why_not(page)
        if why:
            self._listed.leave_out(page, why)
            return
        self._room.pages -= 1
        if self._room.pages < 0:
            msg = f"more than {MAX_PAGES:,} pages: take fewer with --match or --exclude, or give parts of the sitemap"
            raise InputError(msg)
        pages[page] = None

    def _take_sitemap(self, address: str, depth: int) -> None:
        if address in self._depths:
            self._listed.leave_out(address, "sitemaps listed twice")
        elif depth > MAX_DEPTH:
            msg = f"{address!r} is nested more than {MAX_DEPTH} deep in {self._first!r}: list it separately"
            self._listed.add_problem(address, InputError(msg), "sitemaps that are nested too deep")
        elif self._room.sitemaps <= 0:
            msg = f"more than {MAX_SITEMAPS:,} sitemaps, up to those in {self._first!r}: give some of them instead"
            raise InputError(msg)
        else:
            self._room.sitemaps -= 1
            self._depths[address] = depth
            self._todo.append(address)


def _address(text: str, base: str) -> str:
    """Resolve ``text`` in a file at ``base``; raises ``ValueError`` for an invalid address.

    User info is dropped: readers of a sitemap use their own login.
    """
    if len(text) > MAX_ADDRESS_CHARS:
        raise ValueError(f"{text[:60]!r}… is an address of more than {MAX_ADDRESS_CHARS:,} characters")
    if _SCHEME.match(text) or any(map(str.isspace, text)):
        return public_url(normal_url(text))
    host, _, rest = text.partition("/")
    if host.lower() in {site_name(base), f"www.{site_name(base)}"}:  # an address without a scheme
        return public_url(normal_url(f"{urlsplit(base).scheme}://{host}/{rest}"))
    return public_url(normal_url(urljoin(base, text)))
