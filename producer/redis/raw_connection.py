"""A connection from a redis-py pool whose socket is used directly: writes are immediate, replies arrive by callback.

redis-py opens the connection (TLS, password, database) and takes it back afterwards. In between, its layers are
bypassed: they pack in Python, check the socket before each command and wake a task for each reply, which together cost
more than a submit or a commit. Replies arrive in the order of the commands; what a lost reply means is up to the
caller. Next: ``script_pipe.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, Self, TypeVar, cast

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError

CANCEL_AGAIN_S: Final = 0.25
REPLY_S: Final = 30.0
"""Longest wait for a reply, since a frozen Redis or a half-open socket sends nothing. Must exceed the longest blocking
command: 10 s, in WAITAOF."""

T = TypeVar("T")
Listener = Callable[[Any], None]
"""Called once with the reply (bytes, numbers, lists), or with an exception for an error reply or a lost connection."""

_NOTHING_YET: Final = object()
_SILENT: Final = f"no reply within {REPLY_S:g} s"


class ReplyLost(RedisConnectionError):
    """The connection was lost before the reply; Redis may have executed the command."""


class ReplyTimeout(ReplyLost):
    """Redis was silent for ``REPLY_S``."""


class RawConnection(asyncio.Protocol):
    """A connection that is open until it is lost or released."""

    def __init__(self, pool: ConnectionPool, connection: AbstractConnection) -> None:
        self._pool = pool
        self._connection = connection
        streams: Any = connection
        seen: Any = streams._reader  # noqa: SLF001  no public way to the socket
        self._transport: asyncio.Transport = streams._writer.transport  # noqa: SLF001  the same
        self._before = self._transport.get_protocol()
        self._reader = hiredis.Reader(replyError=self._error_of, notEnoughData=_NOTHING_YET)
        self._is_demoted = False
        self._listeners: deque[Listener] = deque()
        self._lost: RedisError | None = None
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self.opened_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._transport.set_protocol(self)
        # redis-py checks the socket for one tick; what asyncio's reader consumes in that tick is not reported again.
        if seen.at_eof() or seen._buffer or self._transport.is_closing():  # noqa: SLF001
            self.lose("Redis closed the connection, or sent unexpected data on it")

    @classmethod
    async def open(cls, pool: ConnectionPool) -> Self:
        """Take a connection from ``pool``; raises redis-py's errors, including ``ReplyTimeout``."""
        taken = cls(pool, await replied(pool.get_connection()))
        if taken.is_lost:
            await taken.release()  # closed; the pool reconnects it
            taken = cls(pool, await replied(pool.get_connection()))
        return taken

    @property
    def is_lost(self) -> bool:
        """Whether the connection can no longer send."""
        return self._lost is not None

    @property
    def silent_s(self) -> float:
        """Seconds since the oldest unanswered command or the last reply; 0 if no reply is due."""
        return time.monotonic() - self._heard_at if self._listeners else 0.0

    def send(self, packed: bytes, listeners: Iterable[Listener]) -> None:
        """Send packed commands, one listener each. On a lost connection the listeners are notified at once."""
        if self._lost is not None:
            for listener in listeners:
                listener(self._lost)
            return
        if not self._listeners:
            self._heard_at = time.monotonic()
            if self._watch is None:
                self._watch = self._loop.call_later(REPLY_S, self._look)
        self._listeners.extend(listeners)
        self._transport.write(packed)

    def call(self, packed: bytes) -> asyncio.Future[Any]:
        """Send one command and return a future for its reply; it raises error replies and a lost connection."""
        future = self._loop.create_future()
        self.send(packed, (partial(settle, future),))
        return future

    def data_received(self, data: bytes) -> None:
        """Pass the replies to their listeners.

        A Redis that has become a replica ends the connection: the address may lead to another primary by now.
        """
        self._heard_at = time.monotonic()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets(False)) is not _NOTHING_YET:  # noqa: FBT003  as bytes; hiredis takes no keyword
                if self._listeners and not isinstance(reply, hiredis.PushNotification):
                    self._listeners.popleft()(reply)
        except hiredis.HiredisError as error:
            self.lose(f"Redis's reply cannot be read: {error}")
        if self._is_demoted:
            self.lose("Redis has become read-only")

    def _error_of(self, text: str) -> Exception:
        error: Exception = cast("Any", BaseParser).parse_error(text)
        self._is_demoted |= isinstance(error, ReadOnlyError)
        return error

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the listeners and redis-py's protocol."""
        self.lose(str(exc) if exc else "Redis closed the connection")
        self._before.connection_lost(exc)

    def _look(self) -> None:
        """Give up a silent connection; one timer covers all commands and is reset while replies are due."""
        left_s = REPLY_S - self.silent_s
        if left_s <= 0:
            self.lose(_SILENT, ReplyTimeout)
        self._watch = self._loop.call_later(left_s, self._look) if self._listeners else None

    def lose(self, why: str, kind: type[ReplyLost] = ReplyLost) -> None:
        """Give up the connection; the remaining listeners get an error of type ``kind``. Safe to call twice."""
        if self._lost is None:
            self._lost = RedisConnectionError(why)
            self._transport.abort()
        listeners, self._listeners = self._listeners, deque()
        for listener in listeners:
            listener(kind(why))

    async def release(self) -> None:
        """Return the connection to the pool, closed unless every reply has arrived. Call it once."""
        if self._listeners or self._lost is not None:
            self.lose("the connection was closed")
            with contextlib.suppress(RedisError, OSError):
                await self._connection.disconnect(nowait=True)
        else:
            self._lost = RedisConnectionError("the connection was released")
            self._transport.set_protocol(self._before)
        await self._pool.release(self._connection)


