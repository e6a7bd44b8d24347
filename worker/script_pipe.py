"""Runs Lua scripts of many tasks over one connection, all of a loop tick in one write.

The start and the finish of a job are one script each; at thousands of jobs a second a round trip for every one
would be most of the work. Calls of one tick are packed together, replies are read in order, and several ticks may
be in flight at once. Packing is hiredis', in C: redis-py's asyncio connections pack in Python, which was a third of a
worker's time. Nothing is repeated here: a lost connection fails its calls, and the caller, who knows what a
repetition means, decides. A script Redis has forgotten (restart) is sent again with its text.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from producer.scripts import Arg, Script

Call = tuple["asyncio.Future[Any]", Script, Sequence[str], Sequence[Arg]]


class ScriptPipe:
    """One connection shared by all tasks of a loop."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None
        self._pending: list[Call] = []
        self._packed: list[bytes] = []
        self._unread: deque[Call] = deque()
        self._flush_due = False
        self._wake_reader = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._oldest_unread_at = 0.0

    def call(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """Return a future of the script's reply.

        It fails with redis-py's ``ConnectionError`` when the reply was lost (the script may have run), and with
        ``ResponseError`` for an error reply. Raises ``TypeError`` for an argument Redis has no form for.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._send((future, script, keys, args), ("EVALSHA", script.sha))
        return future

    async def close(self) -> None:
        """Fail what is still waiting and give up the connection."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._fail(RedisConnectionError("the script pipe was closed"))

    async def reset_if_stuck(self, *, limit_s: float) -> bool:
        """Drop the connection when a reply has been awaited for ``limit_s``: a half-open socket never answers."""
        if not self._unread or time.monotonic() - self._oldest_unread_at < limit_s:
            return False
        await self._fail(RedisConnectionError(f"no reply from Redis within {limit_s:g} s"))
        return True

    def _send(self, call: Call, head: tuple[str, str]) -> None:
        """Put the call into this tick's write. What cannot be packed is its caller's error, and nobody else's."""
        _, _, keys, args = call
        command: Any = (*head, len(keys), *keys, *args)
        self._packed.append(pack_command(command))
        self._pending.append(call)
        if not self._flush_due:
            self._flush_due = True
            task = asyncio.ensure_future(self._flush())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _flush(self) -> None:
        async with self._writing:
            self._flush_due = False
            calls, self._pending = self._pending, []
            packed, self._packed = self._packed, []
            if not calls:
                return
            try:
                connection = await self._connected()
                if not self._unread:
                    self._oldest_unread_at = time.monotonic()
                self._unread.extend(calls)
                self._wake_reader.set()
                await connection.send_packed_command(b"".join(packed), check_health=False)
            except (RedisError, OSError) as error:
                await self._fail(error)
                _fail_calls(calls, error)

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            self._connection = await self._pool.get_connection()
            self._reader = asyncio.ensure_future(self._read(self._connection))
        return self._connection

    async def _read(self, connection: AbstractConnection) -> None:
        """Read replies for as long as ``connection`` is the one in use; each connection has a reader of its own."""
        try:
            while self._connection is connection:
                if self._unread:
                    await self._read_one(connection)
                else:
                    self._wake_reader.clear()
                    await self._wake_reader.wait()
        except (RedisError, OSError) as error:
            if self._connection is connection:
                await self._fail(error)

    async def _read_one(self, connection: AbstractConnection) -> None:
        reply: Any
        try:
            reply = await connection.read_response(disable_decoding=True)
        except ResponseError as error:
            reply = error
        if not self._unread:
            return
        future, script, keys, args = self._unread.popleft()
        self._oldest_unread_at = time.monotonic()
        if future.done():
            return
        if isinstance(reply, NoScriptError):
            self._send((future, script, keys, args), ("EVAL", script.text))
        elif isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    async def _fail(self, error: Exception) -> None:
        unread, self._unread = self._unread, deque()
        connection, self._connection = self._connection, None
        self._wake_reader.set()
        _fail_calls(unread, error)
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)


def _fail_calls(calls: Sequence[Call] | deque[Call], error: Exception) -> None:
    lost = error if isinstance(error, RedisError) else RedisConnectionError(str(error))
    for future, *_ in calls:
        if not future.done():
            future.set_exception(lost)
