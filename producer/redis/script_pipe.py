"""Runs the Lua scripts of many tasks over one persistent connection, opened on the first call and again when lost.

A client's ``run`` and ``run_many`` send immediately, since the cost of a submit is mostly the client's own work. They
retry after a lost connection, and with Sentinel until it names a new primary, so use them only for idempotent scripts.
A worker's ``call`` is sent together with the others of its tick, several ticks may be in flight, and there is no retry:
a lost connection fails the call and the caller decides. A script that Redis has lost in a restart is sent again with
its text. Next: ``raw_connection.py``; ``bulk.py`` for batched calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import AuthenticationError, NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.redis.backoff import Backoff
from producer.redis.dial import asks_sentinels
from producer.redis.raw_connection import REPLY_S, Listener, RawConnection, ReplyLost, ReplyTimeout, settle
from producer.redis.scripts import Arg, Script

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 1.0
_REFUSED: Final = (NoScriptError, ReadOnlyError)
"""Replies of a script that did not run. A client sends it again: with its text, and on a new connection if Redis has
become read-only, which may lead to the new primary. Sentinels may name the old one for some seconds after that."""


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
        """Fail the calls still waiting and return the connection. Safe to call twice."""
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
        """Return the shared connection; raises redis-py's errors when it cannot be opened."""
        async with self._opening:
            if self._connection is None or self._connection.is_lost:
                await self._release()
                self._connection = await RawConnection.open(self._pool)
            return self._connection

    # ------------------------------------------------------------------------------------------ sent in the call

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Return the script's reply; raises redis-py's errors, and ``ReplyLost`` if the script may have run."""
        until = time.monotonic() + REPLY_S
        connection, lost = self._connection, None
        if connection is not None and not connection.is_lost:
            # The common case, without the overhead of retries and multiple calls.
            try:
                return await connection.call(script.packed(keys, args))
            except (RedisConnectionError, *_REFUSED) as error:  # sent again, unless Redis is silent
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
        """Return the replies in order, error replies as exceptions; raises as ``run``, after at most ``REPLY_S``.

        ``then`` is a packed command sent directly after the calls, whose reply is the last. ``lost`` is the failure of
        an earlier attempt, ``until`` the deadline, in monotonic time.
        """
        until = until or time.monotonic() + REPLY_S
        replies: list[Any] = []
        for with_text in (False, True):
            packed = b"".join([script.packed(keys, args, with_text=with_text) for keys, args in calls])
            replies = await self._exchange(packed + then, len(calls) + bool(then), lost, until)
            if not any(isinstance(reply, _REFUSED) for reply in replies):
                break
        return replies

    async def _exchange(self, packed: bytes, count: int, lost: ReplyLost | None, until: float) -> list[Any]:
        """Return the replies to ``count`` commands, retried until ``until`` after a lost connection.

        With Sentinel, a Redis that is no longer the primary counts as one.
        """
        failure: RedisError | None = None
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        try:
            async with asyncio.timeout_at(until):  # an event loop uses the monotonic clock
                if self._connection is None:
                    await self._opened()  # a first connection relies on the pool's own back-off
                while True:
                    try:
                        replies = await _replies(await self._opened(), packed, count)
                        read_only = next((one for one in replies if isinstance(one, ReadOnlyError)), None)
                        if read_only is None or not asks_sentinels(self._pool):
                            return replies
                        failure = read_only
                        if any(not isinstance(one, Exception) for one in replies):
                            lost = ReplyLost("Redis became read-only")  # after some of the calls
                    except (AuthenticationError, ReplyTimeout):
                        raise
                    except (RedisConnectionError, RedisTimeoutError) as error:
                        failure, lost = error, error if isinstance(error, ReplyLost) else lost
                    await asyncio.sleep(backoff.pause_s())
        except TimeoutError:
            raise lost or failure or ReplyTimeout(f"no reply within {REPLY_S:g} s") from None

    # ------------------------------------------------------------------------------------------ sent with the tick

    def call(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """Return a future for the script's reply.

        It fails with redis-py's ``ConnectionError`` when the reply was lost (the script may have run), and with
        ``ResponseError`` for an error reply. Raises ``TypeError`` for an argument that Redis cannot represent.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(script, keys, args, partial(settle, future))
        return future

    def send(self, script: Script, keys: Sequence[str], args: Sequence[Arg], listener: Listener) -> None:
        """Call the script, then ``listener`` once with its reply or error. Raises as ``call``."""
        packed = script.packed(keys, args)
        self._gather(packed, partial(self._take, listener, script, keys, args))

    def flush(self) -> None:
        """Send the pending calls without waiting for the rest of this tick."""
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
        """Monotonic time at which the connection was opened; a Redis restarted later has not replied on it."""
        if self._connection is None or self._connection.is_lost:
            return time.monotonic()
        return self._connection.opened_at

    def reset_if_stuck(self, *, limit_s: float) -> bool:
        """Drop the connection after ``limit_s`` without a due reply: a half-open socket never delivers one."""
        if self._connection is None or self._connection.silent_s < limit_s:
            return False
        self._connection.lose(f"no reply from Redis within {limit_s:g} s")
        return True

    async def _flush_when_open(self) -> None:
        try:
            await self._opened()
        except Exception as error:  # noqa: BLE001  such as one of a credential provider: each call must end
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
        """Add a call to this tick's write."""
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
    """Send and return a future for all replies; it fails with the first ``ConnectionError``."""
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