async def replied(call: Awaitable[T]) -> T:
    """Return the result of a redis-py call; raises ``ReplyTimeout`` after ``REPLY_S``.

    A cancellation that redis-py swallows is repeated every ``CANCEL_AGAIN_S``, and raised when the call ends. redis-py
    starts a command with ``asyncio.timeout(0)``, which may mistake a cancellation for its own (python/cpython#134471),
    and replaces one by the error of a connection that it closes; then it retries. Remove this when every supported
    Python and redis-py have fixes.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine is run by a task
    asked = task.cancelling()
    try:
        async with asyncio.timeout(REPLY_S):
            with _Again(task, asked):
                return await call
    except TimeoutError:
        raise ReplyTimeout(_SILENT) from None
    finally:
        if task.cancelling() > asked:
            raise asyncio.CancelledError


class _Again:
    """Repeats the cancellation of a task while it runs on; counts for nobody else (``Task.cancelling``)."""

    def __init__(self, task: asyncio.Task[Any], asked: int) -> None:
        self._task = task
        self._asked = asked
        self._repeated = 0
        self._is_due = False

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(CANCEL_AGAIN_S, self._look)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for _repeat in range(self._repeated):
            self._task.uncancel()

    def _look(self) -> None:
        """Cancel again if a cancellation was and is pending; a timeout within the call has one in passing."""
        is_pending = self._task.cancelling() > self._asked + self._repeated
        if self._is_due and is_pending:
            self._task.cancel()
            self._repeated += 1
        self._is_due = is_pending
        self._timer = self._loop.call_later(CANCEL_AGAIN_S, self._look)


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks that call Redis, and wait for their ends; what they raise is dropped.

    They are cancelled again every ``CANCEL_AGAIN_S``, as redis-py may swallow a cancellation: see ``replied``.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def settle(future: asyncio.Future[Any], reply: Any) -> None:
    """Resolve a future with a reply or an error, unless it is done already."""
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
        future.exception()  # a caller cancelled in this tick never reads it, and asyncio would log it
    else:
        future.set_result(reply)
