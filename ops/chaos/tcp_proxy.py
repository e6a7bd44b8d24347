"""A TCP proxy on loopback between workers and Redis that can be slow, and can reset every connection at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Final, Self

CHUNK_BYTES: Final = 65_536


class TcpProxy:
    """Forwards new connections to ``target_port``; ``delay_s`` is the delay of each chunk."""

    def __init__(self, target_port: int) -> None:
        self.delay_s = 0.0
        self.target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def port(self) -> int:
        """The port on which it listens, on 127.0.0.1."""
        assert self._server is not None  # noqa: S101  it is entered before it is used
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> list[asyncio.StreamWriter]:
        """Both ends of each connection, for ``cut``, in the order of opening."""
        return list(self._open)

    def reset(self) -> int:
        """Drop every connection; return how many ends there were."""
        for writer in (held := self.connections):
            self.cut(writer)
        return len(held)

    def cut(self, writer: asyncio.StreamWriter) -> None:
        """Drop one connection as a firewall does, with RST."""
        with contextlib.suppress(OSError):
            made: socket.socket = writer.get_extra_info("socket")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a callback of the server runs in a task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer: None, far_writer: None}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, far_writer))
                both.create_task(self._pass_on(far_reader, writer))
        except* OSError:
            pass
        except* asyncio.CancelledError:  # the proxy ends; Python 3.11 would log it for each connection
            pass
        finally:
            for one in (writer, far_writer):
                self._open.pop(one, None)
                one.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward until one side ends; then close both connections."""
        while data := await reader.read(CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()
        msg = "one side has closed"
        raise ConnectionResetError(msg)
