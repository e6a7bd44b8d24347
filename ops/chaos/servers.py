"""Runs Redis for chaos runs: a primary and a replica behind proxies, watched by Sentinels, with an adjustable clock.

All connections go through a server's proxy, including replication and Sentinels, so that network faults affect them as
well. With ``is_replicated`` False it is one server behind a proxy. ``replication.py`` tracks what a failover may lose.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from tcp_proxy import TcpProxy

from tests.support import redis_clock
from tests.support.redis_clock import RedisClock
from tests.support.sentinels import SERVICE, sentinels
from worker.own_redis.server import EmbeddedRedis, free_port

DOWN_AFTER_MS: Final = 3_000
"""Time until Sentinels consider a silent primary down: docs/sentinel.md recommends 5000 or less."""
ANSWER_S: Final = 1.0
IN_SYNC_S: Final = 20.0
PROMOTED_S: Final = 40.0
LOOK_S: Final = 0.1
FURTHEST_S: Final = 3600.0
"""How far the clock is set ahead or behind at most."""


class Servers:
    """Use as an async context manager."""

    def __init__(self, folder: Path, *, is_replicated: bool) -> None:
        self._folder = folder
        self._is_replicated = is_replicated
        self._stack = AsyncExitStack()
        self._one_at_a_time = asyncio.Lock()  # a server that is being started cannot be started again
        self._sentinels: list[int] = []
        self.servers: list[EmbeddedRedis] = []
        self.proxies: list[TcpProxy] = []
        self.clock: RedisClock | None = None

    async def __aenter__(self) -> Self:
        if self._is_replicated and redis_clock.has_compiler():
            self.clock = RedisClock(self._folder)
        for name in ("redis", "redis-2") if self._is_replicated else ("redis",):
            await self._add(name)
        if self._is_replicated:
            primary, replica = self.servers
            async with plain(replica) as redis:
                await cast("Any", redis).execute_command("REPLICAOF", "127.0.0.1", self._port_of(primary))
            await until(lambda: self.is_in_sync(primary), within_s=IN_SYNC_S)
            watching = sentinels(self._folder, self._port_of(primary), down_after_ms=DOWN_AFTER_MS)
            self._sentinels = await asyncio.to_thread(watching.__enter__)  # it looks through the proxies of this loop
            self._stack.callback(watching.__exit__, None, None, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _add(self, name: str) -> None:
        proxy = await self._stack.enter_async_context(TcpProxy(port := free_port()))
        config = {"replica-announce-ip": "127.0.0.1", "replica-announce-port": str(proxy.port)}
        if self._is_replicated:
            config |= {"repl-diskless-sync-delay": "0", **redis_clock.CONFIG}
        variables = self.clock.variables if self.clock else None
        data = self._folder / name
        server = EmbeddedRedis(data, port=port, config=config, variables=variables, die_with_parent=True)
        self._stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        self.servers.append(server)
        self.proxies.append(proxy)

    # ------------------------------------------------------------------------------------------ where it is

    @property
    def url(self) -> str:
        """The address for workers and clients."""
        if not self._is_replicated:
            return f"redis://127.0.0.1:{self.proxies[0].port}/0"
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    async def primary(self) -> EmbeddedRedis | None:
        """Return the server that the Sentinels name, dead or alive; None while no Sentinel answers."""
        if not self._is_replicated:
            return self.servers[0]
        for port in self._sentinels:
            with contextlib.suppress(RedisError, OSError):
                async with _to(port) as sentinel:
                    _, named = await cast("Any", sentinel).sentinel_get_master_addr_by_name(SERVICE)
                return next(server for server in self.servers if self._port_of(server) == int(named))
        return None

    async def is_in_sync(self, primary: EmbeddedRedis) -> bool:
        """Return whether the replica has what ``primary`` has; True where there is none."""
        if not self._is_replicated:
            return True
        with contextlib.suppress(RedisError, OSError):
            async with plain(primary) as redis:
                said: dict[str, Any] = await redis.info("replication")
            replica = said.get("slave0", {})
            return replica.get("state") == "online" and replica.get("lag", 9) <= 1
        return False

    def _port_of(self, server: EmbeddedRedis) -> int:
        return self.proxies[self.servers.index(server)].port

    # ------------------------------------------------------------------------------------------ what goes wrong

    def reset(self) -> int:
        """Drop every connection; return how many there were."""
        return sum(proxy.reset() for proxy in self.proxies)

    def cut_one(self, draw: float) -> None:
        """Drop any one connection."""
        held = [(proxy, one) for proxy in self.proxies for one in proxy.connections]
        if held:
            proxy, one = held[int(draw * len(held))]
            proxy.cut(one)

    def slow_down(self, delay_s: float) -> None:
        """Delay each chunk of data by this time; 0 ends it."""
        for proxy in self.proxies:
            proxy.delay_s = delay_s

    async def kill(self, *, away_s: float) -> bool:
        """Kill the primary and start it again; the Sentinels promote the other one if it is down for long."""
        async with self._one_at_a_time:
            primary = await self.primary()
            if primary is None:
                return False
            await asyncio.to_thread(primary.kill)
            await asyncio.sleep(away_s)
            await asyncio.to_thread(primary.start)
        return True

    async def fail_over(self, *, behind_s: float) -> bool:
        """Kill the primary once the replica has been cut off for ``behind_s``, and wait for the promotion.

        Returns False if the replica was out of sync to begin with, or was not promoted.
        """
        async with self._one_at_a_time:
            primary = await self.primary()
            if primary is None or not await until(lambda: self.is_in_sync(primary), within_s=IN_SYNC_S):
                return False
            await self._cut_replication(primary)
            await asyncio.sleep(behind_s)
            await asyncio.to_thread(primary.kill)
            is_promoted = await until(lambda: self._is_promoted(primary), within_s=PROMOTED_S)
            await asyncio.to_thread(primary.start)
        return is_promoted

    async def _is_promoted(self, instead_of: EmbeddedRedis) -> bool:
        return await self.primary() not in {None, instead_of}

    async def _cut_replication(self, primary: EmbeddedRedis) -> None:
        """Keep the replica disconnected from ``primary`` until the latter is started again."""
        with contextlib.suppress(RedisError, OSError):
            async with plain(primary) as redis:
                await cast("Any", redis).execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
                await cast("Any", redis).execute_command("CLIENT", "KILL", "TYPE", "replica")

    def set_clock(self, *, wrong_s: float) -> bool:
        """Shift the clock of both servers by this amount; return whether it can be set."""
        if self.clock is not None:
            self.clock.set(wrong_s=wrong_s)
        return self.clock is not None

    async def make_whole(self) -> bool:
        """Restore everything; return whether primary and replica are in sync.

        The clock is set as far ahead as it ever was, so that everything scheduled by it is due.
        """
        self.slow_down(0.0)
        async with self._one_at_a_time:
            for server in self.servers:
                await asyncio.to_thread(server.start)
        self.set_clock(wrong_s=FURTHEST_S)
        return await until(self._is_whole, within_s=2 * PROMOTED_S)

    async def _is_whole(self) -> bool:
        primary = await self.primary()
        return primary is not None and await self.is_in_sync(primary)


def plain(server: EmbeddedRedis) -> Redis:
    """Return a client connected directly to ``server``, without its proxy and without retries."""
    return _to(server.port)


def _to(port: int) -> Redis:
    return Redis(port=port, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0))


async def until(is_so: Callable[[], Coroutine[Any, Any, bool]], *, within_s: float, every_s: float = LOOK_S) -> bool:
    """Poll until the condition holds; return whether it did within the time.

    Each poll must end by itself: ``asyncio.timeout`` cancels once, and redis-py may drop the cancellation.
    """
    deadline = time.monotonic() + within_s
    while not await is_so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every_s)
    return True
