"""Relays bytes between the browser and a server: reads and rewrites heads, passes bodies on. Makes no decisions.

Implements what a forward proxy needs of HTTP/1.1 (RFC 9112): hop-by-hop headers are removed, and both sides are asked
to close after one exchange. A reset by the server becomes a reset for the browser, so that a truncated page is
recognised.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlsplit

MAX_HEAD_BYTES: Final = 2**18
"""Cookies and policies of large sites take tens of kilobytes; servers refuse more than this."""
_CHUNK_BYTES: Final = 2**16
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"upgrade",
    }
)
_INTERIM: Final = range(100, 200)
_MOST_INTERIM: Final = 20
"""Servers send one or two; endless ones would keep the browser's network process busy for all pages."""
_SPENT: Final = "the byte budget is used up"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Source(Protocol):
    """A source of bytes."""

    async def read(self, n: int, /) -> bytes:
        """Return received bytes, none at the end."""
        ...


class Sink(Protocol):
    """A sink of bytes."""

    def write(self, data: bytes, /) -> None:
        """Send ``data``."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...


Counter = Callable[[int], bool]
"""Called with each piece received from a server; a false return value ends the exchange."""


class HeadError(Exception):
    """A head that is not HTTP/1, or is too long."""


@dataclass(frozen=True, slots=True)
class Request:
    """Head of a proxy request; ``head`` is sent to the server, empty for CONNECT."""

    method: str
    host: str
    port: int
    head: bytes


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Return the next request; raises ``HeadError`` for anything that no browser sends to a proxy."""
    line, headers = await _read_head(reader)
    try:
        method, target, _ = line.decode("ascii").split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise HeadError(str(error)) from None
    if not host or parts.scheme not in {"", "http"} or (parts.scheme == "" and method != "CONNECT"):
        raise HeadError(f"not a proxy request: {line[:80]!r}")
    if method == "CONNECT":
        return Request(method, host, port or 443, b"")
    path = (parts.path or "/") + (f"?{parts.query}" if "?" in target else "")
    head = b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *headers, b"Connection: close", b"", b""])
    return Request(method, host, port or 80, head)


async def answer(writer: asyncio.StreamWriter, status: int, body: bytes, *, content_type: str = "text/plain") -> None:
    """Answer the browser instead of a server."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection: an orderly end would make half a page look complete. Safe on a closed one."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def forward_response(request: Request, client: Streams, upstream: Streams, count: Counter) -> None:
    """Pass on the request, and the response back, until the server closes or ``count`` returns false."""
    upstream[1].write(request.head)
    await upstream[1].drain()
    sending = asyncio.create_task(_pump(client[0], upstream[1], lambda _: True))
    try:
        await _forward_head(upstream[0], client[1], count)
        await _pump(upstream[0], client[1], count)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def relay_both_ways(client: tuple[Source, Sink], upstream: Streams, count: Counter) -> None:
    """Pass bytes until either side ends; a half closed by the browser also ends the tunnel."""
    up = asyncio.create_task(_pump(client[0], upstream[1], lambda _: True))
    down = asyncio.create_task(_pump(upstream[0], client[1], count))
    try:
        done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _forward_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Counter) -> None:
    """Pass on the head of the final response; browsers do not wait for interim ones (RFC 9110, 15.2)."""
    for _ in range(_MOST_INTERIM + 1):
        line, headers = await _read_head(reader)
        if not count(len(line) + sum(map(len, headers))):
            raise ConnectionAbortedError(_SPENT)
        if _status(line) not in _INTERIM:
            writer.write(b"\r\n".join([line, *headers, b"Connection: close", b"", b""]))
            return
    raise HeadError(f"more than {_MOST_INTERIM} interim responses, such as 100 Continue, and no answer")


async def _pump(reader: Source, writer: Sink, count: Counter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        if not count(len(chunk)):
            raise ConnectionAbortedError(_SPENT)
        writer.write(chunk)
        await writer.drain()


async def _read_head(reader: asyncio.StreamReader) -> tuple[bytes, list[bytes]]:
    """Return the first line and the headers to pass on."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise HeadError(f"a head of more than {MAX_HEAD_BYTES} bytes") from None
    line, *headers = head[:-4].split(b"\r\n")
    return line, [header for header in headers if header.partition(b":")[0].strip().lower() not in _HOP_BY_HOP]


def _status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():  # noqa: PLR2004  version, code
        raise HeadError(f"not an HTTP/1 response: {line[:80]!r}")
    return int(parts[1])
