"""A bounded GET for small files of a site: sitemaps and robots.txt. Blocking, standard library only.

Responses are hostile: they may drip, never end, unpack to a thousand times their size, or redirect elsewhere. A
download has an overall deadline (``exchange.py``) and a limit of unpacked bytes, and follows redirects only within its
site, so that a sitemap cannot direct this machine to another host. A login is sent to its own origin only
(``site_login.py``). Retry-After (429, 503) is honoured within bounds. Proxies come from the environment. Pages
themselves are loaded by the worker's browser.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import time
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from ssl import SSLContext
from typing import IO, Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from producer.contract.addresses import public_url, site_name
from producer.contract.distribution import VERSION
from producer.contract.retry_after import COME_AGAIN, read_retry_after
from producer.errors import PageUnreachable, os_reason
from producer.sitemaps.exchange import Exchange, Refuse
from producer.sitemaps.site_login import SiteLogin

MAX_BYTES: Final = 50 * 1024 * 1024
"""Per file, unpacked; the sitemap protocol's limit."""
DEADLINE_S: Final = 60.0
"""For the body of the response."""
HEAD_S: Final = 20.0
"""For connecting, redirects, interim replies (``100 Continue``) and headers together."""
WAIT_S: Final = 60.0
"""Longest single Retry-After that is honoured."""
WAITS_S: Final = 180.0
"""Total wait for Retry-After in one run."""
SILENCE_S: Final = 15.0
"""Between two chunks, and for connecting."""
AGENT: Final = f"Sightline/{VERSION} (accessibility scanner)"
_GZIP: Final = b"\x1f\x8b"
_LEAST_WAIT_S: Final = 0.5
_UNAUTHORISED: Final = 401
_PACKED_TWICE: Final = 2
"""A ``.gz`` file may also be sent with ``Content-Encoding: gzip``."""


class Body(io.RawIOBase):
    """The unpacked file, readable once; ``url`` is its address after redirects.

    ``content_type`` and ``charset`` are from the headers, by default ``text/plain`` and ``utf-8``.

    ``read`` raises ``PageUnreachable`` when the response stalls or is too long.
    """

    def __init__(self, response: HTTPResponse, exchange: Exchange) -> None:
        self.url = response.url
        self.content_type = response.headers.get_content_type()
        self.charset = _known_charset(response.headers.get_content_charset())
        self._left = MAX_BYTES
        stream: Any = _Pieces(response, exchange)
        for _ in range(_PACKED_TWICE):
            buffered = io.BufferedReader(stream)
            if not buffered.peek(2).startswith(_GZIP):
                stream = buffered
                break
            stream = gzip.GzipFile(fileobj=buffered, mode="rb")
        self._stream = cast("IO[bytes]", stream)

    def readable(self) -> bool:
        """Return True: the body is readable."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy at most one chunk into ``buffer``."""
        with unreachable(self.url):
            data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            msg = f"{self.url!r} has more than {MAX_BYTES // 2**20} MB: split it, and list the parts in a sitemap index"
            raise PageUnreachable(msg)
        buffer[: len(data)] = data
        return len(data)


class _Pieces(io.RawIOBase):
    """A response read in chunks, with a check of the deadline between them."""

    def __init__(self, response: HTTPResponse, exchange: Exchange) -> None:
        self._response = response
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._exchange.on_time():
            data = self._response.read1(len(buffer))
        if not data and self._response.length:
            msg = f"it ended {self._response.length} bytes early"
            raise EOFError(msg)
        buffer[: len(data)] = data
        return len(data)


