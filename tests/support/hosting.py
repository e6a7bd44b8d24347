"""Serves the needed parts of GitHub's and GitLab's APIs for comments: real HTTP on loopback, paginated lists."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Refusal = tuple[int, dict[str, str]]


class HostingStub:
    """``comments`` are those of one pull request; ``refuse`` may answer a request instead of the host.

    ``login`` is the token's account; '' stands for a job's token, which may not request its account. ``next_host`` is
    where the next pages of a list seem to be.
    """

    def __init__(self, *, login: str = "") -> None:
        self.comments: list[dict[str, Any]] = []
        self.login = login
        self.per_page = 2
        self.next_host = ""
        self.refuse: Callable[[str, str], Refusal | None] = lambda _method, _path: None
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, body: str, *, login: str = "", kind: str = "User", author: int = 0) -> dict[str, Any]:
        """Add a comment by another account."""
        user = {"login": login or self.login or "github-actions[bot]", "type": kind}
        one = {"id": len(self.comments) + 1, "body": body, "user": user, "author": {"id": author}}
        self.comments.append(one)
        return one


@contextmanager
def hosting_stub(**options: Any) -> Generator[HostingStub]:
    """Serve a stub until the block ends."""
    stub = HostingStub(**options)
    with served(stub.server):
        yield stub


@contextmanager
def served(server: ThreadingHTTPServer) -> Generator[None]:
    """Run a server of the standard library until the block ends."""
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, stub: HostingStub, *args: Any) -> None:
        self._stub = stub
        super().__init__(*args)

    def do_GET(self) -> None:
        stub, parts = self._stub, urlsplit(self.path)
        if self._is_refused(parts.path):
            return
        if parts.path == "/user":
            self._reply(200 if stub.login else 403, {"login": stub.login, "id": 7})
            return
        page = int(parse_qs(parts.query).get("page", ["1"])[0])
        first = (page - 1) * stub.per_page
        following = f"{stub.next_host or stub.url}{parts.path}?page={page + 1}"
        more = {"Link": f'<{stub.url}{parts.path}?page=1>; rel="prev", <{following}>; rel="next"'}
        is_last = first + stub.per_page >= len(stub.comments)
        self._reply(200, stub.comments[first : first + stub.per_page], {} if is_last else more)

    def do_POST(self) -> None:
        if not self._is_refused(self.path):
            one = self._stub.add(self._body(), kind="Bot", author=7)
            self._reply(201, one)

    def do_PATCH(self) -> None:
        if not self._is_refused(self.path):
            one = self._named()
            one["body"] = self._body()
            self._reply(200, one)

    do_PUT = do_PATCH  # noqa: N815  http.server names methods so

    def do_DELETE(self) -> None:
        if not self._is_refused(self.path):
            self._stub.comments.remove(self._named())
            self._reply(204, None)

    def _named(self) -> dict[str, Any]:
        number = int(self.path.rpartition("/")[2])
        return next(one for one in self._stub.comments if one["id"] == number)

    def _body(self) -> str:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

    def _is_refused(self, path: str) -> bool:
        self._stub.asked.append((self.command, path))
        self._stub.tokens.add(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or "")
        refusal = self._stub.refuse(self.command, path)
        if refusal:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._reply(refusal[0], {"message": "Resource not accessible by integration"}, refusal[1])
        return refusal is not None

    def _reply(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Log nothing."""
