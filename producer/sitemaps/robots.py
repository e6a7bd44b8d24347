"""Reads robots.txt for pages that were not listed individually, such as those of a sitemap.

RFC 9309: a missing file (4xx) allows everything; an unreachable one forbids everything, since it might. 429 counts as
unreachable. Blocking; each site is asked once.
"""

from __future__ import annotations

import math
from typing import Final

from protego import Protego

from producer.contract.addresses import origin_of
from producer.errors import PageUnreachable
from producer.sitemaps.download import Downloads

AGENT: Final = "Sightline"
"""Sightline's name in robots.txt; rules for ``*`` also apply."""
MAX_BYTES: Final = 512_000
"""Bytes read of a file; RFC 9309 requires at least 500 KiB."""
BODY_S: Final = 10.0
"""For the file's body. Short, since an open sitemap waits for its site's rules."""
MOST_GAP_MS: Final = 60_000
"""Upper limit of Crawl-delay; some sites set hours to keep crawlers away."""
_CLIENT_ERROR, _SERVER_ERROR, _TOO_MANY = 400, 500, 429


class RobotsOfSites:
    """The rules of each site, cached for one run; ``problems`` has the reasons for those that could not be read."""

    def __init__(self, downloads: Downloads | None = None) -> None:
        self._downloads = downloads or Downloads()
        self._rules: dict[str, Protego | None] = {}
        self.problems: dict[str, str] = {}

    def allows(self, url: str) -> bool:
        """Return whether its site's robots.txt allows ``url``."""
        rules = self._of(url)
        return rules is not None and bool(rules.can_fetch(url, AGENT))

    def sitemaps(self, url: str) -> list[str]:
        """Return the sitemaps listed in the site's robots.txt."""
        rules = self._of(url)
        return [] if rules is None else list(rules.sitemaps)

    def gap_ms(self, url: str) -> int:
        """Return the site's Crawl-delay in ms, at most ``MOST_GAP_MS``."""
        rules = self._of(url)
        asked_s = rules.crawl_delay(AGENT) if rules is not None else None
        return round(min(MOST_GAP_MS, max(0.0, asked_s * 1000))) if asked_s and math.isfinite(asked_s) else 0

    def _of(self, url: str) -> Protego | None:
        site = origin_of(url)
        if site not in self._rules:
            self._rules[site] = self._read(f"{site}/robots.txt")
        return self._rules[site]

    def _read(self, address: str) -> Protego | None:
        """Return the rules; None if the file may exist but could not be read."""
        try:
            with self._downloads.open(address, body_s=BODY_S) as body:
                text = body.read(MAX_BYTES).decode("utf-8-sig", "replace")
        except PageUnreachable as error:
            status = error.http_status or _SERVER_ERROR
            if _CLIENT_ERROR <= status < _SERVER_ERROR and status != _TOO_MANY:
                return Protego.parse("")
            self.problems[address] = str(error)
            return None
        return _parsed(text)


def _parsed(text: str) -> Protego:
    """Return the rules of a robots.txt without those that cannot be read, such as ``Disallow: x://[``."""
    try:
        return Protego.parse(text)
    except ValueError:  # of urllib, which Protego gives each rule to
        return Protego.parse("\n".join(filter(_is_readable, text.splitlines())))


def _is_readable(line: str) -> bool:
    try:
        Protego.parse(f"User-agent: *\n{line}")
    except ValueError:
        return False
    return True
