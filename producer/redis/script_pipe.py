"""Runs Lua scripts of many tasks over one connection that is kept, opened at the first call and again when it is lost.

A client's ``run`` and ``run_many`` send in the call: what a submit costs is mostly the client's own work. They are
repeated after a lost connection, so only scripts that bear repetition may be run so. A worker's ``call`` is packed with
the others of its tick, several ticks may be in flight, and nothing is repeated: a lost connection fails the call, and
the caller, who knows what a repetition means, decides. A script that Redis has forgotten (restart) is sent again with
its text. Next: ``raw_connection.py``; ``bulk.py``, many calls as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import AuthenticationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.redis.backoff import Backoff
from producer.redis.raw_connection import REPLY_S, Listener, RawConnection, ReplyLost, ReplyTimeout, settle
from producer.redis.scripts import Arg, Script

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 1.0


class ScriptPipe:
    """One connection shared by all tasks of a loop."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: RawConnection | None = None
        self._opening = asyncio.Lock()
        self._packed: list[bytes] = []
        self._listeners: list[Listener] = []
        self._flushing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Fail what is still waiting and give the connection back. Safe to call twice."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        self._fail_unsent(RedisConnectionError("the script pipe was closed"))
        await self._release()

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.release()

    async def _opened(self) -> RawConnection:
        """Return the connection of all calls; raises redis-py's errors when it cannot be opened."""
        async with self._opening:
            if self._connection is None or self._connection.is_lost:
                await self._release()
                self._connection = await RawConnection.open(self._pool)
            return self._connection

    # ------------------------------------------------------------------------------------------ sent in the call

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Return the script's reply; raises redis-py's errors, and ``ReplyLost`` where the script may have run."""
        until = time.monotonic() + REPLY_S
        connection, lost = self._connection, None
        if connection is not None and not connection.is_lost:
            # The common case, without what lost connections and many calls need.
            try:
                return await connection.call(script.packed(keys, args))
            except (RedisConnectionError, NoScriptError) as error:  # sent again below, unless Redis is silent
                if isinstance(error, ReplyTimeout):
                    raise
                lost = error if isinstance(error, ReplyLost) else None
        reply = (await self.run_many(script, [(keys, args)], lost=lost, until=until))[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run_many(
        self,
        script: Script,
        calls: Sequence[tuple[Sequence[str], Sequence[Arg]]],
        *,
        then: bytes = b"",
        lost: ReplyLost | None = None,
        until: float | None = None,
    ) -> list[Any]:
        """Return the replies in order, an error reply as its exception; raises as ``run``, after ``REPLY_S`` at most.

        ``then`` is a packed command that is sent right behind the calls, whose reply comes last; ``lost`` is how an
        earlier try of them ended, which leaves them the time ``until``.
        """
        until = until or time.monotonic() + REPLY_S
        replies: list[Any] = []
        for with_text in (False, True):
            packed = b"".join([script.packed(keys, args, with_text=with_text) for keys, args in calls])
            replies = await self._exchange(packed + then, len(calls) + bool(then), lost, until)
            if not any(isinstance(reply, NoScriptError) for reply in replies):
                break
        return replies

    async def _exchange(self, packed: bytes, count: int, lost: ReplyLost | None, until: float) -> list[Any]:
        """Return the replies to ``count`` commands, sent again after a lost connection up to the time ``until``."""
        failure: RedisError | None = None
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        try:
            async with asyncio.timeout_at(until):  # a loop's clock is the monotonic one
                if self._connection is None:
                    await self._opened()  # where none was open before, the pool's own back-off is patience enough
                while True:
                    try:
                        return await _replies(await self._opened(), packed, count)
                    except (AuthenticationError, ReplyTimeout):
                        raise
                    except (RedisConnectionError, RedisTimeoutError) as error:
                        failure, lost = error, error if isinstance(error, ReplyLost) else lost
                    await asyncio.sleep(backoff.pause_s())
        except TimeoutError:
            raise lost or failure or ReplyTimeout(f"no reply within {REPLY_S:g} s") from None

    # ------------------------------------------------------------------------------------------ sent with the tick

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
        packed = script.packed(keys, args)
        self._gather(packed, partial(self._take, listener, script, keys, args))

    def flush(self) -> None:
        """Send what has gathered, without waiting for the other calls of this tick."""
        if not self._packed:
            return
        if self._connection is not None and not self._connection.is_lost:
            packed, self._packed = self._packed, []
            listeners, self._listeners = self._listeners, []
            self._connection.send(packed[0] if len(packed) == 1 else b"".join(packed), listeners)
        elif self._flushing is None:
            self._flushing = asyncio.ensure_future(self._flush_when_open())

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

    async def _flush_when_open(self) -> None:
        try:
            await self._opened()
        except (RedisError, OSError) as error:
            self._fail_unsent(error)
        finally:
            self._flushing = None
        self.flush()

    def _fail_unsent(self, error: Exception) -> None:
        self._packed.clear()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(error if isinstance(error, RedisError) else RedisConnectionError(str(error)))

    def _gather(self, packed: bytes, listener: Listener) -> None:
        """Put a call into this tick's write."""
        if not self._packed:
            asyncio.get_running_loop().call_soon(self.flush)
        self._packed.append(packed)
        self._listeners.append(listener)

    def _take(self, listener: Listener, script: Script, keys: Sequence[str], args: Sequence[Arg], reply: Any) -> None:
        if isinstance(reply, NoScriptError):
            self._gather(script.packed(keys, args, with_text=True), listener)
        else:
            listener(reply)


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
