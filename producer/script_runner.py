"""Runs scripts over one held connection: what a submit costs is mostly the client's own work.

redis-py's pool looks at the socket before every command and packs in Python; together that was more than half of a
submit. Here a connection is kept, commands are packed by hiredis in C, and many go out in one write. A lost connection
is made anew with the client's back-off and the calls are sent again: only scripts that bear repetition may be run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import NoScriptError, ResponseError

from producer.scripts import Arg, Script

Call = tuple[Sequence[str], Sequence[Arg]]


class ScriptRunner:
    """One connection of a client's pool, for one caller at a time; the others wait their turn."""

    def __init__(self, redis: Redis) -> None:
        self._pool = cast("ConnectionPool", redis.connection_pool)
        self._connection: AbstractConnection | None = None
        self._turn = asyncio.Lock()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Return the script's reply; raises redis-py's errors."""
        reply = (await self.run_many(script, [(keys, args)]))[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Return the replies in order, an error reply as its exception; raises ``ConnectionError`` and the like."""
        async with self._turn:
            connection = self._connection = self._connection or await self._pool.get_connection()
            try:
                replies = await self._exchange(connection, ("EVALSHA", script.sha), calls)
                if any(isinstance(reply, NoScriptError) for reply in replies):
                    replies = await self._exchange(connection, ("EVAL", script.text), calls)
            except BaseException:
                await connection.disconnect(nowait=True)  # replies nobody has read would be the next caller's
                raise
        return replies

    async def close(self) -> None:
        """Give the connection back. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _exchange(
        self, connection: AbstractConnection, head: tuple[str, str], calls: Sequence[Call]
    ) -> list[Any]:
        commands: list[Any] = [(*head, len(keys), *keys, *args) for keys, args in calls]
        packed = b"".join(map(pack_command, commands))

        async def attempt() -> list[Any]:
            await connection.send_packed_command(packed, check_health=False)
            return [await _reply(connection) for _ in calls]

        async def start_over(_: Exception) -> None:
            await connection.disconnect(nowait=True)

        return await connection.retry.call_with_retry(attempt, start_over)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
