"""Runs Lua scripts of many tasks over one connection, all of a loop tick in one write.

Calls of one tick are packed together, and several ticks may be in flight at once. Nothing is repeated here: a lost
connection fails its calls, and the caller, who knows what a repetition means, decides. A script Redis has forgotten
(restart) is sent again with its text. Next: ``raw_connection.py``; ``bulk.py``, many calls as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from producer.redis.raw_connection import Listener, RawConnection, settle
from producer.redis.scripts import Arg, Script

Call = tuple[Listener, Script, Sequence[str], Sequence[Arg]]


class ScriptPipe:
    """One connection shared by all tasks of a loop."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: RawConnection | None = None
        self._packed: list[bytes] = []
        self._listeners: list[Listener] = []
        self._opening: asyncio.Task[None] | None = None

    def call(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """Return a future of the script's reply.

        It fails with redis-py's ``ConnectionError`` when the reply was lost (the script may have run), and with
        ``ResponseError`` for an error reply. Raises ``TypeError`` for an argument Redis has no form for.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(script, keys, args, partial(settle, future))
        return future

    def send(self, script: Script, keys: Sequence[str], args: Sequence[Arg], listener: Listener) -> None:
        """Call the script, and ``listener`` with its reply or its error, once. Raises as ``call``."""
        self._send((listener, script, keys, args), ("EVALSHA", script.sha))

    def send_now(self, script: Script, keys: Sequence[str], args: Sequence[Arg], listener: Listener) -> None:
        """Do the same without waiting for the other calls of this tick."""
        self.send(script, keys, args, listener)
        self._flush()

    async def close(self) -> None:
        """Fail what is still waiting and give up the connection."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._tell_unsent(RedisConnectionError("the script pipe was closed"))
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.release()

    @property
    def connected_since(self) -> float:
        """Monotonic time since which the connection has stood: no Redis that was restarted later has answered on it."""
        if self._connection is None or self._connection.is_lost:
            return time.monotonic()
        return self._connection.opened_at

    def reset_if_stuck(self, *, limit_s: float) -> bool:
        """Drop the connection when a reply has been awaited for ``limit_s``: a half-open socket never answers."""
        if self._connection is None or self._connection.silent_s < limit_s:
            return False
        self._connection.lose(f"no reply from Redis within {limit_s:g} s")
        return True

    def _send(self, call: Call, head: tuple[str, str]) -> None:
        """Put the call into this tick's write. What cannot be packed is its caller's error, and nobody else's."""
        _, _, keys, args = call
        command: Any = (*head, len(keys), *keys, *args)
        packed = pack_command(command)
        if not self._packed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._packed.append(packed)
        self._listeners.append(partial(self._take, call))

    def _flush(self) -> None:
        if not self._packed:
            return
        if self._connection is not None and not self._connection.is_lost:
            packed, self._packed = self._packed, []
            listeners, self._listeners = self._listeners, []
            self._connection.send(packed[0] if len(packed) == 1 else b"".join(packed), listeners)
        elif self._opening is None:
            self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        """Connect, and send what has gathered meanwhile."""
        try:
            lost, self._connection = self._connection, None
            if lost is not None:
                await lost.release()
            self._connection = await RawConnection.open(self._pool)
        except (RedisError, OSError) as error:
            self._tell_unsent(error)
        finally:
            self._opening = None
        self._flush()

    def _tell_unsent(self, error: Exception) -> None:
        self._packed.clear()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(error if isinstance(error, RedisError) else RedisConnectionError(str(error)))

    def _take(self, call: Call, reply: Any) -> None:
        if isinstance(reply, NoScriptError):
            self._send(call, ("EVAL", call[1].text))
        else:
            call[0](reply)
