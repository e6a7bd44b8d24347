"""Calls to a code host's HTTP API: JSON, paginated lists, retries while the host is busy. Independent of the host.

A token is sent only to the API's origin: neither redirects nor next pages elsewhere are followed. A proxy
and authorities come from the usual variables (``HTTPS_PROXY``, ``SSL_CERT_FILE``).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from producer.contract.addresses import origin_of
from producer.contract.retry_after import read_retry_after
from producer.errors import InputError, os_reason
from producer.reports.plain_text import one_line
from producer.sitemaps.exchange import Exchange

TIMEOUT_S: Final = 20.0
"""Between two chunks, and for connecting."""
CALL_S: Final = 120.0
"""For one attempt, with its reply, however slowly the host sends."""
TRIES: Final = 3
MAX_PAUSE_S: Final = 30.0
MAX_BYTES: Final = 20_000_000
MAX_PAGES: Final = 50
"""Maximum pages of a list, with 100 entries each; further entries are not read."""
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
UNCLEAR: Final = frozenset({500, 502, 503, 504})
"""Statuses after which the request may have taken effect, unless a 503 says when to come again."""
NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
_NEXT: Final = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


class ApiFault(Exception):
    """The request failed; ``status`` is the HTTP status, 0 without a reply."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  urllib's signature
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Follow no redirect."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its JSON, and the address of the list's next page, '' at the end."""

    value: Any
    next_url: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """An API at ``base``, an address without a final slash; ``headers`` contain the token and are never shown."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    pause: Callable[[float], None] = time.sleep

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        once: bool = False,
        is_done: Callable[[], bool] | None = None,
    ) -> Reply:
        """Return the reply; tries a busy host ``TRIES`` times. Raises ``ApiFault``.

        ``once``: repeated only if the host says that it is busy, since otherwise the request may have taken effect.
        ``is_done`` says whether it has, before it is repeated; the reply of a request that has is empty.
        """
        url = path if origin_of(path) == origin_of(self.base) else f"{self.base}/{path}"
        for left in reversed(range(TRIES)):
            try:
                return self._once(method, url, body)
            except HTTPError as error:
                wait_s = _pause_s(error, TRIES - left)
                is_turned_away = error.code == _UNAVAILABLE and "Retry-After" in error.headers
                may_be_done = once and error.code in UNCLEAR and not is_turned_away
                if wait_s is None or wait_s > MAX_PAUSE_S or may_be_done or not left:
                    later = f"; it asks to try again in {wait_s:.0f} s" if wait_s and wait_s > MAX_PAUSE_S else ""
                    raise ApiFault(f"{method} {_shown(url)}: {error.code} {error.msg}{later}", error.code) from None
            except (OSError, HTTPException, ValueError) as error:
                wait_s = float(TRIES - left)
                if once or not left:
                    raise ApiFault(f"{method} {_shown(url)}: {_reason(error)}") from None
            self.pause(wait_s)
            if is_done is not None and is_done():
                return Reply(None)
        raise AssertionError("the last attempt returns or raises")

    def listed(self, path: str, *, whole: bool = False) -> Iterator[dict[str, Any]]:
        """Yield a list's objects, page after page. Raises ``ApiFault``; if ``whole``, also for an incomplete list."""
        for _ in range(MAX_PAGES):
            reply = self.call("GET", path)
            if isinstance(reply.value, list):
                yield from (one for one in reply.value if isinstance(one, dict))
            elif whole:
                raise ApiFault(f"GET {_shown(path)}: the reply is not a list")
            path = reply.next_url
            if not path:
                return
            if origin_of(path) != origin_of(self.base):
                break
        if whole:
            raise ApiFault(f"the list continues at {_shown(path)}, beyond {MAX_PAGES} pages or at another host")

    def _once(self, method: str, url: str, body: Mapping[str, Any] | None) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "User-Agent": "sightline", **self.headers}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = Request(url, data, headers, method=method)  # noqa: S310  only http and https, checked by the caller
        with Exchange() as exchange:
            exchange.limit(CALL_S)
            opener = build_opener(_NoRedirects, *exchange.handlers())
            try:
                with exchange.on_time(), opener.open(request, timeout=TIMEOUT_S) as reply:
                    text = reply.read(MAX_BYTES)
                    link = _NEXT.search(reply.headers.get("Link") or "")
            except HTTPError as error:
                error.msg = _said(error)
                raise
        return Reply(json.loads(text) if text.strip() else None, link[1] if link else "")


def base_of(address: str, name: str) -> str:
    """Return the ``base`` of an address in the variable ``name``; raises ``InputError``, which quotes no user info."""
    if not origin_of(address) or "@" in address:
        raise InputError(f"{name}: expected an http or https address without user info")
    return address.rstrip("/")


def _pause_s(error: HTTPError, tries: int) -> float | None:
    """Return the wait before the next attempt; None if a retry is pointless.

    The end of the rate limit is in ``X-RateLimit-Reset`` (GitHub) or ``RateLimit-Reset`` (GitLab), in Unix time.
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """
    if error.code not in {403, *_BUSY}:
        return None
    asked_s = read_retry_after(error.headers.get("Retry-After") or "", sent=error.headers.get("Date") or "")
    if asked_s is not None:
        return asked_s
    for prefix in ("X-RateLimit", "RateLimit"):
        reset = (error.headers.get(f"{prefix}-Reset") or "").strip()
        if (error.headers.get(f"{prefix}-Remaining") or "").strip() == "0" and reset.isdecimal():
            return max(float(tries), float(reset) - time.time())
    return float(tries) if error.code in _BUSY else None


def _said(error: HTTPError) -> str:
    """Return the host's reason for a refusal."""
    try:
        read: Any = json.loads(error.read(10_000))
        said = read.get("message") or read.get("error") or "" if isinstance(read, dict) else ""
    except (OSError, ValueError, RecursionError, HTTPException):
        said = ""
    return one_line(str(said) or error.reason or "", limit=200)


def _reason(error: Exception) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    return os_reason(error) if isinstance(error, OSError) else one_line(str(error) or type(error).__name__, limit=200)


def _shown(url: str) -> str:
    return one_line(url.partition("?")[0], limit=200)
