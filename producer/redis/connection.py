"""Opens Redis and translates redis-py's errors into Sightline's; no other module does the latter."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    DataError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.errors import DependencyMissing, QueueFull, RedisUnreachable, RedisUnsuitable, Unconfirmed, os_reason
from producer.redis import raw_connection
from producer.redis.dial import WrongProtocol, open_blocking, open_pool
from producer.redis.raw_connection import ReplyLost
from producer.redis.sentinels import SentinelRefused
from producer.settings import ClientSettings

CONNECT_TIMEOUT_S: Final = 5.0
SILENT_S: Final = 10
"""TCP keep-alive limit, since a router may drop a connection without notice. Kernels answer these probes, so a busy or
frozen Redis keeps its connections. Linux's default is 15 minutes."""
ATTEMPTS: Final = 5
"""Reconnection attempts per call; with the back-off below about three seconds, the duration of a restart."""
ATTEMPTS_OF_A_FAILOVER: Final = 12
"""The same with Sentinel: about ten seconds, enough to agree that the primary is down and to promote a replica."""
_T = TypeVar("_T")
_TRIED_AGAIN: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OSError)
"""A read-only Redis is a replica, perhaps since a failover: the new connection may lead to the primary."""
_KEEPALIVE: Final[dict[str, Any]] = {
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value
        for name, value in {
            "TCP_KEEPIDLE": SILENT_S // 2,
            "TCP_KEEPINTVL": 1,
            "TCP_KEEPCNT": SILENT_S // 2,
            "TCP_USER_TIMEOUT": SILENT_S * 1000,
        }.items()
        if hasattr(socket, name)  # macOS lacks some of them
    },
}


def open_redis(settings: ClientSettings, *, gives_up: bool = False) -> Redis:
    """Return a client that connects on its first call, reconnects with back-off, and does not decode replies.

    A command whose reply was lost is sent again, so use it only for idempotent commands. A connection that is silent
    for ``REPLY_S`` counts as lost, since a frozen primary may have been replaced; with ``gives_up``, that is raised.
    """
    address = settings.address
    attempts = ATTEMPTS_OF_A_FAILOVER if address.service else ATTEMPTS
    return Redis.from_pool(
        open_pool(
            address,
            password_file=settings.redis_password_file,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=raw_connection.REPLY_S,
            **({} if address.path else _KEEPALIVE),
            health_check_interval=30,
            # OSError is a refused connection, which redis-py 5 does not retry by default.
            retry=_Retry(ExponentialBackoff(cap=1.0, base=0.1), attempts, cast("Any", _TRIED_AGAIN), gives_up=gives_up),
            retry_on_error=list(_TRIED_AGAIN),
        )
    )


def open_blocking_redis(settings: ClientSettings, *, timeout_s: float) -> BlockingRedis:
    """Return a client without retries, for commands that have no event loop."""
    return open_blocking(
        settings.address,
        password_file=settings.redis_password_file,
        socket_connect_timeout=min(CONNECT_TIMEOUT_S, timeout_s),
        socket_timeout=timeout_s,
    )


_is_retried: ContextVar[bool] = ContextVar("is_retried", default=False)


class _Retry(Retry):
    """Retries after outages but not after a refused password, nor, with ``gives_up``, after silence.

    redis-py retries a command, the health check before it and the connection that either needs, each within the other:
    a Redis that ended during a command was reported after 20 s, with Sentinel after 30. Here only the outermost
    retries. redis-py also takes a refused password for an outage.
    """

    def __init__(self, *about: Any, gives_up: bool) -> None:
        super().__init__(*about)
        self._gives_up = gives_up

    async def call_with_retry(self, do: Callable[[], Awaitable[_T]], fail: Callable[[RedisError], Any]) -> _T:
        """Return the result of ``do``, retried after an outage; raises ``AuthenticationError`` at once."""
        final: list[Exception] = []
        retried = _ONCE.call_with_retry if _is_retried.get() else super().call_with_retry

        async def once() -> _T | None:
            outside = _is_retried.set(True)
            try:
                return await do()
            except (AuthenticationError, RedisTimeoutError) as error:
                if isinstance(error, RedisTimeoutError) and not (self._gives_up and _is_silence(error)):
                    raise
                final.append(error)
                return None
            finally:
                _is_retried.reset(outside)

        done = await retried(once, fail)
        if final:
            raise final[0]
        return cast("_T", done)


_ONCE: Final = Retry(NoBackoff(), 0, cast("Any", _TRIED_AGAIN))


