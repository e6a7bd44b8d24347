"""Connections for urllib with a hard deadline, even if the server drips headers or repeats ``100 Continue``.

A socket's timeout applies to each chunk, and http.client reads status lines and headers for as long as they arrive. So
a timer shuts the socket down; the reader then finds the end of the stream and calls ``check`` for the reason.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext
from typing import Any, Self, TypeAlias
from urllib.error import HTTPError
from urllib.request import HTTPHandler, HTTPSHandler, Request

Refuse: TypeAlias = Callable[[str, int, str], str | None]
"""Returns why a connection to a host's port at an address is forbidden; None if it is allowed."""


class Exchange:
    """A request with its redirects and response. Use as a context manager, or call ``close``.

    ``trusted`` replaces this machine's certificate authorities. ``refuse`` is called for each address before
    connecting; by default all are allowed.
    """

    def __init__(self, trusted: SSLContext | None = None, refuse: Refuse | None = None) -> None:
        self._trusted = trusted
        self.refuse = refuse
        self._ends_s = float("inf")
        self._limit_s = float("inf")
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def limit(self, limit_s: float) -> None:
        """Set the deadline to ``limit_s`` from now, replacing the previous one."""
        self._cancel()
        self._limit_s, self._ends_s = limit_s, time.monotonic() + limit_s
        self._timer = threading.Timer(limit_s, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, more than 0."""
        return max(0.001, self._ends_s - time.monotonic())

    def check(self) -> None:
        """Raise ``TimeoutError`` if the deadline has passed."""
        if time.monotonic() >= self._ends_s:
            raise TimeoutError(f"it was not complete within {self._limit_s:g} s")

    @contextlib.contextmanager
    def on_time(self) -> Generator[None]:
        """Raise ``TimeoutError`` if the deadline ended the block's read or has passed."""
        try:
            yield
        except (HTTPException, OSError) as error:
            if not isinstance(error, HTTPError):
                self.check()
            raise
        self.check()

    def watch(self, connected: socket.socket) -> None:
        """Shut ``connected`` down at the deadline, including TLS on top of it."""
        self._sockets.append(connected.dup())  # TLS detaches the socket's descriptor
        if time.monotonic() >= self._ends_s:
            self._shut_down()

    def close(self) -> None:
        """Stop the timer and release the sockets. Safe to call twice."""
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
    """Return a connection that ``exchange`` watches already during the TLS handshake, which can also drip."""
    connection: Any = kind(*args, **options)
    connect = connection._create_connection  # noqa: SLF001  http.client has no other way to the socket before TLS
    connection._create_connection = partial(_connected, exchange, connect)  # noqa: SLF001
    return connection


def _connected(
    exchange: Exchange, connect: Callable[..., socket.socket], place: tuple[str, int], limit_s: float, *args: Any
) -> socket.socket:
    """Connect to the first address of a host that is not refused and answers in time; its name is resolved once."""
    host, port = place
    why: OSError = OSError("its host has no address")
    for *_, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = str(found[0])
        exchange.check()  # a host may have any number of addresses that do not answer
        if exchange.refuse is not None and (refused := exchange.refuse(host, port, address)):
            why = OSError(refused)
            continue
        try:
            connected = connect((address, port), min(limit_s, exchange.left_s), *args)
        except OSError as error:
            why = error
        else:
            exchange.watch(connected)
            return connected
    raise why


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
