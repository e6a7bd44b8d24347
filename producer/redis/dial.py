"""Dials Redis: makes every pool and connection, blocking or not, from an address (``redis_address.py``).

With Sentinel, each connection looks up the primary when it is opened, so reconnections after a failover reach the new
one. A connection to a server that has become read-only is dialled again before its next use. A password file is read
for each connection. A mismatch between TLS and plain TCP is reported at once. Next: ``connection.py``, which opens
clients.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from typing import Any, Final, cast

from redis import Redis as BlockingRedis
from redis import connection as blocking
from redis.asyncio import connection as pooled
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from producer.errors import SettingsError
from producer.redis.sentinels import Sentinels
from producer.redis_address import RedisAddress, connection_options, password_in

PROBE_S: Final = 1.0
OPENINGS: Final = 5
"""Attempts for a connection that is cut while it is opened; redis-py retries only refused connections."""
IDLE_S: Final = 10.0
_PACKER: Final = blocking.HiredisRespSerializer()


class WrongProtocol(AuthenticationError):
    """One side speaks TLS and the other does not; retrying is pointless."""


class PasswordFile(CredentialProvider):
    """A password read from its file for each connection, so that it can be changed while the program runs."""

    def __init__(self, path: str, username: str = "") -> None:
        self._path = path
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the arguments of AUTH; an unreadable file counts as an outage."""
        try:
            password = password_in(self._path)
        except SettingsError as error:
            raise RedisConnectionError(str(error)) from None
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the same; blocking is acceptable since the file is small and local."""
        return self.get_credentials()


# ---------------------------------------------------------------------------------------------- connections


class _Checked(pooled.AbstractConnection):
    """Takes any reply to its health check for a sign of life: Redis refuses PING while it cannot write to its disk."""

    async def _send_ping(self) -> None:
        with suppress(ResponseError):
            await super()._send_ping()


class _Connection(_Checked, pooled.Connection):
    """Raises permanent errors unchanged and reports a protocol mismatch."""

    is_tls = False
    _is_opening = False
    _is_reached = False

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack in C, as redis-py does for blocking connections only: in Python it costs more than the reply."""
        return _PACKER.pack(*args)

    async def connect(self) -> None:
        if self.is_connected:
            return
        if self._is_opening:  # redis-py's handshake uses commands, which would reconnect after a hang-up
            raise RedisConnectionError("the server closed the connection before it was established")
        self._is_opening = True
        try:
            for left in reversed(range(OPENINGS)):
                self._is_reached = False
                try:
                    await super().connect()
                except (AuthenticationError, asyncio.CancelledError):
                    raise
                except RedisConnectionError as error:
                    if isinstance(error.__cause__, AuthenticationError):  # redis-py wraps errors of opening a socket
                        raise error.__cause__ from None
                    if not self.is_tls and (wrong := await self._mismatch()):
                        raise WrongProtocol(wrong) from None
                    if not (left and self._is_reached):
                        raise
                else:
                    return
        finally:
            self._is_opening = False

    async def check_health(self) -> None:
        """Check nothing while the connection is opened: redis-py would send PING first, and again after each pause."""
        if not self._is_opening:
            await super().check_health()

    async def _connect(self) -> None:
        await super()._connect()
        self._is_reached = True

    async def _mismatch(self) -> str:
        if not self.host:  # no Sentinel has named one
            return ""
        return await asyncio.to_thread(mismatch, self.host, self.port, is_tls=self.is_tls)


class _TlsConnection(_Connection, pooled.SSLConnection):
    is_tls = True

    async def _connect(self) -> None:
        try:
            await super()._connect()
        except OSError:
            if wrong := await self._mismatch():
                raise WrongProtocol(wrong) from None
            raise


class _Socket(_Checked, pooled.UnixDomainSocketConnection):
    """A connection to a Unix socket."""


class _PrimaryMixin:
    """Asks the Sentinels for the primary on each connection."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**{**options, "host": ""})


class _Primary(_PrimaryMixin, _Connection):
    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await super()._connect()


class _TlsPrimary(_PrimaryMixin, _TlsConnection):
    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await super()._connect()


class _BlockingPrimary(_PrimaryMixin, blocking.Connection):
    def _connect(self) -> Any:
        self.host, self.port = self._sentinels.primary_now()
        return super()._connect()


class _BlockingTlsPrimary(_PrimaryMixin, blocking.SSLConnection):
    def _connect(self) -> Any:
        self.host, self.port = self._sentinels.primary_now()
        return super()._connect()


def mismatch(host: str, port: int, *, is_tls: bool) -> str:
    """Return a correction if the server speaks the other protocol; '' if it does not, or is silent."""
    try:
        with socket.create_connection((host, port), timeout=PROBE_S) as probe:
            if is_tls:
                probe.sendall(b"PING\r\n")
                if probe.recv(1) in {b"+", b"-"}:
                    return f"Redis at '{host}:{port}' does not speak TLS: write redis://, not rediss://"
            elif _speaks_tls(probe):
                return f"Redis at '{host}:{port}' speaks only TLS: write rediss://, not redis://"
    except OSError:
        pass
    return ""


def _speaks_tls(probe: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: this only detects TLS
    try:
        context.wrap_socket(probe).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    return True


# ---------------------------------------------------------------------------------------------- pools


class _Pool(pooled.ConnectionPool):
    """Closes a connection unused for ``IDLE_S`` when another is returned; redis-py's pool keeps the most ever used."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._free_since: dict[pooled.AbstractConnection, float] = {}

    async def release(self, connection: pooled.AbstractConnection) -> None:
        now = self._free_since[connection] = time.monotonic()
        await super().release(connection)
        oldest = self._available_connections[0] if self._available_connections else connection  # the last is taken
        if now - self._free_since[oldest] > IDLE_S:
            self._available_connections.remove(oldest)
            del self._free_since[oldest]
            await oldest.disconnect(nowait=True)


