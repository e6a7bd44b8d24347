"""Crawls a site: follows links in the served HTML within one origin and samples the pages of each template.

Only candidate pages are requested: of 10,000 products, some twenty are loaded. robots.txt is obeyed, including its
delay between requests. Pages, requests, bytes and time are bounded; skipped addresses are counted. ``download.py``
loads pages and refuses redirects to other sites. Links made by scripts are not found.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from producer.contract.addresses import normal_url, origin_of, public_url
from producer.errors import PageUnreachable
from producer.sitemaps.download import Body, Downloads
from producer.sitemaps.links import links_of
from producer.sitemaps.patterns import Patterns
from producer.sitemaps.sitemap import FILES_LEFT_OUT, Choice, Listed

MAX_PAGES: Final = 10_000
PAGES: Final = 100
PER_PATTERN: Final = 20
MAX_KNOWN: Final = 100_000
"""Addresses remembered; further links are only counted."""
MAX_SECONDS: Final = 1_800.0
MAX_BYTES: Final = 512 * 1024 * 1024
"""Total of all pages."""
_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Per page; links beyond it are not found."""
_PIECE: Final = 65_536
_TELL_EVERY_S: Final = 5.0
_REQUESTS_A_PAGE: Final = 3
"""Requests allowed per wanted page, since links may be dead or lead to something other than a page."""
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_OVER: Final = "beyond --max-pages"
_TEMPLATE: Final = "beyond --per-pattern for one pattern"
_ELSEWHERE: Final = "of other sites"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a crawl: pages in total, and per address pattern."""

    pages: int = PAGES
    per_pattern: int = PER_PATTERN


@dataclass(slots=True)
class Crawled(Listed):
    """The result of a crawl. ``patterns`` counts pages per pattern; ``ended`` is the reason for an early end."""

    requests: int = 0
    patterns: Counter[str] = field(default_factory=Counter[str])
    ended: str = ""


def crawl(
    start: str,
    choice: Choice,
    downloads: Downloads,
    bounds: Bounds = Bounds(),
    *,
    gap_ms: Callable[[str], int] = lambda _: 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Crawled:
    """Return ``start`` and pages reachable from it; rare patterns come before more pages of a common one.

    ``gap_ms`` returns the pause between requests. Addresses that ``choice`` does not match are followed but not
    returned; those that it excludes, or robots.txt forbids, are not followed either.
    """
    return _Crawl(start, choice, downloads, bounds, gap_ms, tell).run()


class _Crawl:
    def __init__(  # noqa: PLR0917  the parameters of ``crawl``
        self,
        start: str,
        choice: Choice,
        downloads: Downloads,
        bounds: Bounds,
        gap_ms: Callable[[str], int],
        tell: Callable[[str], None],
    ) -> None:
        self._start = normal_url(start)
        self._choice = choice
        self._follow = replace(choice, match=())
        self._downloads = downloads
        self._bounds = bounds
        self._gap_ms = gap_ms
        self._tell = tell
        self._patterns = Patterns()
        self._known: set[str] = set()
        self._waiting: dict[str, deque[str]] = {}
        self._tried: Counter[str] = Counter()
        self._bytes = 0
        self._begun_s = self._told_s = time.monotonic()
        self._found = Crawled()

    def run(self) -> Crawled:
        self._see(self._start)
        while not self._found.ended and (url := self._next()):
            self._wait(url)
            self._found.requests += 1
            self._load(url)
            self._say()
            self._found.ended = self._why_end()
        rest = sum(map(len, self._waiting.values()))
        if rest:
            example = next(iter(next(filter(None, self._waiting.values()))))
            self._found.left_out[_OVER] += rest
            self._found.examples.setdefault(_OVER, example)
        return self._found

    # ------------------------------------------------------------------------------------------ which page is next

    def _see(self, url: str) -> None:
        """Remember a linked address, unless it is known or must not be followed."""
        if url in self._known:
            return
        if len(self._known) >= MAX_KNOWN:
            self._found.leave_out(url, f"beyond {MAX_KNOWN:,} addresses")
            return
        self._known.add(url)
        if origin_of(url) != origin_of(self._start):
            self._found.leave_out(url, _ELSEWHERE)
        elif why := self._follow.why_not(url):
            self._found.leave_out(url, why)
        else:
            self._waiting.setdefault(self._patterns.pattern_of(url), deque()).append(url)

    def _next(self) -> str:
        """Return the first address of the least tried pattern; '' if none is left."""
        while waiting := [pattern for pattern, urls in self._waiting.items() if urls]:
            pattern = min(waiting, key=self._tried.__getitem__)
            if self._found.patterns[pattern] >= self._bounds.per_pattern or self._is_hopeless(pattern):
                self._leave_pattern(pattern)
                continue
            url = self._waiting[pattern].popleft()
            wider = self._patterns.pattern_of(url)
            if wider == pattern:
                self._tried[pattern] += 1
                return url
            self._waiting.setdefault(wider, deque()).append(url)
        return ""

    def _is_hopeless(self, pattern: str) -> bool:
        """Return whether a pattern has failed or been excluded so often that further addresses are not worth trying."""
        return self._tried[pattern] >= self._bounds.per_pattern * _REQUESTS_A_PAGE

    def _leave_pattern(self, pattern: str) -> None:
        urls = self._waiting.pop(pattern)
        self._found.left_out[_TEMPLATE] += len(urls)
        self._found.examples.setdefault(_TEMPLATE, urls[0])

    def _why_end(self) -> str:
        if len(self._found.pages) >= self._bounds.pages:
            return "pages"
        if self._found.requests >= self._bounds.pages * _REQUESTS_A_PAGE + self._bounds.per_pattern:
            return f"{self._found.requests:,} requests"
        if self._bytes > MAX_BYTES:
            return f"{MAX_BYTES // 2**20} MB"
        if time.monotonic() - self._begun_s > MAX_SECONDS:
            return f"{MAX_SECONDS / 60:g} minutes"
        return ""

    # ------------------------------------------------------------------------------------------ one page

    def _wait(self, url: str) -> None:
        if self._found.requests and (gap_ms := self._gap_ms(url)):
            time.sleep(gap_ms / 1000)

    def _load(self, url: str) -> None:
        """Load a page, add it to the result, and remember its links."""
        try:
            with self._downloads.open(url) as body:
                shown = public_url(normal_url(body.url))
                if self._found.requests == 1:  # a redirect of the start, as to https or www., sets the origin
                    self._start = shown
                if body.content_type not in _HTML:
                    self._found.leave_out(url, FILES_LEFT_OUT)
                    return
                self._take(url, shown)
                for link in links_of(self._pieces(body), body.url, charset=body.charset):
                    self._see(link)
        except PageUnreachable as error:
            if self._found.requests == 1:
                self._found.problems[url] = error
            status = f" (HTTP {error.http_status})" if error.http_status else ""
            self._found.leave_out(url, f"that could not be loaded{status}")
        except ValueError:
            self._found.leave_out(url, "that redirect to no address")

    def _take(self, url: str, shown: str) -> None:
        """Add the page under its final address, unless that is already included or unwanted."""
        if origin_of(shown) != origin_of(self._start):
            why = _ELSEWHERE
        else:
            why = "that redirect to a page already found" if shown in self._found.pages else self._choice.why_not(shown)
        if why:
            self._found.leave_out(url, why)
            return
        self._known.add(shown)
        self._found.pages[shown] = None
        self._found.patterns[self._patterns.pattern_of(url)] += 1

    def _pieces(self, body: Body) -> Iterator[bytes]:
        left = _PAGE_BYTES
        while left > 0 and (piece := body.read(min(_PIECE, left))):
            left -= len(piece)
            self._bytes += len(piece)
            yield piece

    def _say(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            waiting = sum(map(len, self._waiting.values()))
            self._tell(f"{len(self._found.pages):,} pages found, {waiting:,} links to follow")
