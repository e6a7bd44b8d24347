"""What robots.txt says of a site's pages, for pages nobody named one by one: those that a sitemap lists.

RFC 9309: a missing file (4xx) allows everything; one that cannot be had forbids everything, as its owner may. 429 says
that nothing can be had now, not that nothing is there.
Blocking; each site is asked once.
"""

from __future__ import annotations

import math
from typing import Final

from protego import Protego

from producer.contract.addresses import origin_of
from producer.errors import PageUnreachable
from producer.sitemaps.download import Downloads

AGENT: Final = "Sightline"
"""The name robots.txt may call us by; ``*`` is meant too."""
MAX_BYTES: Final = 512_000
"""What is read of a file; RFC 9309 asks for 500 KiB at least."""
MOST_GAP_MS: Final = 60_000
"""What a site gets if it asks for more: some ask for hours, and mean that nobody shall come."""
_CLIENT_ERROR, _SERVER_ERROR, _TOO_MANY = 400, 500, 429


class RobotsOfSites:
    """The rules of each site asked about, kept for one run; ``problems`` says why a site's could not be had."""

    def __init__(self, downloads: Downloads | None = None) -> None:
        self._downloads = downloads or Downloads()
        self._rules: dict[str, Protego | None] = {}
        self.problems: dict[str, str] = {}

    def allows(self, url: str) -> bool:
        """Tell whether robots.txt of the site of ``url`` lets us read it."""
        rules = self._of(url)
        return rules is not None and bool(rules.can_fetch(url, AGENT))

    def sitemaps(self, url: str) -> list[str]:
        """Return the sitemaps that robots.txt of the site names."""
        rules = self._of(url)
        return [] if rules is None else list(rules.sitemaps)

    def gap_ms(self, url: str) -> int:
        """Return the ms that robots.txt of the site asks for between two pages; ``MOST_GAP_MS`` at most."""
        rules = self._of(url)
        asked_s = rules.crawl_delay(AGENT) if rules is not None else None
        return min(MOST_GAP_MS, max(0, round(asked_s * 1000))) if asked_s and math.isfinite(asked_s) else 0

    def _of(self, url: str) -> Protego | None:
        site = origin_of(url)
        if site not in self._rules:
            self._rules[site] = self._read(f"{site}/robots.txt")
        return self._rules[site]

    def _read(self, address: str) -> Protego | None:
        """Return the rules; None where the file may be there and cannot be had."""
        try:
            with self._downloads.open(address) as body:
                text = body.read(MAX_BYTES).decode("utf-8-sig", "replace")
        except PageUnreachable as error:
            status = error.http_status or _SERVER_ERROR
            if _CLIENT_ERROR <= status < _SERVER_ERROR and status != _TOO_MANY:
                return Protego.parse("")
            self.problems[address] = str(error)
            return None
        return Protego.parse(text)
