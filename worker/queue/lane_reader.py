"""A blocking read of one lane, on a connection of its own that sees nothing else.

Right behind each read goes a script, which Redis runs when the read is served: it starts what the read has brought,
and both answers come home together. They are handed over in the callback that received them, not to a task that first
has to wake up. An idle worker begins its next job that much sooner (decision 0012). Next: ``loop.py``, which says when
to read.
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
from producer.redis.raw_connection import RawConnection, settle
from producer.redis.scripts import Arg, load_script
from worker.queue.delivery import Entry, Started, entries_of, started

BLOCK_MS: Final = 5_000
"""Longest blocking read; an idle consumer is seen by Redis at least this often."""
START_READ: Final = load_script("worker.queue", "start_read")
ANSWER_S: Final = 10.0
"""How much later than that an answer may come before the connection is given up: a half-open socket never answers."""

Claimed = tuple[Entry, Started | None]
"""A claimed entry, and what its start returned; None where it has not been started."""
Arrived = Callable[[list[Claimed]], None]


class LaneReader:
    """A blocking XREADGROUP on ``lane``, with start_read.lua behind it; ``arrived`` gets what either has brought."""

    def __init__(self, redis: Redis, keys: Keys, lane: Lane, *, consumer: str, arrived: Arrived) -> None:
        self._redis = redis
        self._pool = cast("ConnectionPool", redis.connection_pool)
        self._lane = lane
        self._key = keys.lane(lane)
        self._args: tuple[Arg, ...] = (GROUP, consumer, lane, keys.job(""))
        self._is_known = False
        self._arrived = arrived
        words: Any = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS", self._key, ">")
        self._read = pack_command(words)
        self._connection: RawConnection | None = None
        self._client_id = 0

    async def read(self, *, newest: str, tries: Sequence[Arg]) -> bool:
        """Wait for one entry; returns whether something came before ``BLOCK_MS`` or ``unblock``.

        ``newest`` is the newest entry id that the worker knows of this lane; ``tries`` are those of a job function,
        then kind and tries of each that has its own. Raises redis-py's errors of the read; a failed script loses
        nothing.
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
        except BaseException:  # a reply that comes later would be begun although nobody waits for it
            await self.close()
            raise

    async def unblock(self) -> None:
        """Make ``read`` return at once; does nothing when it is not waiting."""
        if self._client_id:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.execute_command("CLIENT UNBLOCK", self._client_id)

    async def close(self) -> None:
        """Give up the connection; what it was about to receive stays pending and is reclaimed."""
        connection, self._connection, self._client_id = self._connection, None, 0
        if connection is not None:
            await connection.release()

    async def _open(self) -> RawConnection:
        self._connection = connection = await RawConnection.open(self._pool)
        self._is_known = False  # the server may have been restarted, and forgets scripts then
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        who: Any = ("CLIENT", "ID")
        connection.send(pack_command(who), [lambda reply: settle(answer, reply)])
        try:
            async with asyncio.timeout(ANSWER_S):
                self._client_id = int(await answer)
        except BaseException:  # a reply that comes later would be taken for the next one's
            await self.close()
            raise
        return connection

    def _decoded(self, reply: Any, start: Sequence[Any]) -> list[Claimed]:
        """Return the entries of both replies; ``start`` has the one that the script has started, and start.lua's reply.

        One that is started and not in ``reply`` was claimed before, and its reply lost.
        """
        lanes = list(reply.items()) if isinstance(reply, Mapping) else reply  # RESP3 has a map for it
        entries = entries_of(self._lane, lanes[0][1]) if lanes else []
        if not start:
            return [(entry, None) for entry in entries]
        entry_id, job_id, kind, about = start
        entry = Entry(entry_id.decode(), self._lane, job_id.decode(), kind.decode("utf-8", "replace"), {})
        others: list[Claimed] = [(other, None) for other in entries if other.id != entry.id]
        return [*others, (entry, started(entry, about))]

    def _take(self, reply: Any, start: Any, done: asyncio.Future[bool]) -> None:
        if done.done():  # nobody waits any more: what came stays pending and is reclaimed
            return
        self._is_known = not isinstance(start, NoScriptError)
        if isinstance(start, RedisConnectionError) or isinstance(reply, Exception):
            settle(done, start if isinstance(start, RedisConnectionError) else reply)
            return
        try:
            if claimed := self._decoded(reply, () if isinstance(start, Exception) else start):
                self._arrived(claimed)
        except Exception as error:  # noqa: BLE001  the reader's task raises it; here it would only be logged
            settle(done, error)
        else:
            settle(done, bool(claimed))
