"""Starts, reads, freezes and kills child processes that write JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.support.warm_start import start_module

ROOT = Path(__file__).parents[2]
START_S = 100.0
"""Time limit for a child's first output on a busy machine; less than pytest's limit for a test."""


class Child:
    """``python -m module arguments…``, killed at the end of the ``async with``; its log goes to this process's
    stderr."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._words = (module, *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._said = asyncio.StreamReader()
        self._pipe: asyncio.ReadTransport | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        self._process = await asyncio.to_thread(start_module, *self._words, environment=environment, **pipes)
        reading = asyncio.StreamReaderProtocol(self._said)
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(lambda: reading, self._process.stdout)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        await self.end()
        if self._pipe is not None:
            self._pipe.close()
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def end(self) -> None:
        """Wait until it has ended."""
        await asyncio.to_thread(self.process.wait, START_S)

    async def line(self, *, timeout_s: float = START_S) -> str:
        """Return its next line; '' once it has ended."""
        async with asyncio.timeout(timeout_s):
            return (await self._said.readline()).decode().strip()

    async def event(self, name: str, *, timeout_s: float = START_S) -> dict[str, Any]:
        """Return the next event with that name."""
        async with asyncio.timeout(timeout_s):
            while text := await self.line(timeout_s=timeout_s):
                fields = json.loads(text)
                if fields["event"] == name:
                    return fields
        msg = f"{self._words[0]} ended before it said {name!r}"
        raise AssertionError(msg)

    async def events(self, *, until: str) -> list[dict[str, Any]]:
        """Return all events up to the one with that name."""
        said: list[dict[str, Any]] = []
        while not said or said[-1]["event"] != until:
            said.append(json.loads(await self.line(timeout_s=120)))
        return said

    def go(self) -> None:
        """Send the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)
