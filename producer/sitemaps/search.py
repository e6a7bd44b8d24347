"""Finds pages in sitemaps and by crawling, for ``scan`` and schedules.

Blocking. robots.txt is obeyed unless the search says otherwise. Next: ``sitemap.py``, ``crawl.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urljoin

from producer.contract.addresses import normal_url, origin_of, path_of, public_url, site_name
from producer.sitemaps.crawl import Bounds, Crawled, crawl
from producer.sitemaps.download import Downloads
from producer.sitemaps.robots import RobotsOfSites
from producer.sitemaps.sitemap import Choice, Listed, Room, read_sitemap, replaced

_Found = TypeVar("_Found", bound=Listed)


@dataclass(frozen=True, slots=True)
class Search:
    """A search: where to look, which pages to take; ``replaced`` has pairs of texts to replace in sitemaps."""

    sitemaps: tuple[str, ...] = ()
    crawl: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    ignore_robots: bool = False
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Part(Generic[_Found]):
    """The result of one sitemap or crawl, which is at ``address``."""

    address: str
    found: _Found
    robots: RobotsOfSites


def in_sitemaps(search: Search, downloads_of: Callable[[str], Downloads]) -> Iterator[Part[Listed]]:
    """Yield the pages of each sitemap; ``downloads_of`` returns the downloads for an address's site."""
    robots_of: dict[str, RobotsOfSites] = {}
    for address in search.sitemaps:
        downloads = downloads_of(address)
        robots = robots_of.setdefault(origin_of(address), RobotsOfSites(downloads))
        choice = Choice(search.match, search.exclude, None if search.ignore_robots else robots.allows, search.replaced)
        room = Room()
        for sitemap in _sitemaps_at(address, robots, search.replaced):
            yield Part(sitemap, read_sitemap(sitemap, choice, downloads, room=room), robots)


def in_crawls(
    search: Search, downloads_of: Callable[[str], Downloads], *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Part[Crawled]]:
    """Yield the pages of each crawl; ``tell`` receives lines of progress."""
    for start in search.crawl:
        downloads = downloads_of(start)
        robots = RobotsOfSites(downloads)
        choice = Choice(search.match, search.exclude, None if search.ignore_robots else robots.allows)
        gap_ms = _no_gap if search.ignore_robots else robots.gap_ms
        yield Part(start, crawl(start, choice, downloads, search.bounds, gap_ms=gap_ms, tell=tell), robots)


def _no_gap(_: str) -> int:
    return 0


def _sitemaps_at(address: str, robots: RobotsOfSites, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the sitemap; for the address of a whole site, those named in its robots.txt, or the default location.

    Only sitemaps on its own site are used: robots.txt cannot direct this machine to another site.
    """
    if path_of(address) != "/":
        return [address]
    named: dict[str, None] = {}
    for text in robots.sitemaps(address):
        with contextlib.suppress(ValueError):  # invalid lines of robots.txt are ignored
            sitemap = replaced(public_url(normal_url(urljoin(address, text))), pairs)
            if site_name(sitemap) == site_name(address):
                named[sitemap] = None
    return list(named) or [f"{address}sitemap.xml"]
