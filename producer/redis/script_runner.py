"""Runs scripts over one connection that is kept: what a submit costs is mostly the client's own work.

Calls of several tasks share the connection; many calls of one task go out in one write. A lost connection is made anew
with the client's back-off and the calls are sent again: only scripts that bear repetition may be run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from producer.redis.raw_connection import RawConnection
from producer.redis.scripts import Arg, Script

Call = tuple[Sequence[str], Sequence[Arg]]


class ScriptRunner:
    """One connection of a client's pool."""

    def __init__(self, redis: Redis) -> None:
        self._pool = cast("ConnectionPool", redis.connection_pool)
        self._connection: RawConnection | None = None
        self._opening = asyncio.Lock()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Return the script's reply; raises redis-py's errors."""
        connection = self._connection
        if connection is not None and not connection.is_lost:
            # The common case, without what lost connections and many calls need.
            command: Any = ("EVALSHA", script.sha, len(keys), *keys, *args)
            try:
                return await connection.call(pack_command(command))
            except (RedisConnectionError, NoScriptError):
                pass  # sent again below, as run_many does
        reply = (await self.run_many(script, [(keys, args)]))[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Return the replies in order, an error reply as its exception; raises ``ConnectionError`` and the like."""
        replies = await self._exchange(("EVALSHA", script.sha), calls)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            replies = await self._exchange(("EVAL", script.text), calls)
        return replies

    async def close(self) -> None:
        """Give the connection back. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.release()

    async def _exchange(self, head: tuple[str, str], calls: Sequence[Call]) -> list[Any]:
        commands: list[Any] = [(*head, len(keys), *keys, *args) for keys, args in calls]
        packed = b"".join(map(pack_command, commands))
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = await self._open()
        try:
            return await _replies(connection, packed, len(calls))
        except (RedisConnectionError, OSError):

            async def attempt() -> list[Any]:
                return await _replies(await self._open(), packed, len(calls))

            async def wait(_: Exception) -> None:
                """Nothing to clear away: a lost connection is not used again."""

            return await connection.retry.call_with_retry(attempt, wait)

    async def _open(self) -> RawConnection:
        """Return the connection of all calls; reconnects when it is lost."""
        async with self._opening:
            if self._connection is None or self._connection.is_lost:
                await self.close()
                self._connection = await RawConnection.open(self._pool)
            return self._connection


def _replies(connection: RawConnection, packed: bytes, count: int) -> asyncio.Future[list[Any]]:
    """Send, and return a future of all replies; it fails with the first one that is a ``ConnectionError``."""
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    replies: list[Any] = []

    def take(reply: Any) -> None:
        replies.append(reply)
        if future.done():
            return
        if isinstance(reply, RedisConnectionError):
            future.set_exception(reply)
        elif len(replies) == count:
            future.set_result(replies)

    connection.send(packed, [take] * count)
    return future
