"""Reads the event stream and notifies waiters when their job has ended, without polling.

The stream is authoritative and holds about the 100,000 newest events; a reader continues from the last id it read, also
after a lost connection. The ``Waiters`` of a client share one blocking read, regardless of the number of jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer import contract
from producer.errors import RedisUnreachable, ServiceError, UnknownJob, WaitTimeout
from producer.redis.raw_connection import end, replied

if TYPE_CHECKING:
    from producer.contract import Event

T = TypeVar("T")
BLOCK_MS: Final = 5_000
READ_COUNT: Final = 1_000
CHECK_EVERY_S: Final = 60.0
"""Interval of checks of the jobs themselves: an event may have been trimmed, or a job lost."""
PAUSE_S: Final = 1.0
"""Pause before reading again after an outage; the stream keeps events in the meantime."""
GRACE_S: Final = 5.0
"""Extra time for the final check of the jobs, which takes milliseconds unless Redis is silent."""
CHECKED_AT_ONCE: Final = 500
"""Jobs checked per round trip."""
CLOSED: Final = "the client was closed during the call; jobs continue"
ENDS: Final = frozenset({"job.succeeded", "job.cancelled", "job.dead", "job.rejected"})


class NoReply(TimeoutError):
    """A wait timed out while a reply from Redis was due."""


Heard = asyncio.Queue[str | Exception]
"""A caller's pending notifications: ids of ended jobs, or the error that ends the wait."""


async def newest_id(redis: Redis, key: str) -> str:
    """Return the id of the newest event, or ``0-0``; reading from it misses no event after this call."""
    rows = cast("list[Any]", await redis.xrevrange(key, count=1))
    return rows[0][0].decode() if rows else "0-0"


async def read_after(redis: Redis, key: str, last_id: str, *, block_ms: int | None) -> list[tuple[str, str]]:
    """Return up to ``READ_COUNT`` (id, line) after ``last_id``; waits up to ``block_ms`` for the first."""
    reply: Any = await redis.xread({key: last_id}, count=READ_COUNT, block=block_ms)
    if isinstance(reply, dict):  # RESP3, which an arq program's pool may use
        rows = [row for some in cast("dict[bytes, list[list[Any]]]", reply).values() for part in some for row in part]
    else:
        rows = reply[0][1] if reply else []
    return [(row_id.decode(), fields.get(b"event", b"{}").decode("utf-8", "replace")) for row_id, fields in rows]


async def follow(
    redis: Redis, key: str, *, since: str, is_endless: bool, on_outage: Callable[[Exception], object] | None = None
) -> AsyncIterator[Event]:
    """Yield events after ``since`` (an event's id, ``0`` for all stored events, ``$`` for new ones only).

    When following endlessly, it waits out any outage after the first reply: ``on_outage`` receives the error once, and
    no event still in the stream is missed.
    """
    last_id = await replied(newest_id(redis, key)) if since == "$" else since
    has_read = since == "$"
    is_down = False
    while True:
        try:
            rows = await replied(read_after(redis, key, last_id, block_ms=BLOCK_MS if is_endless else None))
        except (RedisError, OSError) as error:
            if not (is_endless and has_read and is_outage(error)):
                raise
            if on_outage is not None and not is_down:
                on_outage(error)
            is_down = True
            await asyncio.sleep(PAUSE_S)  # the Redis client has already retried with back-off
            continue
        has_read, is_down = True, False
        for row_id, line in rows:
            last_id = row_id
            if event := event_of(row_id, line):
                yield event
        if not rows and not is_endless:
            return


def fields_of(line: str | bytes) -> dict[str, Any] | None:
    """Return the fields of an event; None for a malformed one, which others may have added."""
    try:
        fields: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else None


def event_of(row_id: str, line: str | bytes) -> Event | None:
    """Return the event of a row of the stream; None for a malformed one."""
    try:
        return contract.Event.model_validate({**(fields_of(line) or {}), "id": row_id})
    except ValueError:
        return None


