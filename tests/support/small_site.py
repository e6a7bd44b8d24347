"""A loopback site with scripted replies: status, headers and body by path, or a function; and sitemaps for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.hosting import served

Answer = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]
PAGE = {"Content-Type": "text/html; charset=utf-8"}
XMLNS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


class SmallSite:
    """``files`` maps a path to its response; ``bytes`` alone are a page.

    ``asked`` lists the requested paths, ``headers`` the headers of each request. Nothing is answered while ``gate`` is
    cleared.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: SmallSite, *args: object) -> None:
        self._site = site
        super().__init__(*args)  # pyright: ignore[reportArgumentType]  # request, address and server, as the server gives them

    def do_GET(self) -> None:
        self._site.asked.append(self.path)
        self._site.headers.append(dict(self.headers))
        self._site.gate.wait(60)
        answer = self._site.files.get(self.path, (404, PAGE, b"<h1>Not here</h1>"))
        if callable(answer):
            answer(self)
            return
        status, headers, body = (200, PAGE, answer) if isinstance(answer, bytes) else answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing."""


@contextmanager
def small_site() -> Generator[SmallSite]:
    site = SmallSite()
    with served(site.server):
        try:
            yield site
        finally:
            site.gate.set()


def urlset(*addresses: str) -> bytes:
    entries = "".join(f"<url><loc> {one} </loc><priority>1</priority></url>" for one in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {XMLNS}>{entries}</urlset>'.encode()


def sitemap_index(*addresses: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{one}</loc></sitemap>" for one in addresses)
    return f"<sitemapindex {XMLNS}>{entries}</sitemapindex>".encode()
