"""What robots.txt says of a site's pages, for pages nobody named one by one: those that a sitemap lists.

RFC 9309: a missing file (4xx) allows everything; one that cannot be had forbids everything, as its owner may.
Blocking; each site is asked once.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from protego import Protego

from producer.download import download
from producer.errors import PageUnreachable

AGENT: Final = "Sightline"
"""The name robots.txt may call us by; ``*`` is meant too."""
MAX_BYTES: Final = 512_000
"""What is read of a file; RFC 9309 asks for 500 KiB at least."""
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class RobotsOfSites:
    """The rules of each site asked about, kept for one run."""

    def __init__(self) -> None:
        self._rules: dict[str, Protego | None] = {}

    def allows(self, url: str) -> bool:
        """Tell whether robots.txt of the site of ``url`` lets us read it."""
        rules = self._of(url)
        return rules is not None and bool(rules.can_fetch(url, AGENT))

    def sitemaps(self, url: str) -> list[str]:
        """Return the sitemaps that robots.txt of the site names."""
        rules = self._of(url)
        return [] if rules is None else list(rules.sitemaps)

    def _of(self, url: str) -> Protego | None:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._rules:
            self._rules[site] = _read(f"{site}/robots.txt")
        return self._rules[site]


def _read(address: str) -> Protego | None:
    """Return the rules; None where the file may be there and cannot be had."""
    try:
        with download(address) as body:
            text = body.read(MAX_BYTES).decode("utf-8-sig", "replace")
    except PageUnreachable as error:
        is_missing = error.http_status is not None and _CLIENT_ERROR <= error.http_status < _SERVER_ERROR
        return Protego.parse("") if is_missing else None
    return Protego.parse(text)
