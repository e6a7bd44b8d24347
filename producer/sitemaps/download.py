"""One bounded GET for small files of a site: sitemaps and robots.txt. Blocking, standard library only.

What comes is hostile: it may drip, never end, unpack to a thousand times its size, or send elsewhere. A download has a
deadline and a limit of unpacked bytes, and follows redirects within its own site alone, so that a sitemap cannot make
this machine ask another one. Proxies come from the environment, as everywhere. Pages are
loaded by the worker's browser.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import time
import zlib
from collections.abc import Generator
from http.client import HTTPException, HTTPResponse
from importlib.metadata import version
from typing import IO, Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from producer.contract.addresses import site_name
from producer.errors import PageUnreachable, os_reason

MAX_BYTES: Final = 50 * 1024 * 1024
"""Of one file, unpacked: what the sitemap protocol allows."""
DEADLINE_S: Final = 60.0
SILENCE_S: Final = 15.0
"""Between two pieces, and for connecting."""
AGENT: Final = f"Sightline/{version('sightline')} (accessibility scanner)"
_GZIP: Final = b"\x1f\x8b"
_PACKED_TWICE: Final = 2
"""A ``.gz`` file may be sent with ``Content-Encoding: gzip`` on top."""


class Body(io.RawIOBase):
    """The unpacked file, to be read once from its beginning; ``url`` is where it was found.

    ``read`` raises ``PageUnreachable`` when it stops coming, and when there is too much of it.
    """

    def __init__(self, response: HTTPResponse, *, deadline: float) -> None:
        self.url = response.url
        self._left = MAX_BYTES
        stream: Any = _Pieces(response, deadline=deadline)
        for _ in range(_PACKED_TWICE):
            buffered = io.BufferedReader(stream)
            if not buffered.peek(2).startswith(_GZIP):
                stream = buffered
                break
            stream = gzip.GzipFile(fileobj=buffered, mode="rb")
        self._stream = cast("IO[bytes]", stream)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as one piece goes."""
        with unreachable(self.url):
            data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            msg = f"{self.url!r} has more than {MAX_BYTES // 2**20} MB: split it, and list the parts in a sitemap index"
            raise PageUnreachable(msg)
        buffer[: len(data)] = data
        return len(data)


class _Pieces(io.RawIOBase):
    """A response as it comes in, so that the deadline is looked at between any two pieces."""

    def __init__(self, response: HTTPResponse, *, deadline: float) -> None:
        self._response = response
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if time.monotonic() > self._deadline:
            msg = f"it has not come whole within {DEADLINE_S:g} s"
            raise TimeoutError(msg)
        data = self._response.read1(len(buffer))
        if not data and self._response.length:
            msg = f"it broke off {self._response.length} bytes before its end"
            raise EOFError(msg)
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def download(url: str) -> Generator[Body]:
    """Ask for ``url`` and give its body; raises ``PageUnreachable``, naming the address and what came instead."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPDefaultErrorHandler,
        HTTPErrorProcessor,
        _OwnSite,
    ):
        opener.add_handler(handler())
    request = Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"})  # noqa: S310  http or https only
    with unreachable(url):
        response = cast("HTTPResponse", opener.open(request, timeout=SILENCE_S))
    with response, unreachable(url):
        yield Body(response, deadline=time.monotonic() + DEADLINE_S)


class _OwnSite(HTTPRedirectHandler):
    """Follows redirects from http to https and to or from ``www.``, and no others."""

    max_redirections = 5

    def redirect_request(  # noqa: PLR0917  as the base class has it
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Return the next request; raises ``PageUnreachable`` for one to another site."""
        if site_name(newurl) != site_name(req.full_url) or not newurl.startswith(("http://", "https://")):
            text = f"{req.full_url!r} leads to another site, {newurl[:300]!r}: give that address, if you trust it"
            raise PageUnreachable(text)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def unreachable(url: str) -> Generator[None]:
    """Raise ``PageUnreachable`` for whatever goes wrong on the way."""
    try:
        yield
    except HTTPError as error:
        error.close()
        msg = f"{url!r} answers {error.code} {error.reason}".rstrip()
        raise PageUnreachable(msg, http_status=error.code) from None
    except (URLError, HTTPException, OSError, EOFError, zlib.error) as error:
        reason: object = getattr(error, "reason", "") or error
        said = os_reason(reason) if isinstance(reason, OSError) else " ".join(str(reason).split())
        raise PageUnreachable(f"{url!r} could not be loaded: {said[:200] or type(error).__name__}") from None
