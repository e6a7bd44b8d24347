"""Parses redirects by ``<meta http-equiv=refresh>``. Pure.

Syntax: https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

LIMIT_S: Final = 7.0
"""Maximum wait for a page to leave: many announce five seconds."""
MOST: Final = 3
"""Maximum redirects in a row: some form a loop."""
_GRACE_S: Final = 1.0
"""Tolerance for a slow browser."""
_REFRESH: Final = re.compile(
    r"\s*(?P<s>\d++|(?=\.))[\d.]*+(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?(?P<quote>[\"']?)(?P<url>\S.*)",
    re.IGNORECASE | re.DOTALL,
)


def leaves_in_s(refresh: str, *, base: str, href: str, loaded_s: float) -> float | None:
    """Return the seconds after which a page has certainly left for another; None if it stays.

    ``loaded_s`` is the time since the load event, negative before it: only a loaded page leaves. A page that reloads
    itself, even with another query, stays.
    """
    found = _REFRESH.match(refresh)
    if found is None or loaded_s < 0:
        return None
    url = found["url"].partition(found["quote"])[0] if found["quote"] else found["url"].strip()
    try:
        target, here = urlsplit(urljoin(base, url)), urlsplit(href)
    except ValueError:
        return None
    is_other = (target.netloc, target.path or "/") != (here.netloc, here.path or "/")
    if target.scheme not in {"http", "https"} or not is_other:
        return None
    left_s = int(found["s"][:6] or 0) + _GRACE_S - loaded_s
    return left_s if left_s > 0 else None
