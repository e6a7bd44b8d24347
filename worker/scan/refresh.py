"""Reads when a page takes itself to another by ``<meta http-equiv=refresh>``. Pure.

Syntax: https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

LIMIT_S: Final = 7.0
"""Of waiting for a page to leave: many say that they do so in five seconds."""
MOST: Final = 3
"""Pages in a row that are waited for: some lead in a circle."""
_GRACE_S: Final = 1.0
"""For a browser that is late."""
_REFRESH: Final = re.compile(
    r"\s*(?P<s>\d+|(?=\.))[\d.]*(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?(?P<quote>[\"']?)(?P<url>\S.*)",
    re.IGNORECASE | re.DOTALL,
)


def leaves_in_s(refresh: str, *, base: str, href: str, loaded_s: float) -> float | None:
    """Return the seconds after which a page is sure to have left for another; None for one that stays.

    ``loaded_s`` is how long ago it loaded, negative for one that has not: only a loaded page leaves. One that loads
    itself again, if with another query, stays.
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
