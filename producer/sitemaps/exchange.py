"""Connections for urllib that end at a deadline, whatever the server does: drip a header, or say ``100 Continue``.

A socket's timeout is for one piece, and http.client reads status lines and headers for as long as they come. So a timer
shuts the socket down; who reads then finds its end, and asks ``check`` why.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Self
from urllib.request import HTTPHandler, HTTPSHandler, Request


class Exchange:
    """One request, its redirects and its reply; ``close`` it, or use it as a context manager."""

    def __init__(self) -> None:
        self._ends_s = float("inf")
        self._limit_s = float("inf")
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def limit(self, limit_s: float) -> None:
        """Have all sockets end ``limit_s`` from now, in place of any limit before."""
        self._cancel()
        self._limit_s, self._ends_s = limit_s, time.monotonic() + limit_s
        self._timer = threading.Timer(limit_s, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def check(self) -> None:
        """Raise ``TimeoutError`` where the deadline has passed."""
        if time.monotonic() >= self._ends_s:
            raise TimeoutError(f"it has not come whole within {self._limit_s:g} s")

    def watch(self, connected: socket.socket) -> None:
        """Have ``connected`` end with the rest; TLS on top of it ends, too."""
        self._sockets.append(connected.dup())  # TLS takes the descriptor away from the socket
        if time.monotonic() >= self._ends_s:
            self._shut_down()

    def close(self) -> None:
        """Stop the timer and forget the sockets; safe to call twice."""
        self._cancel()
        while self._sockets:
            self._sockets.pop().close()

    def handlers(self) -> tuple[HTTPHandler, HTTPSHandler]:
        """Return the handlers of an opener whose connections are watched."""
        return _Http(self), _Https(self)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _shut_down(self) -> None:
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _WatchedHttp(HTTPConnection):
    def __init__(self, *args: Any, exchange: Exchange, **options: Any) -> None:
        super().__init__(*args, **options)
        self._exchange = exchange

    def connect(self) -> None:
        super().connect()
        self._exchange.watch(self.sock)


class _WatchedHttps(HTTPSConnection, _WatchedHttp):
    """In this order ``connect`` watches the socket before TLS begins on it: a handshake can drip as well."""


class _Http(HTTPHandler):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_WatchedHttp, exchange=self._exchange), req)  # pyright: ignore[reportArgumentType]  # typed as the class itself


class _Https(HTTPSHandler):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_WatchedHttps, exchange=self._exchange), req)  # pyright: ignore[reportArgumentType, reportCallIssue]  # as above
