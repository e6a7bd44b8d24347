"""Stops the scripts of a page while it is audited, and resumes them before another document arrives.

Scripts are disabled, as by a sandbox policy: timers, animation frames and messages of the page stop; the isolated world
keeps running, without timers. Virtual time and the frozen lifecycle would also stop the isolated world. ``rest.py``
decides when.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from worker.scan.cdp import BrowserGone, JsonObject, Session

_SCRIPTS: Final = "Emulation.setScriptExecutionDisabled"
_DOCUMENTS: Final[JsonObject] = {"resourceType": "Document"}
_THAW_LIMIT_S: Final = 5.0


class Frozen:
    """Whether one page's scripts are stopped."""

    def __init__(self) -> None:
        self.is_on = False
        self._thawing: set[asyncio.Task[None]] = set()

    async def freeze(self, sessions: Sequence[Session], *, held: Sequence[JsonObject] | None, timeout_s: float) -> None:
        """Stop the scripts, and then hold documents in addition to ``held``; None: everything is already held."""
        self.is_on = True
        calls = [session.call(_SCRIPTS, {"value": True}, timeout_s=timeout_s) for session in sessions]
        if held is not None:
            patterns: JsonObject = {"patterns": [_DOCUMENTS, *held]}
            calls += [session.call("Fetch.enable", patterns, timeout_s=timeout_s) for session in sessions]
        await asyncio.gather(*calls, return_exceptions=True)

    async def thaw(self, sessions: Sequence[Session], *, timeout_s: float = _THAW_LIMIT_S) -> None:
        """Resume the scripts; safe to call at any time."""
        if self.is_on:
            self.is_on = False
            calls = (session.call(_SCRIPTS, {"value": False}, timeout_s=timeout_s) for session in sessions)
            await asyncio.gather(*calls, return_exceptions=True)

    def thaw_first(self, sessions: Sequence[Session], go_on: Callable[[], None]) -> None:
        """Thaw, then release a held document, which would otherwise arrive without its scripts."""

        async def thaw() -> None:
            await self.thaw(sessions)
            with contextlib.suppress(BrowserGone):
                go_on()

        task = asyncio.create_task(thaw(), name="thaw")
        self._thawing.add(task)
        task.add_done_callback(self._thawing.discard)

    def close(self) -> None:
        """Release everything that waits."""
        for task in self._thawing:
            task.cancel()
