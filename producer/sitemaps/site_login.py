"""The login for a site's robots.txt and sitemaps: headers, cookies, and user info in the address.

Sent to one origin only, which is checked again for each redirect. Nothing here is ever printed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from producer.contract.addresses import origin_of

_OWN: Final = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
"""Headers that ``download.py`` sets itself."""


@dataclass(frozen=True, slots=True)
class SiteLogin:
    """A login for ``origin``; cookies have Playwright's fields and default to the origin's domain."""

    origin: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cookies: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def headers_for(self, url: str) -> dict[str, str]:
        """Return the headers for a request of ``url``: none for another origin."""
        if not self.origin or origin_of(url) != self.origin:
            return {}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        cookies = [f"{cookie['name']}={cookie['value']}" for cookie in self.cookies if _is_for(cookie, url)]
        if cookies and not any(name.lower() == "cookie" for name in headers):
            headers["Cookie"] = "; ".join(cookies)
        # http.client encodes as Latin-1, browsers as UTF-8.
        return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _is_for(cookie: Mapping[str, Any], url: str) -> bool:
    """Return whether a browser would send the cookie to ``url`` (RFC 6265, 5.4)."""
    parts = urlsplit(url)
    host, domain, path = parts.hostname or "", str(cookie.get("domain") or "").lower(), str(cookie.get("path") or "/")
    if cookie.get("url") and origin_of(str(cookie["url"])) != origin_of(url):
        return False
    if domain and host != domain.lstrip(".") and not (domain.startswith(".") and host.endswith(domain)):
        return False
    asked = parts.path or "/"
    if asked != path and not asked.startswith(path if path.endswith("/") else f"{path}/"):
        return False
    expires = cookie.get("expires")
    is_over = isinstance(expires, int | float) and 0 < expires < time.time()
    return not is_over and (parts.scheme == "https" or not cookie.get("secure"))