def is_outage(error: Exception) -> bool:
    """Return whether Redis may recover without help: it is unreachable or loading its data, and refused nothing."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    return isinstance(error, RedisConnectionError | RedisTimeoutError | OSError)


async def outlasting(call: Callable[[], Awaitable[T]], *, until: float) -> T:
    """Return the result of ``call``, retried through outages until ``until`` (monotonic time)."""
    while True:
        try:
            return await call()
        except RedisUnreachable:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(PAUSE_S)


@contextlib.asynccontextmanager
async def _owed_after(deadline: float | None) -> AsyncGenerator[None]:
    """Raise ``NoReply`` if the body is still running ``GRACE_S`` after the deadline, or after now if that is later."""
    now = asyncio.get_running_loop().time()
    latest = None if deadline is None else max(deadline, now) + GRACE_S
    try:
        async with asyncio.timeout_at(latest):
            yield
    except TimeoutError:
        raise NoReply from None


def not_ended(left: Collection[str], timeout_s: float, *, silent: str = "") -> WaitTimeout:
    """Return the error of a wait that timed out; ``silent`` is the address of a Redis that did not reply."""
    if silent:
        jobs = f"job {next(iter(left))!r}" if len(left) == 1 else f"{len(left)} jobs"
        msg = f"Redis at {silent!r} did not reply within {timeout_s:g} s: {jobs} may have ended; ask again"
        return WaitTimeout(msg)
    if len(left) != 1:
        return WaitTimeout(f"{len(left)} jobs have not ended within {timeout_s:g} s; they continue")
    job_id = next(iter(left))
    return WaitTimeout(f"job {job_id!r} has not ended within {timeout_s:g} s; it continues: sightline result {job_id}")


class Waiters:
    """The jobs awaited by one client. ``check`` returns which job ids have ended, and raises ``UnknownJob``.

    It is called at the start, after an outage and every ``CHECK_EVERY_S``; otherwise events suffice.
    """

    def __init__(self, redis: Redis, key: str, *, check: Callable[[Iterable[str]], Awaitable[Iterable[str]]]) -> None:
        self._redis = redis
        self._key = key
        self._check = check
        self._waiting: dict[str, list[Heard]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._has_position: asyncio.Future[None] | None = None

    async def ends(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> AsyncGenerator[str]:
        """Yield each of ``job_ids`` once, when it has ended.

        One reader and one queue serve all jobs: a batch of 100,000 takes some 300 bytes per job. Raises
        ``TimeoutError`` after yielding the jobs known to have ended. Each check of ``CHECKED_AT_ONCE`` jobs gets
        ``GRACE_S`` more, so that a timeout of 0 still yields all ended jobs, even of a large batch on a slow machine;
        ``NoReply`` means that even this time was too short.
        """
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        left = dict.fromkeys(job_ids)
        heard = Heard()
        for job_id in left:
            self._waiting.setdefault(job_id, []).append(heard)
        try:
            async with _owed_after(deadline):
                await self._ensure_reading()
            unchecked = iter(list(left))
            while left:
                if chunk := list(islice(unchecked, CHECKED_AT_ONCE)):
                    async with _owed_after(deadline):
                        await self._check_for(heard, chunk)
                    if heard.empty():
                        continue
                async with asyncio.timeout_at(deadline):
                    ended = await heard.get()
                if isinstance(ended, Exception):
                    raise ended
                if ended in left:
                    del left[ended]
                    self._forget(ended, heard)
                    yield ended
        finally:
            for job_id in left:
                self._forget(job_id, heard)

    async def close(self) -> None:
        """Stop reading; pending waits raise ``ServiceError``."""
        if self._reader is not None:
            await end(self._reader)
            self._reader = None

    async def _ensure_reading(self) -> None:
        """Return once the reader has its start position, so that no event after this call is missed."""
        if self._reader is None or self._reader.done():
            self._has_position = asyncio.get_running_loop().create_future()
            self._reader = asyncio.create_task(self._read(self._has_position), name="event-waiters")
            self._reader.add_done_callback(partial(self._fail, self._has_position))
        if self._has_position is not None:
            await asyncio.shield(self._has_position)

    async def _read(self, has_position: asyncio.Future[None]) -> None:
        last_id = await replied(newest_id(self._redis, self._key))
        has_position.set_result(None)
        loop = asyncio.get_running_loop()
        check_at = loop.time() + CHECK_EVERY_S
        while self._waiting:
            try:
                if loop.time() >= check_at:
                    await self._check_all()
                    check_at = loop.time() + CHECK_EVERY_S
                for row_id, line in await replied(read_after(self._redis, self._key, last_id, block_ms=BLOCK_MS)):
                    self._tell(line)
                    last_id = row_id
            except (RedisError, OSError) as error:
                if not is_outage(error):
                    raise
                await asyncio.sleep(PAUSE_S)  # the Redis client has already retried with back-off
                check_at = 0.0  # an event may be trimmed or lost by then

    def _fail(self, has_position: asyncio.Future[None], reader: asyncio.Task[None]) -> None:
        """Pass the error that ended the reader, if any, to all waiters: no event would wake them."""
        error = ServiceError(CLOSED) if reader.cancelled() else reader.exception()
        if not isinstance(error, Exception):
            return
        for heard in {id(heard): heard for waiting in self._waiting.values() for heard in waiting}.values():
            heard.put_nowait(error)
        if not has_position.done():
            has_position.set_exception(error)

    async def _check_all(self) -> None:
        """Check the jobs themselves; only the waiters of an unknown job get its error."""
        awaited: dict[Heard, list[str]] = {}
        for job_id, waiting in self._waiting.items():
            for heard in waiting:
                awaited.setdefault(heard, []).append(job_id)
        for heard, job_ids in awaited.items():
            unchecked = iter(job_ids)
            try:
                while chunk := list(islice(unchecked, CHECKED_AT_ONCE)):
                    await self._check_for(heard, chunk)
            except UnknownJob as error:
                heard.put_nowait(error)

    async def _check_for(self, heard: Heard, job_ids: Iterable[str]) -> None:
        for job_id in await replied(self._check(job_ids)):
            heard.put_nowait(job_id)
            self._forget(job_id, heard)  # notify only once

    def _tell(self, line: str) -> None:
        fields = fields_of(line)
        if fields and fields.get("event") in ENDS:
            job_id = str(fields.get("job_id"))
            for heard in self._waiting.pop(job_id, ()):
                heard.put_nowait(job_id)

    def _forget(self, job_id: str, heard: Heard) -> None:
        left = [other for other in self._waiting.get(job_id, ()) if other is not heard]
        if left:
            self._waiting[job_id] = left
        else:
            self._waiting.pop(job_id, None)
