"""The product's own programs on the test's keys, and a loopback site whose pages can be held back."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from producer.keys import Keys
from tests.support.scan_worker import StartScanWorker, need_browser, start_scan_worker

GUILTY = (
    b"""<!doctype html><html lang="en"><title>Guilty</title><h1>Shop</h1><main><img src="/cup.png"></main></html>"""
)
CLEAN = b"<!doctype html><html lang='en'><title>Clean</title><main><h1>Tea</h1></main></html>"


class Site:
    """A small site. ``hold`` makes every answer wait for ``release``.

    ``log`` lists the paths asked for, ``headers`` what came with each.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, bytes]] = {
            "/guilty": (200, "text/html", GUILTY),
            "/clean": (200, "text/html", CLEAN),
        }
        self.log: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *args: object) -> None:
        self._site = site
        super().__init__(*args)  # pyright: ignore[reportArgumentType]  # request, address and server, as the server gives them

    def do_GET(self) -> None:
        self._site.log.append(self.path)
        self._site.headers.append(dict(self.headers))
        self._site.gate.wait(60)
        status, kind, body = self._site.pages.get(self.path, (404, "text/html", b"<h1>Not here</h1>"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing."""


@pytest.fixture
def site() -> Generator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def start_worker(
    children: list[subprocess.Popen[bytes]], tmp_path: Path, redis_url: str, keys: Keys
) -> StartScanWorker:
    need_browser()
    return partial(start_scan_worker, children, tmp_path / "workers.log", redis_url, keys)
