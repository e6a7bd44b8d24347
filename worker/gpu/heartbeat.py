"""Renews, every ``renew_s``, all that a worker holds or waits for, and acts on what Redis says was lost.

While somebody waits it also runs the moment the next lease ends, so that a dead holder's slot is not idle. It runs on
the event loop on purpose: a loop that stands still could not close its calls either, and so loses its slots.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from redis.exceptions import RedisError

from worker.gpu.hosts import Host
from worker.gpu.scripts import PoolScripts, Timing
from worker.gpu.slot import Slot
from worker.gpu.waiter import Waiter

RETRY_S: Final = 0.25
"""Between tries while Redis does not answer."""
LATE_S: Final = 0.002
"""After a lease's end that a waiter looks for it: Redis counts whole ms."""

log = structlog.get_logger()


class Heartbeat:
    """Beats for ``held`` and ``waiters``, which stay the pool's. Set ``soon`` for a beat out of turn."""

    def __init__(
        self,
        scripts: PoolScripts,
        hosts: Sequence[Host],
        timing: Timing,
        *,
        held: Mapping[str, Slot],
        waiters: Mapping[str, Waiter],
    ) -> None:
        self.soon = asyncio.Event()
        self._scripts = scripts
        self._hosts = hosts
        self._timing = timing
        self._held = held
        self._waiters = waiters

    async def run(self) -> None:
        """Beat for ever."""
        delay_s = self._timing.renew_s
        while True:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self.soon.wait()
            self.soon.clear()
            try:
                delay_s = await self._beat()
            except (RedisError, OSError) as error:
                log.warning("gpu.redis_silent", step="renew", error=str(error))
                delay_s = RETRY_S

    async def _beat(self) -> float:
        """Renew, act on what Redis says, return the seconds until the next beat."""
        timing = self._timing
        held = dict(self._held)  # a verdict is on these: what was granted meanwhile is not known to it
        asked_at = asyncio.get_running_loop().time()
        due_ms, verdicts = await self._scripts.tend(self._hosts, list(held), list(self._waiters))
        ends_at = asked_at + timing.lease_s - timing.margin_s
        for token, verdict in verdicts.items():
            if token in held:
                self._note_held(held[token], verdict, ends_at)
            else:
                self._note_waiting(token, verdict)
        if self._waiters and due_ms >= 0:
            return min(timing.renew_s, due_ms / 1000 + LATE_S)
        return timing.renew_s

    def _note_held(self, slot: Slot, verdict: str, ends_at: float) -> None:
        if verdict == "held":
            slot.extend(ends_at)
        elif slot.token in self._held:
            why = "its host does not answer" if verdict == "cut" else "its lease ended"
            log.warning("gpu.slot_lost", host=slot.host, kind=slot.kind, token=slot.token, why=why)
            slot.lose(why)

    def _note_waiting(self, token: str, verdict: str) -> None:
        waiter = self._waiters.get(token)
        if waiter is not None and verdict != "waiting":
            waiter.is_unserved = verdict == "unserved"
            waiter.look.set()