@dataclass(slots=True)
class Downloads:
    """The downloads of one run, with their login and the total time spent on Retry-After.

    ``on_wait`` receives a message before each wait. ``trusted`` replaces this machine's certificate authorities.
    ``refuse`` is called for each address before connecting; then no proxy is used, since it would connect instead.
    """

    login: SiteLogin = field(default_factory=SiteLogin)
    on_wait: Callable[[str], None] | None = None
    trusted: SSLContext | None = None
    refuse: Refuse | None = None
    _waited_s: float = 0.0

    @contextlib.contextmanager
    def open(self, url: str, *, body_s: float | None = None) -> Generator[Body]:
        """Request ``url`` and yield its body, to be read within ``body_s`` (``DEADLINE_S``).

        Raises ``PageUnreachable`` with the address and the reason.
        """
        with Exchange(self.trusted, self.refuse) as exchange, unreachable(url):
            response = self._ask(url, exchange)
            exchange.limit(body_s or DEADLINE_S)
            with response:
                yield Body(response, exchange)

    def _ask(self, url: str, exchange: Exchange) -> HTTPResponse:
        """Return the response, after honouring a short enough Retry-After."""
        opener = OpenerDirector()
        proxies = ProxyHandler() if self.refuse is None else ProxyHandler({})
        handlers = (proxies, *exchange.handlers(), HTTPDefaultErrorHandler(), HTTPErrorProcessor())
        for handler in (*handlers, _OwnSite(self.login)):
            opener.add_handler(handler)
        while True:
            request = Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"})  # noqa: S310  http or https only
            _log_in(request, self.login)
            exchange.limit(HEAD_S)
            try:
                with exchange.on_time():
                    return cast("HTTPResponse", opener.open(request, timeout=min(SILENCE_S, HEAD_S)))
            except HTTPError as error:
                asked_s = _retry_after_s(error)
                if asked_s is None or asked_s > WAIT_S:
                    raise
                wait_s = max(asked_s, _LEAST_WAIT_S)
                if self._waited_s + wait_s > WAITS_S:
                    raise
                error.close()
            if self.on_wait:
                self.on_wait(f"{url!r} asks to wait {wait_s:g} s")
            self._waited_s += wait_s
            time.sleep(wait_s)


def _known_charset(name: str | None) -> str:
    """Return the name of a text encoding; UTF-8 for an unknown one."""
    try:
        b"".decode(name or "utf-8")
    except (LookupError, ValueError):
        return "utf-8"
    return name or "utf-8"


def _log_in(request: Request, login: SiteLogin) -> None:
    """Add the login's headers so that redirects do not forward them."""
    for name, value in login.headers_for(request.full_url).items():
        request.add_unredirected_header(name, value)


def _retry_after_s(error: HTTPError) -> float | None:
    """Return the seconds until Retry-After; None if the response has none."""
    if error.code not in COME_AGAIN:
        return None
    return read_retry_after(error.headers.get("Retry-After") or "", sent=error.headers.get("Date") or "")


class _OwnSite(HTTPRedirectHandler):
    """Follows redirects from http to https and to or from ``www.``, and no others."""

    max_redirections = 5

    def __init__(self, login: SiteLogin) -> None:
        self._login = login

    def redirect_request(  # noqa: PLR0917  as in the base class
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Return the next request; raises ``PageUnreachable`` for one to another site."""
        newurl = public_url(newurl)
        if site_name(newurl) != site_name(req.full_url) or not newurl.startswith(("http://", "https://")):
            text = f"{req.full_url!r} redirects to another site, {newurl[:300]!r}: give that address, if you trust it"
            raise PageUnreachable(text)
        fp.close()  # else urllib reads its body, which may be endless, into memory
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            _log_in(following, self._login)
        return following


@contextlib.contextmanager
def unreachable(url: str) -> Generator[None]:
    """Translate every failure of a download into ``PageUnreachable``."""
    try:
        yield
    except HTTPError as error:
        error.close()
        msg = f"{url!r} answers {error.code} {error.reason}".rstrip()
        if said := _retry_after_s(error):
            msg += f" and asks to wait {said:,.0f} s: too long for one run"
        if error.code == _UNAUTHORISED:
            msg += ": give a login with --header-file or --cookie-file, or as http://user:password@… in the address"
        raise PageUnreachable(msg, http_status=error.code) from None
    except (URLError, HTTPException, OSError, UnicodeError, EOFError, zlib.error) as error:
        reason: object = getattr(error, "reason", "") or error
        said = os_reason(reason) if isinstance(reason, OSError) else " ".join(str(reason).split())
        raise PageUnreachable(f"{url!r} could not be loaded: {said[:200] or type(error).__name__}") from None
