"""Keeps scans of one host few and apart, over all workers: a site is to be examined, not to be brought down.

A host has ``places`` for scans at a time, and a gap passes between two beginnings; enter_host.lua keeps count. A scan
waits in its worker for a while, and then gives its place there to a scan of another host (``HostBusy``); the more do
so, the later it comes again (ops/decisions/0014-scans-sent-away-from-a-host.md). A place is a lease that is renewed
while the scan runs, so that a worker that is killed closes nothing for long.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from time import monotonic
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import ScanRequest
from producer.contract.addresses import host_of
from producer.errors import HostBusy
from producer.keys import Keys
from producer.redis.scripts import Arg, load_script, run_script
from worker.scan.settings import Audit, Engine, Secrets

ENTER: Final = load_script("worker.limits", "enter_host")
LEAVE: Final = load_script("worker.limits", "leave_host")
HOLD_S: Final = 30.0
"""A killed worker's place is free after it."""
RENEWALS_PER_HOLD: Final = 3
PATIENCE_S: Final = 30.0
"""Of a scan that waits in its worker, where it keeps scans of other hosts from running."""
AWAY_S: Final = 3_600.0
"""The longest that a scan stays away for the sake of others: those may have been cancelled, and the host be idle."""


class HostGate:
    """The places of every host, seen by one worker."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        places: int,
        gap_ms: int,
        hold_s: float = HOLD_S,
        patience_s: float = PATIENCE_S,
        random: Callable[[], float] = random,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._places = places
        self._gap_ms = gap_ms
        self._hold_s = hold_s
        self._patience_s = patience_s
        self._random = random

    @asynccontextmanager
    async def place(self, host: str, *, gap_ms: int = 0) -> AsyncGenerator[None]:
        """Wait for a place of ``host`` and hold it; beginnings are ``gap_ms`` apart, or the gate's own if that is more.

        Raises ``HostBusy`` when there was none for a while; Redis errors pass through.
        """
        token = secrets.token_hex(8)
        keys = (self._keys.host_places(host), self._keys.host_began(host), self._keys.host_away(host))
        args = (token, self._places, max(gap_ms, self._gap_ms), int(self._hold_s * 1000))
        await self._enter(host, keys, args)
        keeping = asyncio.create_task(self._keep(keys, args), name="host-keep")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            with suppress(RedisError, OSError):  # the place comes free by its time
                await asyncio.shield(run_script(self._redis, LEAVE, keys[:1], (token,)))

    async def _enter(self, host: str, keys: Sequence[str], args: Sequence[Arg]) -> None:
        began = monotonic()
        while True:
            left_s = self._patience_s - (monotonic() - began)
            wait_s, spread_s = await self._ask(keys, args, left_s=left_s)
            if not wait_s:
                return
            if wait_s > left_s:
                msg = f"host {host!r} has no place for another scan now: this one waits for one"
                # Those who wait come back one after the other, not all at once.
                raise HostBusy(msg, delay_s=wait_s + self._random() * spread_s)
            await asyncio.sleep(wait_s)

    async def _ask(self, keys: Sequence[str], args: Sequence[Arg], *, left_s: float | None) -> tuple[float, float]:
        """Return after how long to ask again, 0 with a place, and over what time to spread it for those sent away.

        A scan that runs has no time left to wait (None): one that has lost its place goes on, and asks again.
        """
        left_ms = -1 if left_s is None else int(left_s * 1000)
        times = (left_ms, int(self._patience_s * 1000), int(AWAY_S * 1000))
        wait_ms, spread_ms = await run_script(self._redis, ENTER, keys, (*args, *times))
        return wait_ms / 1000, spread_ms / 1000

    async def _keep(self, keys: Sequence[str], args: Sequence[Arg]) -> None:
        while True:
            await asyncio.sleep(self._hold_s / RENEWALS_PER_HOLD)
            with suppress(RedisError, OSError):  # the next renewal may go through
                await self._ask(keys, args, left_s=None)


class PoliteEngine:
    """A scan engine that waits for a place of the page's host before it reads the page."""

    def __init__(self, engine: Engine, gate: HostGate) -> None:
        self._engine = engine
        self._gate = gate

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> Audit:
        """Return what the engine returns; HTML given inline has no host and waits for nobody. Raises ``HostBusy``."""
        host = host_of(request.url or "")
        if not host:
            return await self._engine.audit(request, secrets=secrets, on_progress=on_progress)
        if on_progress is not None:
            on_progress("waiting for the host")
        async with self._gate.place(host, gap_ms=request.host_gap_ms):
            return await self._engine.audit(request, secrets=secrets, on_progress=on_progress)
