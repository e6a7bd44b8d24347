"""A web server on loopback for tests, in a separate thread. It serves files, and replies that write raw bytes.

Every request is recorded in ``requests``, so that a test can check what arrived.
"""

from __future__ import annotations

import asyncio
import mimetypes
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PAGES = Path(__file__).parent / "pages"
VOUCHED = Path(__file__).parent / "tls" / "vouched.pem"
"""The certificate of a server on 127.0.0.1 and localhost that ``AUTHORITY`` vouches for."""
AUTHORITY = Path(__file__).parent / "tls" / "authority.pem"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


Reply = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def reply(
    body: str | bytes,
    *,
    status: str = "200 OK",
    content_type: str = "text/html; charset=utf-8",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a complete response."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head + content)
        await writer.drain()

    return answer


def redirect(target: str, status: str = "302 Found") -> Reply:
    return reply("", status=status, headers={"Location": target})


class Site:
    """Serves ``folder`` and the replies added; a context manager."""

    def __init__(self, folder: Path = PAGES.parent, *, tls: bool | Path = False) -> None:
        """Serve over TLS with the certificate in the file ``tls``; True means an untrusted one."""
        self._folder = folder
        self._tls = tls
        self._replies: dict[str, Reply] = {"/pixel.png": reply(PIXEL, content_type="image/png")}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="site", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def add(self, path: str, answer: Reply | str) -> str:
        """Serve ``answer`` or HTML at ``path``; return its address."""
        self._replies[path] = reply(answer) if isinstance(answer, str) else answer
        return self.url(path)

    def seen(self, path: str) -> list[Request]:
        return [request for request in list(self.requests) if request.path == path]

    async def _start(self) -> None:
        context = None
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(PAGES / "self_signed.pem" if self._tls is True else self._tls)
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", 0, ssl=context)  # noqa: S104  127.0.0.x, all

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            request = _read(await reader.readuntil(b"\r\n\r\n"))
            self.requests.append(request)
            await self._answer(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        found = self._replies.get(request.path)
        file = (self._folder / request.path.lstrip("/")).resolve()
        if found is None and file.is_file() and file.is_relative_to(self._folder.resolve()):
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            found = reply(await asyncio.to_thread(file.read_bytes), content_type=kind)
        await (found or reply("<title>Missing</title>", status="404 Not Found"))(request, writer)


def _read(head: bytes) -> Request:
    line, *headers = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = line.split(" ")
    pairs = (header.partition(":") for header in headers)
    return Request(method, target, {name.strip().lower(): value.strip() for name, _, value in pairs})
