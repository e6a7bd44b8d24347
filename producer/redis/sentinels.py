"""Looks up the primary through Sentinel, from an event loop or a thread. Used by the connections of ``dial.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from redis import connection as blocking
from redis.asyncio import connection as pooled
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.errors import os_reason

SENTINEL_ANSWER_S: Final = 1.0
"""Seconds to connect to a Sentinel and get its reply, before the next one is asked."""


class SentinelRefused(AuthenticationError):
    """A Sentinel refuses the password."""


@dataclass(slots=True, eq=False)
class Sentinels:
    """The Sentinels of ``service``; the last one that replied is asked first."""

    hosts: list[tuple[str, int]]
    service: str
    is_tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    async def primary(self) -> tuple[str, int]:
        """Return host and port; raises ``ConnectionError`` with each Sentinel's reason, and ``SentinelRefused``."""
        said: list[str] = []
        for host, port in list(self.hosts):
            kind = pooled.SSLConnection if self.is_tls else pooled.Connection
            asked: Any = kind(host=host, port=port, **self._options())
            try:
                await asked.connect()
                await asked.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                if found := self._found((host, port), await asked.read_response(), said):
                    return found
            except (RedisError, OSError) as error:
                self._note((host, port), error, said)
            finally:
                await asked.disconnect(nowait=True)
        raise self._unknown(said)

    def primary_now(self) -> tuple[str, int]:
        """Blocking form of ``primary``."""
        said: list[str] = []
        for host, port in list(self.hosts):
            kind = blocking.SSLConnection if self.is_tls else blocking.Connection
            asked: Any = kind(host=host, port=port, **self._options())
            try:
                asked.connect()
                asked.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                if found := self._found((host, port), asked.read_response(), said):
                    return found
            except (RedisError, OSError) as error:
                self._note((host, port), error, said)
            finally:
                asked.disconnect()
        raise self._unknown(said)

    def _options(self) -> dict[str, Any]:
        return {"socket_timeout": SENTINEL_ANSWER_S, "socket_connect_timeout": SENTINEL_ANSWER_S, **self.options}

    def _found(self, sentinel: tuple[str, int], reply: Any, said: list[str]) -> tuple[str, int] | None:
        if not reply:
            said.append(f"{sentinel[0]}:{sentinel[1]} does not know it")
            return None
        # In one step: a lease thread shares the list with the event loop.
        self.hosts = [sentinel, *(one for one in self.hosts if one != sentinel)]
        host, port = (part.decode() if isinstance(part, bytes) else str(part) for part in reply)
        return host, int(port)

    def _note(self, sentinel: tuple[str, int], error: Exception, said: list[str]) -> None:
        where = f"{sentinel[0]}:{sentinel[1]}"
        if isinstance(error, AuthenticationError):
            msg = f"the Sentinel at {where!r} refuses the password: put it into REDIS_URL as ?sentinel_password="
            raise SentinelRefused(msg) from None
        cause = error if isinstance(error, OSError) else error.__context__
        said.append(f"{where}: {os_reason(cause) if isinstance(cause, OSError) else error}")

    def _unknown(self, said: list[str]) -> RedisConnectionError:
        return RedisConnectionError(f"no Sentinel names a primary of {self.service!r}: {'; '.join(said)}")
