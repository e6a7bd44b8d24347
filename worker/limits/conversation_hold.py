"""One query at a time in a conversation: a lease in Redis, renewed while the query runs; the others wait their turn.

A waiting query gives its place in the worker back (``ThreadBusy``) and comes again; the order is that of submission.
Another delivery of the query that holds the conversation takes it over: the earlier delivery is dead or has lost its
job. Redis' clock decides; the holder stops by its own clock before its lease ends there. The lease is checked before
each step of a graph, and a step becomes the conversation's newest under the lease's token in one atomic call
(``checkpoints.py``): what a worker writes that was frozen between the two changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.errors import ThreadBusy
from producer.keys import Keys
from producer.redis.scripts import load_script, run_script

HOLD: Final = load_script("worker.limits", "thread_hold")
RENEW: Final = load_script("worker.limits", "thread_renew")
RELEASE: Final = load_script("worker.limits", "thread_release")

LEASE_S: Final = 10.0
"""As a job's: whoever takes over a killed worker's job finds its conversation free, or its own."""
RENEWALS_PER_LEASE: Final = 4
SILENCE_S: Final = 15.0
"""A waiter comes again after ``LONGEST_WAIT_S`` at most, and needs a free place then; a cancelled one never comes."""
SHORTEST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0
_PLAIN: Final = re.compile(r"[a-z0-9._-]{1,64}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hold:
    """A conversation that is this query's. ``check`` raises ``ThreadBusy`` once it may be another's.

    Redis knows it is by the ``token`` in the hash ``key``.
    """

    check: Callable[[], None]
    key: str
    token: str


def thread_tag(thread_id: str) -> str:
    """Return the name of a conversation in keys; no two ids have the same.

    The checkpointer's keys and queries give a meaning to ``:``, ``,``, ``|``, blanks and upper case; an id with any of
    them is known by its digest.
    """
    if _PLAIN.fullmatch(thread_id):
        return f"t-{thread_id}"
    return f"h-{sha256(thread_id.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def next_look_s(waited_s: float) -> float:
    """Return when to look again: soon at first, later the longer the wait has been."""
    return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, waited_s / 10))


class Threads:
    """The conversations of one environment."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        lease_s: float = LEASE_S,
        silence_s: float = SILENCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._lease_s = lease_s
        self._silence_ms = round(silence_s * 1000)
        self._clock = clock

    @asynccontextmanager
    async def hold(self, thread: str, job_id: str, *, submitted_ms: int) -> AsyncGenerator[Hold]:
        """Hold the conversation ``thread`` (a ``thread_tag``) while the body runs.

        Raises ``ThreadBusy`` when another query speaks there or was submitted earlier and waits, and when the hold is
        lost: the body is then cancelled.
        """
        token = secrets.token_hex(8)
        key = self._keys.thread(thread)
        asked_at = time.monotonic()
        await self._take(key, token, job_id, submitted_ms)
        holding = _Holding(asked_at + self._lease_s)
        try:
            async with asyncio.timeout(None) as limit:
                keeping = asyncio.create_task(self._keep(key, token, holding, limit), name="thread-keep")
                try:
                    yield Hold(holding.check, key, token)
                finally:
                    keeping.cancel()
                    await asyncio.gather(keeping, return_exceptions=True)
        except TimeoutError:
            if not holding.is_lost:
                raise
            log.warning("query.thread_lost", job_id=job_id)
            raise thread_lost() from None
        finally:
            # What is not released ends with its lease.
            with suppress(RedisError, OSError):
                await run_script(self._redis, RELEASE, [key], [token])

    async def _take(self, key: str, token: str, job_id: str, submitted_ms: int) -> None:
        args = (token, job_id, submitted_ms, round(self._lease_s * 1000), self._silence_ms)
        reply = await run_script(self._redis, HOLD, [key], args)
        if reply[0] == b"held":
            return
        waited_s = max(0.0, self._clock() - submitted_ms / 1000)
        first = reply[1].decode("utf-8", "replace")
        log.info("query.thread_busy", job_id=job_id, waits_for=first, waited_s=round(waited_s, 1))
        msg = f"the conversation is held by query {first!r}, which was asked before: this one waits for its end"
        raise ThreadBusy(msg, delay_s=next_look_s(waited_s))

    async def _keep(self, key: str, token: str, holding: _Holding, limit: asyncio.Timeout) -> None:
        """Renew until cancelled; once the hold is lost, or can't be renewed before it ends, stop the body."""
        args = (token, round(self._lease_s * 1000), self._silence_ms)
        while holding.left_s > 0:
            await asyncio.sleep(min(self._lease_s / RENEWALS_PER_LEASE, holding.left_s))
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(max(0.01, holding.left_s)):
                    reply = await run_script(self._redis, RENEW, [key], args)
            except (RedisError, OSError):
                continue
            if reply != b"held":
                break
            holding.until = asked_at + self._lease_s
        holding.is_lost = True
        limit.reschedule(asyncio.get_running_loop().time())


@dataclass(slots=True)
class _Holding:
    """What the holder knows of its lease; ``until`` is its own monotonic time, read before Redis began the lease."""

    until: float
    is_lost: bool = False

    @property
    def left_s(self) -> float:
        return self.until - time.monotonic()

    def check(self) -> None:
        if self.is_lost or self.left_s <= 0:
            self.is_lost = True
            raise thread_lost()


def thread_lost() -> ThreadBusy:
    """Return the error of a query whose conversation has become another's."""
    msg = "the hold of the conversation ran out before the query had ended: it is tried again"
    return ThreadBusy(msg, delay_s=SHORTEST_WAIT_S)
