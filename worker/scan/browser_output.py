"""Keeps the end of a browser's standard error, which says why it did not start or why it exited."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final, Self, cast

KEPT_BYTES: Final = 8_192
_END_LIMIT_S: Final = 2.0
_TELLING: Final = (":FATAL:", "Check failed", ":ERROR:")
"""Most informative first; other lines are about buses and drivers that a headless browser does not need."""
_CHATTER: Final = ("dbus/", "gpu/", "vaapi")


class BrowserOutput(asyncio.Protocol):
    """The read end of a pipe; ``write_end`` is for the browser; ``started`` closes it."""

    def __init__(self) -> None:
        self._said = b""
        self._ended = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None
        self.write_end = -1

    @classmethod
    async def listen(cls) -> Self:
        """Open the pipe."""
        words = cls()
        read_end, words.write_end = os.pipe()
        loop = asyncio.get_running_loop()
        words._transport, _ = await loop.connect_read_pipe(lambda: words, os.fdopen(read_end, "rb", 0))
        return words

    def started(self) -> None:
        """Close this process's copy of the write end, so that the pipe ends with the browser. Safe to call twice."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def data_received(self, data: bytes) -> None:
        """Keep the end of the output."""
        self._said = (self._said + data)[-KEPT_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Record that no more output will come."""
        del exc
        self._ended.set()

    @property
    def text(self) -> str:
        """The output kept."""
        return self._said.decode("utf-8", "replace")

    async def close(self) -> None:
        """Stop reading once everything is read; call it after the browser has exited."""
        self.started()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_LIMIT_S):
                await self._ended.wait()
        cast("asyncio.BaseTransport", self._transport).close()


def most_telling(words: str) -> str:
    """Return the most informative line, or ''. Pure."""
    lines = [line.strip() for line in words.splitlines() if line.strip() and not any(c in line for c in _CHATTER)]
    for mark in _TELLING:
        found = [line for line in lines if mark in line]
        if found:
            return found[-1][:300]
    return lines[-1][:300] if lines else ""
