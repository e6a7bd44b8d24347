"""A blocking read of one lane on a dedicated connection.

Each read is followed by a script that Redis runs as soon as the read is served: it starts the entry, and both replies
arrive together. The callback that receives them begins the job directly, without waking a task first, so that an idle
worker starts its next job sooner (decision 0012). Next: ``loop.py``, which decides when to read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from producer.contract import Lane
from producer.keys import GROUP, Keys
from producer.redis.raw_connection import RawConnection, replied, settle
from producer.redis.scripts import Arg, load_script
from worker.queue.delivery import Entry, entries_of, started

BLOCK_MS: Final = 5_000
"""Longest blocking read; even an idle consumer contacts Redis at least this often."""
START_READ: Final = load_script("worker.queue", "start_read")
ANSWER_S: Final = 10.0
"""Additional wait for the reply before the connection is abandoned, because a half-open socket never delivers one."""

Arrived = Callable[[list[Entry]], None]


class LaneReader:
    """A blocking XREADGROUP on ``lane`` followed by start_read.lua; ``arrived`` receives the entries of both."""

    def __init__(self, redis: Redis, keys: Keys, lane: Lane, *, consumer: str, arrived: Arrived) -> None:
        self._redis = redis
        self._pool = cast("ConnectionPool", redis.connection_pool)
        self._lane = lane
        self._key = keys.lane(lane)
        self._args: tuple[Arg, ...] = (GROUP, consumer, keys.job(""))
        self._is_known = False
        self._arrived = arrived
        words: Any = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", self._key, ">")
        self._read = pack_command(words)
        self._connection: RawConnection | None = None
        self._client_id = 0

    async def read(self, *, newest: str, tries: Sequence[Arg]) -> bool:
        """Wait for one entry; returns whether one arrived before ``BLOCK_MS`` or ``unblock``.

        ``newest`` is the newest entry id in this lane known to the worker; ``tries`` is the default number, followed by
        kind and tries of each function that sets its own. Raises redis-py's errors of the read; a failed script does no
        harm.
        """
        connection = self._connection or await self._open()
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        replies: list[Any] = []
        script = START_READ.packed((self._key,), (*self._args, newest, *tries), with_text=not self._is_known)
        connection.send(self._read + script, [replies.append, lambda start: self._take(replies[0], start, done)])
        try:
            async with asyncio.timeout(BLOCK_MS / 1000 + ANSWER_S):
                return await done
        except ResponseError:
            raise
        except TimeoutError:
            await self.close()
            return False
        except BaseException:  # a late reply would start a job although nobody waits for it
            await self.close()
            raise

    async def unblock(self) -> None:
        """Make a waiting ``read`` return at once."""
        if self._client_id:
            with contextlib.suppress(RedisError, OSError):
                await replied(self._redis.execute_command("CLIENT UNBLOCK", self._client_id))

    async def close(self) -> None:
        """Close the connection; undelivered entries stay pending and are reclaimed."""
        connection, self._connection, self._client_id = self._connection, None, 0
        if connection is not None:
            await connection.release()

    async def _open(self) -> RawConnection:
        self._connection = connection = await RawConnection.open(self._pool)
        self._is_known = False  # the server may have been restarted without its scripts
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        who: Any = ("CLIENT", "ID")
        connection.send(pack_command(who), [lambda reply: settle(answer, reply)])
        try:
            async with asyncio.timeout(ANSWER_S):
                self._client_id = int(await answer)
        except BaseException:  # a late reply would be mistaken for the next one
            await self.close()
            raise
        return connection

    def _decoded(self, reply: Any, start: Sequence[Any]) -> list[Entry]:
        """Return the entries of both replies; ``start`` has the started entry and start.lua's reply.

        A started entry that is missing in ``reply`` was claimed by an earlier read whose reply was lost.
        """
        lanes = list(reply.items()) if isinstance(reply, Mapping) else reply  # RESP3 returns a map
        entries = entries_of(self._lane, lanes[0][1]) if lanes else []
        if not start:
            return entries
        entry_id, job_id, kind, about = start
        entry = Entry(entry_id.decode(), self._lane, job_id.decode(), kind.decode("utf-8", "replace"), {})
        entry.start = started(entry, about)
        return [*(other for other in entries if other.id != entry.id), entry]

    def _take(self, reply: Any, start: Any, done: asyncio.Future[bool]) -> None:
        if done.done():  # nobody waits any more: the entries stay pending and are reclaimed
            return
        self._is_known = not isinstance(start, NoScriptError)
        if isinstance(start, RedisConnectionError) or isinstance(reply, Exception):
            settle(done, start if isinstance(start, RedisConnectionError) else reply)
            return
        try:
            if entries := self._decoded(reply, () if isinstance(start, Exception) else start):
                self._arrived(entries)
        except Exception as error:  # noqa: BLE001  the reader's task raises it; here it would only be logged
            settle(done, error)
        else:
            settle(done, bool(entries))
