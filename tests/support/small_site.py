"""A loopback site whose answers a test writes down: status, headers and body by path, or what to do instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]


class SmallSite:
    """``files`` maps a path to its answer; a plain ``bytes`` is a file. ``asked`` lists the paths asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: SmallSite, *args: object) -> None:
        self._site = site
        super().__init__(*args)  # pyright: ignore[reportArgumentType]  # request, address and server, as the server gives them

    def do_GET(self) -> None:
        self._site.asked.append(self.path)
        answer = self._site.files.get(self.path, (404, {}, b"not here"))
        if callable(answer):
            answer(self)
            return
        status, headers, body = (200, {}, answer) if isinstance(answer, bytes) else answer
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
    thread = threading.Thread(target=partial(site.server.serve_forever, 0.01), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
        thread.join()