def connection_arguments(address: RedisAddress, *, password_file: str = "") -> dict[str, Any]:
    """Return the arguments of a connection to ``address``, blocking or not."""
    arguments = connection_options(address)
    if address.path:
        arguments["path"] = address.path
    elif address.service:
        tls = {name: value for name, value in arguments.items() if name.startswith("ssl_")}
        options = {**tls, **address.sentinel_options}
        arguments["sentinels"] = Sentinels(list(address.hosts), address.service, address.is_tls, options)
    else:
        arguments["host"], arguments["port"] = address.hosts[0]
    if password_file:
        arguments.pop("password", None)
        arguments["credential_provider"] = PasswordFile(password_file, arguments.pop("username", ""))
    return arguments


def open_pool(address: RedisAddress, *, password_file: str = "", **defaults: Any) -> pooled.ConnectionPool:
    """Return a pool of asyncio connections to ``address``, whose options override ``defaults``."""
    arguments = {**defaults, **connection_arguments(address, password_file=password_file)}
    if address.path:
        return _Pool(_Socket, **arguments)
    if address.service:
        return _Pool(_TlsPrimary if address.is_tls else _Primary, **arguments)
    return _Pool(_TlsConnection if address.is_tls else _Connection, **arguments)


def open_blocking(address: RedisAddress, *, password_file: str = "", **defaults: Any) -> BlockingRedis:
    """Return a blocking client, for threads and for commands without an event loop."""
    arguments = {**defaults, **connection_arguments(address, password_file=password_file)}
    return _blocking_client(arguments, is_tls=address.is_tls)


def asks_sentinels(pool: pooled.ConnectionPool) -> bool:
    """Return whether ``pool`` finds its server through Sentinel."""
    return "sentinels" in pool.connection_kwargs or isinstance(pool, SentinelConnectionPool)


def address_of(pool: pooled.ConnectionPool) -> str:
    """Return where ``pool`` connects to, without user and password."""
    given = pool.connection_kwargs
    if asks_sentinels(pool):
        known = _arq_sentinels(pool) if isinstance(pool, SentinelConnectionPool) else given["sentinels"]
        hosts = ",".join(f"{host}:{port}" for host, port in known.hosts)
        return f"redis+sentinel://{hosts}/{known.service}"
    if given.get("path"):
        return f"unix://{given['path']}"
    scheme = "rediss" if issubclass(pool.connection_class, pooled.SSLConnection) else "redis"
    return f"{scheme}://{given.get('host', 'localhost')}:{given.get('port', 6379)}/{given.get('db') or 0}"


_TWIN_OPTIONS: Final = ("host", "port", "db", "username", "password", "path", "credential_provider", "sentinels")


def blocking_twin(pool: pooled.ConnectionPool, *, timeout_s: float) -> BlockingRedis:
    """Return a separate blocking client for the server of ``pool``, which may be Sightline's or arq's."""
    given = pool.connection_kwargs
    arguments = {name: given[name] for name in _TWIN_OPTIONS if given.get(name) is not None}
    arguments |= {name: value for name, value in given.items() if name.startswith("ssl_") and value is not None}
    if isinstance(pool, SentinelConnectionPool):
        arguments["sentinels"] = _arq_sentinels(pool)
    is_tls = issubclass(pool.connection_class, pooled.SSLConnection)
    return _blocking_client(
        {**arguments, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}, is_tls=is_tls
    )


def _arq_sentinels(pool: SentinelConnectionPool) -> Sentinels:
    """Return the Sentinels of a pool made by arq or redis-py."""
    known = [cast("Any", client).connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    hosts = [(str(options["host"]), int(options["port"])) for options in known]
    options = {name: value for name, value in known[0].items() if name in {"username", "password"} and value}
    return Sentinels(hosts, pool.service_name, is_tls=False, options=options)


_NO_RETRY: Final = Retry(NoBackoff(), 0, (RedisConnectionError, RedisTimeoutError, ReadOnlyError))
"""redis-py closes a connection after these errors; a server that was demoted in place sends the last one."""


def _blocking_client(arguments: dict[str, Any], *, is_tls: bool) -> BlockingRedis:
    kind: type[Any]
    if "path" in arguments:
        kind = blocking.UnixDomainSocketConnection
    elif "sentinels" in arguments:
        kind = _BlockingTlsPrimary if is_tls else _BlockingPrimary
    else:
        kind = blocking.SSLConnection if is_tls else blocking.Connection
    return BlockingRedis(connection_pool=blocking.ConnectionPool(kind, retry=_NO_RETRY, **arguments))
