"""Keeps scans of one host few and apart, over all workers: a site is to be examined, not to be brought down.

A host has ``places`` for scans at a time, and ``gap_ms`` pass between two beginnings; enter_host.lua keeps count.
A scan that has to wait waits in its worker. A place is held for as long as a scan may take, so that a worker that is
killed closes nothing for long.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import ScanRequest
from producer.keys import Keys
from producer.scripts import load_script, run_script
from worker.agent.state import Engine
from worker.scan.settings import Audit, Secrets

ENTER: Final = load_script("worker", "enter_host")
LEAVE: Final = load_script("worker", "leave_host")
MARGIN_S: Final = 30.0
"""Beyond the scan's own deadline: the browser's start and end."""


class HostGate:
    """The places of every host, seen by one worker."""

    def __init__(self, redis: Redis, keys: Keys, *, places: int, gap_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._places = places
        self._gap_ms = gap_ms

    @asynccontextmanager
    async def place(self, host: str, *, hold_s: float) -> AsyncGenerator[None]:
        """Wait for a place of ``host`` and hold it, at most for ``hold_s``. Redis errors pass through."""
        token = secrets.token_hex(8)
        keys = (self._keys.host_places(host), self._keys.host_began(host))
        args = (token, self._places, self._gap_ms, int(hold_s * 1000))
        while wait_ms := int(await run_script(self._redis, ENTER, keys, args)):  # noqa: ASYNC110  Redis says how long
            await asyncio.sleep(wait_ms / 1000)
        try:
            yield
        finally:
            with suppress(RedisError, OSError):  # the place comes free by its time
                await asyncio.shield(run_script(self._redis, LEAVE, keys[:1], (token,)))


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
        """Return what the engine returns; HTML given inline has no host and waits for nobody."""
        host = urlsplit(request.url).hostname if request.url else None
        if not host:
            return await self._engine.audit(request, secrets=secrets, on_progress=on_progress)
        if on_progress is not None:
            on_progress("waiting for the host")
        async with self._gate.place(host, hold_s=request.deadline_s + MARGIN_S):
            return await self._engine.audit(request, secrets=secrets, on_progress=on_progress)
