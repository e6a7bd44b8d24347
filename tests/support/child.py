"""Child processes that talk in JSON lines: started, listened to, frozen, killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
START_S = 100.0
"""A child has begun to talk by then on a machine with much else to do; less than what pytest gives a test."""


class Child:
    """``python -m module arguments…``, killed at the end of the ``async with``; its log goes to this standard error."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def line(self, *, timeout_s: float = START_S) -> str:
        """The next line it says; '' at its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            return (await self.process.stdout.readline()).decode().strip()

    async def event(self, name: str, *, timeout_s: float = START_S) -> dict[str, Any]:
        """The next event of that name."""
        async with asyncio.timeout(timeout_s):
            while text := await self.line(timeout_s=timeout_s):
                fields = json.loads(text)
                if fields["event"] == name:
                    return fields
        msg = f"{self._command[2]} ended before it said {name!r}"
        raise AssertionError(msg)

    async def events(self, *, until: str) -> list[dict[str, Any]]:
        """All it says up to the event of that name."""
        said: list[dict[str, Any]] = []
        while not said or said[-1]["event"] != until:
            said.append(json.loads(await self.line(timeout_s=120)))
        return said

    def go(self) -> None:
        """Send it the line it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)