def _is_silence(error: object) -> bool:
    """Return whether a reply timed out; redis-py raises the same error when connecting times out."""
    return isinstance(error, RedisTimeoutError) and str(error).startswith("Timeout reading")


def _any_doubt() -> str:
    return "the request may have taken effect"


class redis_errors:  # noqa: N801  read as a function; a class because a generator is most of what an empty with costs
    """Translate redis-py's errors into Sightline's inside a ``with``.

    ``doubt`` returns what may have taken effect unconfirmed; None for calls that only read.
    """

    __slots__ = ("_doubt", "_settings")

    def __init__(self, settings: ClientSettings, doubt: Callable[[], str] | None = _any_doubt) -> None:
        self._settings = settings
        self._doubt = doubt

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DataError):  # the latter is about the caller's value, as a TypeError is
            return
        if isinstance(error, ReplyLost | RedisTimeoutError) and (isinstance(error, ReplyLost) or _is_silence(error)):
            where = self._settings.public_redis_url
            if self._doubt is None:
                hint = "it is frozen or overloaded, or the network is cut: try again"
                raise RedisUnreachable(f"Redis at {where!r} did not reply ({_short(error)}): {hint}") from error
            raise Unconfirmed(f"Redis at {where!r} did not reply ({_short(error)}): {self._doubt()}") from error
        if isinstance(error, OSError) and is_of_this_machine(error):
            raise DependencyMissing(machine_reason(error)) from error
        if isinstance(error, RedisError | OSError):
            raise explained(error, self._settings) from error


def is_of_this_machine(error: OSError) -> bool:
    """Return whether a file on this machine failed rather than the connection, as with a full temporary folder."""
    return error.filename is not None or error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def machine_reason(error: OSError) -> str:
    """Return a message about the file on this machine that failed, and how to fix it."""
    what = repr(str(error.filename)) if error.filename is not None else "a file on this machine"
    return (
        f"{what} cannot be used ({os_reason(error)}): free some space and make it writable, or set TMPDIR to a "
        f"writable folder"
    )


def explained(error: Exception, settings: ClientSettings) -> RedisUnreachable | RedisUnsuitable | QueueFull:
    """Return Sightline's error for redis-py's ``error``, with advice."""
    where = settings.public_redis_url
    if refusal := _refusal(error, where):
        return RedisUnsuitable(refusal)
    if isinstance(error, BusyLoadingError):
        return RedisUnreachable(f"Redis at {where!r} is still loading its data: try again in a moment")
    if isinstance(error, OutOfMemoryError):
        return QueueFull(f"Redis at {where!r} is at its maxmemory: wait for jobs to finish, or raise maxmemory")
    if isinstance(error, ReadOnlyError) and settings.address.service:
        return RedisUnreachable(f"the primary that {where!r} names is read-only, as during a failover: try again")
    if isinstance(error, ReadOnlyError):
        return RedisUnsuitable(f"Redis at {where!r} is read-only (a replica?): point REDIS_URL at the primary")
    if isinstance(error, NoPermissionError) or "ACL failure" in str(error):
        return RedisUnsuitable(f"Redis at {where!r} does not permit this to the user in REDIS_URL: {error}")
    if "MISCONF" in str(error):
        return RedisUnsuitable(f"Redis at {where!r} cannot write to its disk and refuses writes: free some space there")
    if "Protocol error" in str(error):
        return RedisUnsuitable(f"the server at REDIS_URL {where!r} is not a Redis ({_short(error)}): correct the port")
    if isinstance(error, ResponseError):
        return RedisUnsuitable(f"Redis at {where!r} refused the command: {error}")
    return RedisUnreachable(
        f"nothing answers at REDIS_URL {where!r} ({_short(error)}): "
        "start Redis, or correct REDIS_URL; without it, 'sightline up' starts one"
    )


def _refusal(error: Exception, where: str) -> str:
    """Return what is wrong with the password or the protocol, or ''."""
    if isinstance(error, WrongProtocol | SentinelRefused):
        return str(error)
    if "Authentication required" in str(error):
        return (
            f"Redis at {where!r} requires a password: put it into REDIS_URL as redis://:PASSWORD@host, or set "
            "REDIS_PASSWORD_FILE to a file that contains it"
        )
    if isinstance(error, AuthenticationError) or "WRONGPASS" in str(error):
        return (
            f"Redis at {where!r} refuses the password: put it into REDIS_URL as redis://:PASSWORD@host, or into the "
            "file of REDIS_PASSWORD_FILE"
        )
    return ""


def _short(error: Exception) -> str:
    """Return the operating system's reason, if any, without the numbers and addresses that redis-py adds."""
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.errno:
        return os_reason(cause)
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
