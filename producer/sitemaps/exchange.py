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
from ssl import SSLContext
from typing import Any, Self
from urllib.request import HTTPHandler, HTTPSHandler, Request


class Exchange:
    """One request, its redirects and its reply; ``close`` it, or use it as a context manager.

    ``trusted`` verifies servers in place of this machine's authorities.
    """

    def __init__(self, trusted: SSLContext | None = None) -> None:
        self._trusted = trusted
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
        return _Http(self), _Https(self, self._trusted)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _shut_down(self) -> None:
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _watched(kind: type[HTTPConnection], exchange: Exchange, *args: Any, **options: Any) -> HTTPConnection:
    """Return a connection whose socket ``exchange`` watches, before TLS begins on it: a handshake can drip, too."""
    connection: Any = kind(*args, **options)
    connect = connection._create_connection  # noqa: SLF001  http.client has no other way to the socket before TLS

    def connect_watched(*place: Any, **limits: Any) -> socket.socket:
        connected: socket.socket = connect(*place, **limits)
        exchange.watch(connected)
        return connected

    connection._create_connection = connect_watched  # noqa: SLF001
    return connection


class _Http(HTTPHandler):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_watched, HTTPConnection, self._exchange), req)


class _Https(HTTPSHandler):
    def __init__(self, exchange: Exchange, trusted: SSLContext | None) -> None:
        super().__init__()
        self._exchange = exchange
        self._trusted = trusted

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_watched, HTTPSConnection, self._exchange, context=self._trusted), req)
