"""One slot while it is held. Local only: what Redis knows of it is in ``pool.py``'s hands."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from producer.errors import SlotLost
from worker.gpu.hosts import Kind

T = TypeVar("T")


class Slot:
    """The right to make one call at a time on ``host``, until it is given back or lost.

    ``wait_ms`` is how long it was waited for; ``ended_ms`` when it was given back, Redis ms, 0 before that. ``lost`` is
    set when it is lost; whoever does not use ``run`` has to watch it and to close the call.
    """

    def __init__(self, *, token: str, kind: Kind, host: str, wait_ms: int, ends_at: float) -> None:
        self.token = token
        self.kind: Kind = kind
        self.host = host
        self.wait_ms = wait_ms
        self.ended_ms = 0
        self.lost = asyncio.Event()
        self.why_lost = ""
        self._loop = asyncio.get_running_loop()
        self._ends_at = ends_at
        self._call: asyncio.Timeout | None = None
        self._timer = self._loop.call_at(ends_at, self.lose, "its lease could not be renewed")

    @property
    def is_ours(self) -> bool:
        """Whether the slot is certainly still held; a process that was frozen wakes up without it."""
        return not self.lost.is_set() and self._loop.time() < self._ends_at

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what ``call`` returns; one call at a time.

        Raises ``SlotLost`` when the slot is lost before, and the call is not begun, or meanwhile: the call is
        cancelled, or its answer discarded.
        """
        if not self.is_ours:
            call.close()
            raise self.loss()
        try:
            async with asyncio.timeout_at(self._ends_at) as self._call:
                answer = await call
        except TimeoutError:
            if self._call is None or not self._call.expired():
                raise
            raise self.loss() from None
        finally:
            self._call = None
        if not self.is_ours:
            raise self.loss()
        return answer

    def loss(self) -> SlotLost:
        """Return the error that says why the slot is lost."""
        why = self.why_lost or "its lease ended"
        return SlotLost(f"the GPU slot on {self.host!r} was lost: {why}; the answer is discarded, ask again")

    def extend(self, ends_at: float) -> None:
        """Hold on until ``ends_at``, loop time; a slot that is lost stays lost."""
        if self.lost.is_set():
            return
        self._ends_at = ends_at
        self._timer.cancel()
        self._timer = self._loop.call_at(ends_at, self.lose, "its lease could not be renewed")
        if self._call is not None and not self._call.expired():
            self._call.reschedule(ends_at)

    def lose(self, why: str) -> None:
        """End the call that runs under this slot. Safe to call twice."""
        if self.lost.is_set():
            return
        self.why_lost = why
        self.lost.set()
        self._timer.cancel()
        if self._call is not None and not self._call.expired():
            self._call.reschedule(0.0)

    def close(self) -> None:
        """Stop the clock: the slot is being given back."""
        self._timer.cancel()
