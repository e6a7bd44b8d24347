"""One query at a time in a conversation: a lease in Redis, renewed while the query runs.

A waiting query is requeued (``ThreadBusy``) and comes again; the order is that of submission. Another delivery of the
query that holds the conversation takes it over: the earlier delivery is dead or has lost its job. The holder stops by
its own clock before its lease ends in Redis (``producer/redis/lease.py``). The lease is checked before each step of a
graph, and a step becomes the conversation's newest under the lease's token in one atomic call (``checkpoints.py``): a
worker that was frozen between the two changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Final

import structlog
from redis.asyncio import Redis

from producer.errors import ThreadBusy
from producer.keys import Keys
from producer.redis.lease import Lease, kept
from producer.redis.scripts import load_script, run_script

HOLD: Final = load_script("worker.limits", "thread_hold")
RENEW: Final = load_script("worker.limits", "thread_renew")
RELEASE: Final = load_script("worker.limits", "thread_release")

LEASE_S: Final = 10.0
"""As a job's: whoever takes over a killed worker's job finds its conversation free, or its own."""
RENEWALS_PER_LEASE: Final = 4
SILENCE_S: Final = 15.0
"""A waiter comes again after ``LONGEST_WAIT_S`` at most, and needs a free slot then; a cancelled one never comes."""
SHORTEST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0
_PLAIN: Final = re.compile(r"[a-z0-9._-]{1,64}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hold:
    """A conversation that is this query's. ``check`` raises ``ThreadBusy`` once it may be another's.

    Redis knows it is by the ``token`` in the hash ``key``. ``job_keys`` has the query's job hash, if it is a job's;
    ``steps`` the key of the newest step kept under this hold, if there is one.
    """

    check: Callable[[], None]
    key: str
    token: str
    job_keys: tuple[str, ...] = ()
    steps: list[str] = field(default_factory=list[str], compare=False)


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


@dataclass(frozen=True)
class Threads:
    """The conversations of one environment."""

    redis: Redis
    keys: Keys
    lease_s: float = LEASE_S

    @asynccontextmanager
    async def hold(self, thread: str, job_id: str, *, submitted_ms: int) -> AsyncGenerator[Hold]:
        """Hold the conversation ``thread`` (a ``thread_tag``) while the body runs.

        Raises ``ThreadBusy`` when another query speaks there or was submitted earlier and waits, and when the hold is
        lost: the body is then cancelled.
        """
        token, key, loop = secrets.token_hex(8), self.keys.thread(thread), asyncio.get_running_loop()
        asked_at = loop.time()
        await self._take(key, token, job_id, submitted_ms)

        def loss(_: str) -> ThreadBusy:
            log.warning("query.thread_lost", job_id=job_id)
            return thread_lost()

        lease = Lease(asked_at + self.lease_s, loss=loss)

        async def renew() -> None:
            asked_at = loop.time()
            if await run_script(self.redis, RENEW, [key], (token, *self._times_ms)) == b"held":
                lease.extend(asked_at + self.lease_s)
            else:
                lease.lose("another query has taken it over")

        release = partial(run_script, self.redis, RELEASE, [key], [token])
        async with kept(renew, every_s=self.lease_s / RENEWALS_PER_LEASE, release=release), lease.guard():
            yield Hold(lease.check, key, token, (self.keys.job(job_id),))

    @property
    def _times_ms(self) -> tuple[int, int]:
        return round(self.lease_s * 1000), round(SILENCE_S * 1000)

    async def _take(self, key: str, token: str, job_id: str, submitted_ms: int) -> None:
        args = (token, job_id, submitted_ms, *self._times_ms)
        reply = await run_script(self.redis, HOLD, [key], args)
        if reply[0] == b"held":
            return
        waited_s = max(0.0, time.time() - submitted_ms / 1000)
        first = reply[1].decode("utf-8", "replace")
        log.info("query.thread_busy", job_id=job_id, waits_for=first, waited_s=round(waited_s, 1))
        msg = f"the conversation is held by query {first!r}, which was asked earlier: this one waits"
        raise ThreadBusy(msg, delay_s=next_look_s(waited_s))


def thread_lost() -> ThreadBusy:
    """Return the error of a query whose conversation has become another's."""
    msg = "the conversation's lease expired before the query ended: it is retried"
    return ThreadBusy(msg, delay_s=SHORTEST_WAIT_S)
