"""Sends a snapshot to one Redis that was told to replicate from here: a primary for one transfer.

Serves only a client that knows the token, once. Implements as much of the replication protocol as a full
resynchronisation needs. Source: "Redis replication", ``PSYNC``, ``REPLCONF``; the RESP specification.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import socketserver
import threading
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

REPLICATION_ID: Final = "0123456789abcdef" * 2 + "01234567"
"""40 hex digits; the replica forgets it when it is its own master again."""
_MOST_WORDS: Final = 16
_LONGEST_WORD: Final = 1024


class Offer:
    """Listens on ``host`` while the block runs; the replica's ``masterauth`` must be ``token``.

    ``called`` is set once a client with the token has connected, ``sent`` once it has the whole snapshot, ``failed``
    when it connects a second time, because it could not load it.
    """

    def __init__(self, snapshot: Path, *, host: str, port: int = 0) -> None:
        self.snapshot = snapshot
        self.token = secrets.token_hex(24)
        self.called = threading.Event()
        self.sent = threading.Event()
        self.failed = threading.Event()
        self._server = _Server((host, port), _Replica, self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.close_all()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Replica], offer: Offer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.offer = offer
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if isinstance(request, socket.socket):
            self._open.add(request)
        super().process_request(request, client_address)

    def close_all(self) -> None:
        self.server_close()
        for connection in self._open:
            connection.close()


class _Replica(socketserver.StreamRequestHandler):
    """The conversation with a client that claims to be a replica."""

    def handle(self) -> None:
        offer, is_known = cast("_Server", self.server).offer, False
        try:
            while words := read_command(cast("BinaryIO", self.rfile)):
                name = words[0].upper()
                if name == b"AUTH" and secrets.compare_digest(words[-1], offer.token.encode()):
                    is_known = True
                    offer.called.set()
                    self.wfile.write(b"+OK\r\n")
                elif name == b"PING":
                    self.wfile.write(b"+PONG\r\n")
                elif not is_known:
                    self.wfile.write(b"-NOAUTH Authentication required.\r\n")
                elif name == b"REPLCONF":
                    self._configure(words)
                elif name in {b"PSYNC", b"SYNC"}:
                    self._send(offer, is_partial=name == b"PSYNC")
                else:
                    self.wfile.write(b"-ERR only a snapshot is given here\r\n")
        except (OSError, ValueError):
            return

    def _configure(self, words: list[bytes]) -> None:
        if len(words) > 1 and words[1].upper() != b"ACK":
            self.wfile.write(b"+OK\r\n")

    def _send(self, offer: Offer, *, is_partial: bool) -> None:
        if offer.sent.is_set():
            offer.failed.set()
            self.wfile.write(b"-ERR the snapshot was given already\r\n")
            return
        if is_partial:
            self.wfile.write(f"+FULLRESYNC {REPLICATION_ID} 0\r\n".encode())
        with offer.snapshot.open("rb") as file:
            self.wfile.write(f"${offer.snapshot.stat().st_size}\r\n".encode())
            shutil.copyfileobj(file, self.wfile, 1 << 20)
        offer.sent.set()


def read_command(stream: BinaryIO) -> list[bytes]:
    """Return the next command's words, [] at the end; raises ``ValueError`` for an invalid command."""
    head = stream.readline(_LONGEST_WORD)
    if not head:
        return []
    if not head.startswith(b"*"):
        return head.split() or [b"PING"]
    count = int(head[1:])
    if not 0 < count <= _MOST_WORDS:
        msg = f"a command of {count} words"
        raise ValueError(msg)
    return [_read_word(stream) for _ in range(count)]


def _read_word(stream: BinaryIO) -> bytes:
    size = int(stream.readline(_LONGEST_WORD)[1:])
    if not 0 <= size <= _LONGEST_WORD:
        msg = f"a word of {size} bytes"
        raise ValueError(msg)
    word = stream.read(size + 2)
    if len(word) != size + 2:
        msg = "a word that is cut off"
        raise ValueError(msg)
    return word[:-2]
