"""The only way out of a scan: an HTTP proxy that checks each address and connects to the address it checked.

One listener per scan, on loopback, so that refusals and received bytes belong to that scan. A name is resolved once per
scan, which defeats DNS rebinding. Supports HTTP and CONNECT (which carries HTTPS and WebSockets); every HTTP exchange
ends its connection, so that no request can follow another to the wrong host. A page given as HTML is also served here,
at ``INLINE_HOST``. The rules are in ``guard.py``, the transfer in ``relay.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self
from urllib.parse import urlsplit

from producer.contract.hosts import fits_host
from worker.scan import tls
from worker.scan.guard import Guard, Refusal, is_localhost
from worker.scan.relay import (
    MAX_HEAD_BYTES,
    HeadError,
    Request,
    answer,
    forward_response,
    read_request,
    relay_both_ways,
    reset,
)

INLINE_HOST: Final = "inline.invalid"
"""Reserved by RFC 2606, so that no name server resolves it."""
RESOLVE_LIMIT_S: Final = 10.0
_MOST_LOOKUPS: Final = 32
"""Concurrent look-ups of one scan: as many connections as Chromium opens to a proxy."""
_LOOKUPS: Final = ThreadPoolExecutor(4 * _MOST_LOOKUPS, thread_name_prefix="resolve")
"""Threads for look-ups, which block them even after their time limit. In the loop's own few threads, a page whose names
nobody resolves would let all other scans wait."""
CONNECT_LIMIT_S: Final = 10.0

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the proxy opened no connection: ``refusal`` by the guard; ``is_down`` if no server listens."""

    reason: str
    refusal: Refusal | None = None
    is_down: bool = False


