"""Lets one question run at a time in a conversation: a lease in Redis, renewed while the question runs.

A waiting question is requeued (``ThreadBusy``) and tried again, in the order of submission. A new delivery of the
question that holds the conversation takes over its lease: the earlier delivery is dead or has lost its job. The holder
stops by its own clock before its lease ends in Redis (``producer/redis/lease.py``). The lease is checked before each
step of a graph, and a step becomes the conversation's newest under the lease's token in one atomic call
(``checkpoints.py``): a worker that was frozen in between changes nothing.
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
from worker.telemetry import note_failure

HOLD: Final = load_script("worker.limits", "thread_hold")
RENEW: Final = load_script("worker.limits", "thread_renew")
RELEASE: Final = load_script("worker.limits", "thread_release")

LEASE_S: Final = 10.0
"""The same as a job's lease: a worker that takes over a killed worker's job then finds its conversation free."""
RENEWALS_PER_LEASE: Final = 4
SILENCE_S: Final = 15.0
"""A waiter returns after at most ``LONGEST_WAIT_S`` and then needs a free slot; a cancelled one never returns."""
SHORTEST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0
_PLAIN: Final = re.compile(r"[a-z0-9._-]{1,64}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hold:
    """A conversation held by this question. ``check`` raises ``ThreadBusy`` once another may hold it.

    The hash ``key`` has the holder's ``token``. ``job_keys`` has the question's job hash, if there is a job; ``steps``
    the key of the newest step stored under this hold, if any.
    """

    check: Callable[[], None]
    key: str
    token: str
    job_keys: tuple[str, ...] = ()
    steps: list[str] = field(default_factory=list[str], compare=False)


def thread_tag(thread_id: str) -> str:
    """Return the name of a conversation in keys, unique for each id.

    In the checkpointer's keys and queries ``:``, ``,``, ``|``, spaces and upper case have a meaning; an id with any of
    them is replaced by its digest.
    """
    if _PLAIN.fullmatch(thread_id):
        return f"t-{thread_id}"
    return f"h-{sha256(thread_id.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def next_look_s(waited_s: float) -> float:
    """Return the pause before the next check: short at first, longer the longer the wait has been."""
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

        Raises ``ThreadBusy`` if another question runs there or was submitted earlier and waits, and if the hold is
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
                lease.lose("another question has taken it over")

        release = partial(run_script, self.redis, RELEASE, [key], [token])
        failed, every_s = partial(note_failure, "conversation"), self.lease_s / RENEWALS_PER_LEASE
        async with kept(renew, every_s=every_s, release=release, on_error=failed), lease.guard():
            yield Hold(lease.check, key, token, (self.keys.job(job_id),))

    @property
    def _times_ms(self) -> tuple[int, int]:
        return round(self.lease_s * 1000), round(SILENCE_S * 1000)

    async def _take(self, key: str, token: str, job_id: str, submitted_ms: int) -> None:
        args = (token, job_id, submitted_ms, *self._times_ms)
        reply = await run_script(self.redis, HOLD, [key, self.keys.job(job_id)], args)
        if reply[0] == b"held":
            return
        waited_s = max(0.0, time.time() - submitted_ms / 1000)
        first = reply[1].decode("utf-8", "replace")
        log.info("query.thread_busy", job_id=job_id, waits_for=first, waited_s=round(waited_s, 1))
        msg = f"question {first!r} of the conversation was asked earlier and has not ended: this one waits"
        raise ThreadBusy(msg, delay_s=next_look_s(waited_s))


def thread_lost() -> ThreadBusy:
    """Return the error of a question that has lost its conversation."""
    msg = "the conversation's lease expired before the question ended: it is retried"
    return ThreadBusy(msg, delay_s=SHORTEST_WAIT_S)
