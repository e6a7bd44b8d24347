"""A blocking read of one lane, on a connection of its own that sees nothing else.

What a read brings is handed over in the callback that received it, not to a task that first has to wake up: an idle
worker begins its next job that much sooner (decision 0012). Next: ``claims.py``, which says when to read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from producer.keys import GROUP
from producer.wire import Wire

BLOCK_MS: Final = 5_000
"""Longest blocking read; an idle consumer is seen by Redis at least this often."""
ANSWER_S: Final = 10.0
"""How much later than that an answer may come before the connection is given up: a half-open socket never answers."""

Arrived = Callable[[Sequence[Any]], None]
"""Takes the raw reply of an XREADGROUP that brought something."""


class LaneReader:
    """A blocking XREADGROUP on the lane ``key``; ``arrived`` is called with each reply that has an entry."""

    def __init__(self, redis: Redis, key: str, *, consumer: str, arrived: Arrived) -> None:
        self._redis = redis
        self._pool = cast("ConnectionPool", redis.connection_pool)
        self._arrived = arrived
        words: Any = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", key, ">")
        self._command = pack_command(words)
        self._wire: Wire | None = None
        self._client_id = 0

    async def read(self) -> bool:
        """Wait for one entry; returns whether one came before ``BLOCK_MS`` or ``unblock``. Raises redis-py's errors."""
        wire = self._wire or await self._open()
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        wire.send(self._command, [lambda reply: self._take(reply, done)])
        try:
            async with asyncio.timeout(BLOCK_MS / 1000 + ANSWER_S):
                return await done
        except ResponseError:
            raise
        except TimeoutError:
            await self.close()
            return False
        except BaseException:  # a reply that comes later would be begun although nobody waits for it
            await self.close()
            raise

    async def unblock(self) -> None:
        """Make ``read`` return at once; does nothing when it is not waiting."""
        if self._client_id:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.execute_command("CLIENT UNBLOCK", self._client_id)

    async def close(self) -> None:
        """Give up the connection; what it was about to receive stays pending and is reclaimed."""
        wire, self._wire, self._client_id = self._wire, None, 0
        if wire is not None:
            await wire.release()

    async def _open(self) -> Wire:
        self._wire = wire = await Wire.open(self._pool)
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        who: Any = ("CLIENT", "ID")
        wire.send(pack_command(who), [lambda reply: _settle(told, reply)])
        try:
            async with asyncio.timeout(ANSWER_S):
                self._client_id = int(await told)
        except BaseException:  # a reply that comes later would be taken for the next one's
            await self.close()
            raise
        return wire

    def _take(self, reply: Any, done: asyncio.Future[bool]) -> None:
        if done.done():  # nobody waits any more: what came stays pending and is reclaimed
            return
        try:
            if reply and not isinstance(reply, Exception):
                self._arrived(reply)
        except Exception as error:  # noqa: BLE001  the reader's task raises it; here it would only be logged
            reply = error
        _settle(done, reply if isinstance(reply, Exception) else bool(reply))


def _settle(future: asyncio.Future[Any], reply: Any) -> None:
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)