class _Unavailable(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the host's addresses by the system's resolver; raises ``OSError`` if there are none.

    As in browsers, a name under ``localhost`` is this machine, whatever the resolver says.
    """
    loop = asyncio.get_running_loop()
    name = "localhost" if is_localhost(host) else host
    look_up = partial(socket.getaddrinfo, name, port, proto=socket.IPPROTO_TCP)
    try:
        found = await loop.run_in_executor(_LOOKUPS, look_up)
    except UnicodeError:  # Python's, for a part of over 63 characters, or of none
        raise OSError("it is not a valid host name") from None
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class ScanProxy:
    """The proxy of one scan; use it as an async context manager.

    ``faults`` holds the last fault by host and port. A request with a fault gets no answer, so it fails in the browser.
    """

    def __init__(
        self,
        guard: Guard,
        resolve: Resolver = resolve_host,
        *,
        max_bytes: int,
        inline_html: str | None = None,
        blocked_hosts: Sequence[str] = (),
        ca: str = "",
    ) -> None:
        self._guard = guard
        self._resolve = resolve
        self._max_bytes = max_bytes
        self._blocked_hosts = tuple(blocked_hosts)
        self._ca = ca
        self._trusted: ssl.SSLContext | None = None
        self._inline = None if inline_html is None else inline_html.encode()
        self._server: asyncio.Server | None = None
        self._exchanges: set[asyncio.Task[None]] = set()
        self._addresses: dict[tuple[str, int], asyncio.Task[Sequence[str]]] = {}
        self._lookups = asyncio.Semaphore(_MOST_LOOKUPS)
        self.faults: dict[tuple[str, int], Fault] = {}
        self._refused: dict[Refusal, None] = {}
        self.received_bytes = 0

    async def __aenter__(self) -> Self:
        if self._ca:
            self._trusted = await asyncio.to_thread(tls.set_up, self._ca)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101  set on entry
        self._server.close()
        open_tasks: list[asyncio.Task[Any]] = [*self._exchanges, *self._addresses.values()]
        for task in open_tasks:
            task.cancel()
        await asyncio.gather(*open_tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Port of the listener on 127.0.0.1."""
        assert self._server is not None  # noqa: S101  set on entry
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def refusals(self) -> list[Refusal]:
        """Everything that the guard refused, once each."""
        return list(self._refused)

    @property
    def is_over_budget(self) -> bool:
        """Whether the scan's limit of received bytes is exceeded; then nothing more is passed on."""
        return self.received_bytes > self._max_bytes

    def addresses_of(self, host: str, port: int) -> Sequence[str]:
        """Return the host's addresses as resolved in this scan; none if it was not requested."""
        found = self._addresses.get((host, port))
        is_known = found is not None and found.done() and not found.cancelled() and found.exception() is None
        return found.result() if found is not None and is_known else ()

    def _count(self, size: int) -> bool:
        self.received_bytes += size
        return not self.is_over_budget

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  the server runs this in a task
        self._exchanges.add(task)
        try:
            await self._exchange(reader, writer)
        except (OSError, asyncio.CancelledError):
            reset(writer)
        except (HeadError, asyncio.IncompleteReadError):
            pass  # no part of an answer has been passed on: an orderly end shows an empty answer
        finally:
            self._exchanges.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        try:
            if self._inline is not None and request.host == INLINE_HOST:
                await answer(writer, 200, self._inline, content_type="text/html; charset=utf-8")
                return
            upstream = await self._connect(request)
        except _Unavailable as unavailable:
            self._record(request, unavailable.fault)
            # Not an HTTP answer, which would be shown and audited as if it were the page.
            if request.method == "CONNECT":
                await answer(writer, 403 if unavailable.fault.refusal else 502, b"")
            return
        await self._relay(request, (reader, writer), upstream)

    async def _relay(self, request: Request, client: Streams, upstream: Streams) -> None:
        try:
            if request.method == "CONNECT":
                client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await self._relay_tunnel(request.host, client, upstream)
            else:
                await forward_response(request, client, upstream, self._count)
        except ssl.SSLError as error:
            self._record(request, Fault(tls.explain(request.host, error)))
            raise
        except HeadError as error:
            self._record(request, Fault(f"the answer from {request.host!r} cannot be read: {error}"))
            raise
        finally:
            upstream[1].transport.abort()

    async def _relay_tunnel(self, host: str, client: Streams, upstream: Streams) -> None:
        if self._trusted is None:
            await relay_both_ways(client, upstream, self._count)
        else:
            await tls.relay_verified(host, client, upstream, self._count, trusted=self._trusted)

    async def _connect(self, request: Request) -> Streams:
        """Return a connection to a checked address; every address of the name must be allowed."""
        if fits_host(request.host, self._blocked_hosts):
            raise _Unavailable(Fault(f"the request blocks {request.host!r}"))
        if self.is_over_budget:
            raise _Unavailable(Fault(f"the scan has already received its limit of {self._max_bytes} bytes"))
        addresses = await self._resolve_once(request.host, request.port)
        for address in addresses:
            refusal = self._guard.refuse(request.host, request.port, address)
            if refusal is not None:
                raise _Unavailable(Fault(refusal.describe(), refusal))
        return await _open_first(addresses, request)

    async def _resolve_once(self, host: str, port: int) -> Sequence[str]:
        key = (host, port)
        if key not in self._addresses:
            self._addresses[key] = asyncio.create_task(self._look_up(host, port))
        try:
            return await asyncio.shield(self._addresses[key])
        except TimeoutError:
            raise _Unavailable(Fault(f"the name {host!r} was not resolved within {RESOLVE_LIMIT_S:.0f} s")) from None
        except OSError as error:
            raise _Unavailable(Fault(f"the name {host!r} does not resolve: {error.strerror or error}")) from None

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        async with self._lookups, asyncio.timeout(RESOLVE_LIMIT_S):
            found = await self._resolve(host, port)
        if not found:
            msg = "no address"
            raise OSError(msg)
        return found

    def _record(self, request: Request, fault: Fault) -> None:
        self.faults[request.host, request.port] = fault
        if fault.refusal is not None:
            self._refused[fault.refusal] = None


def origin_of(url: str) -> tuple[str, int]:
    """Return host and port of an http or https URL, the keys of the proxy's ``faults``; no host for others."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # such as one cut in the middle of its port
        return ("", 0)
    return ((parts.hostname or "").rstrip("."), port or (443 if parts.scheme in {"https", "wss"} else 80))


async def _open_first(addresses: Sequence[str], request: Request) -> Streams:
    """Connect to the first address that answers; a slow one costs only its share of the limit."""
    last, is_down = "no address", True
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S / len(addresses)):
                return await asyncio.open_connection(address, request.port, limit=MAX_HEAD_BYTES)
        except TimeoutError:
            last, is_down = f"{address} port {request.port} did not answer in time", False
        except OSError as error:
            last = f"{address} port {request.port}: {_plain(error)}"
            is_down = is_down and isinstance(error, ConnectionRefusedError)
    raise _Unavailable(Fault(f"{request.host!r} cannot be reached: {last}", is_down=is_down))


def _plain(error: OSError) -> str:
    return "connection refused" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error))
