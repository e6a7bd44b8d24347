"""TLS of a scan with its own certificate authority (``ca``), terminated in the scan's proxy and begun again there.

Chromium cannot trust an authority for a single page. So the page accepts any certificate, and the only one it gets is
shipped with Sightline and used on loopback. The proxy begins TLS with the server itself: each connection of the page is
verified against this machine's authorities and the request's, including names, before any byte of the page is sent.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from producer.contract.certificates import trusting
from worker.scan.relay import Counter, Streams, relay_both_ways

HANDSHAKE_LIMIT_S: Final = 10.0
_CHUNK_BYTES: Final = 2**16
_HANDSHAKE: Final = b"\x16"
"""First byte of TLS."""
_HTTP: Final = ["http/1.1"]
"""The only protocol that the proxy reads."""

T = TypeVar("T")


async def relay_verified(
    host: str, client: Streams, upstream: Streams, count: Counter, *, trusted: ssl.SSLContext
) -> None:
    """Pass a tunnel's bytes both ways once the server at its end is verified as ``host``.

    A tunnel that does not begin with TLS, such as a WebSocket's, is passed on unchanged. Raises ``ssl.SSLError`` for a
    server that ``trusted`` does not accept.
    """
    first = await client[0].read(_CHUNK_BYTES)
    if not first.startswith(_HANDSHAKE):
        upstream[1].write(first)
        await relay_both_ways(client, upstream, count)
        return
    await upstream[1].start_tls(trusted, server_hostname=host, ssl_handshake_timeout=HANDSHAKE_LIMIT_S)
    inner = _BrowsersEnd(client, first)
    await inner.shake_hands()
    await relay_both_ways((inner, inner), upstream, count)
    inner.end()


def explain(host: str, error: ssl.SSLError) -> str:
    """Return why ``host`` has no TLS connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host!r} is not valid, even with the given authority: {error.verify_message}"
    return f"{host!r} does not speak TLS that can be verified: {error.reason or error}"


class _BrowsersEnd:
    """The decrypted browser end of a tunnel: a reader and a writer with the methods that ``relay.py`` uses."""

    def __init__(self, client: Streams, first: bytes) -> None:
        self._reader, self._writer = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(first)
        self._tls = _on_loopback().wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """Begin TLS."""
        await self._call(self._tls.do_handshake)

    async def read(self, size: int) -> bytes:
        """Return received bytes, none at the end."""
        try:
            return await self._call(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        self._tls.write(data)
        self._send()

    async def drain(self) -> None:
        """Wait until the browser has received the data sent."""
        await self._writer.drain()

    def end(self) -> None:
        """Signal the end of data; a truncated transfer ends without it."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    async def _call(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._send()
                if data := await self._reader.read(_CHUNK_BYTES):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                self._send()

    def _send(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)


def set_up(certificates: str) -> ssl.SSLContext:
    """Return a context that trusts this machine's authorities and ``certificates``. Reads files."""
    context = trusting(certificates)
    context.set_alpn_protocols(_HTTP)
    return context


@cache
def _on_loopback() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "loopback.pem")
    context.set_alpn_protocols(_HTTP)
    return context
