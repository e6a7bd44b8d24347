"""Tracks which writes a failover may lose, for the auditor: those after the last one known to be replicated.

A mark is written to the primary repeatedly, and ``WAIT`` says whether the replica has it, and so everything written
before. Once the Sentinels name another primary, all later writes to the old one may be lost, until it is dead or has
become a replica. Only what ``durable=True`` acknowledged is promised there (docs/sentinel.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final, cast

from journal import Journal
from redis.exceptions import RedisError
from servers import Servers, plain

from worker.own_redis.server import EmbeddedRedis

EVERY_S: Final = 0.2
WAIT_MS: Final = 300
MARK: Final = "chaos-mark"


class Replication:
    """Writes a ``window`` into the journal for each failover: ``begins`` and ``ends`` on this process's clock."""

    def __init__(self, servers: Servers, journal: Journal) -> None:
        self._servers = servers
        self._journal = journal
        self._replicated_at = time.monotonic()
        self._primary: EmbeddedRedis | None = None
        self._old: EmbeddedRedis | None = None
        self._begins = 0.0
        self.failovers = 0

    async def watch(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(EVERY_S)
        finally:
            self._end_window()

    async def _look(self) -> None:
        named = await self._servers.primary()
        if named is None:
            return
        if self._primary not in {None, named}:
            self._end_window()
            self._old, self._begins, self.failovers = self._primary, self._replicated_at, self.failovers + 1
        self._primary = named
        if self._old is not None and not await _is_primary(self._old):
            self._end_window()
        began = time.monotonic()
        if await _is_replicated(named):
            self._replicated_at = began

    def _end_window(self) -> None:
        if self._old is not None:
            self._old = None
            self._journal.note("window", begins=self._begins, ends=time.monotonic())


async def _is_primary(server: EmbeddedRedis) -> bool:
    with contextlib.suppress(RedisError, OSError):
        async with plain(server) as redis:
            return (await redis.info("replication"))["role"] == "master"
    return False


async def _is_replicated(server: EmbeddedRedis) -> bool:
    """Write a mark and return whether the replica has it, and all that came before."""
    with contextlib.suppress(RedisError, OSError):
        async with plain(server) as redis, redis.client() as one:
            await one.set(MARK, "")
            return int(await cast("Any", one).execute_command("WAIT", 1, WAIT_MS)) > 0
    return False
