"""Keeps leases: renews them, survives outages, detects losses and releases them.

Used for jobs (``worker/queue/leases.py``, from a thread), host slots and conversations (``worker/limits``) and model
slots (``worker/gpu``). Redis is authoritative, by its clock. A renewal without a reply does not lose the lease: it is
retried with back-off. A lease is lost when Redis says so, or when the holder's clock reaches the last granted end,
which is counted from before the request and so is never later than the end in Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.exceptions import RedisError

from producer.redis.backoff import Backoff
from producer.redis.raw_connection import end

FIRST_PAUSE_S: Final = 0.25
"""Seconds of pause after the first renewal without a reply; later pauses are at most half the renewal interval."""

Renew = Callable[[], Awaitable[float | None]]
"""Renews once; returns the seconds until the next renewal, None for the default. Raises redis-py's errors."""


class Renewals:
    """One holder's schedule of renewals, every ``every_s``, and how long Redis has replied without a break."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.up_since = time.monotonic()
        """Monotonic time since which Redis has replied to this holder without a break."""
        self._is_down = False
        self._backoff = Backoff(min(FIRST_PAUSE_S, every_s / 2), every_s / 2)

    def answered(self, asked_at: float) -> None:
        """Record a reply to the renewal begun at ``asked_at``; longer than ``every_s`` counts as an outage."""
        if self._is_down or time.monotonic() - asked_at > self.every_s:
            self.note_outage()
        self._is_down = False
        self._backoff.reset()

    def failed(self) -> float:
        """Record a renewal without a reply; return the pause before the next attempt."""
        self._is_down = True
        self.note_outage()
        return self._backoff.pause_s()

    def note_outage(self) -> None:
        """Restart the time without a break: Redis may have been unreachable."""
        self.up_since = time.monotonic()


async def keep(
    renew: Renew,
    *,
    every_s: float,
    soon: asyncio.Event | None = None,
    on_silent: Callable[[Exception], object] | None = None,
    on_error: Callable[[Exception], object],
) -> None:
    """Renew every ``every_s``, and immediately when ``soon`` is set, until cancelled.

    ``on_silent`` receives the error of each renewal without a reply, ``on_error`` that of one that failed otherwise:
    it is repeated, too, as a bug in one renewal must not lose the lease.
    """
    renewals, soon = Renewals(every_s), soon or asyncio.Event()
    pause_s = every_s
    while True:
        # Not wait_for: before Python 3.12 it swallows a cancellation that coincides with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await soon.wait()
        soon.clear()
        asked_at = time.monotonic()
        try:
            due_s = await renew()
        except (RedisError, OSError) as error:
            pause_s = renewals.failed()
            if on_silent is not None:
                on_silent(error)
        except Exception as error:  # noqa: BLE001  as promised
            pause_s = renewals.failed()
            on_error(error)
        else:
            renewals.answered(asked_at)
            pause_s = every_s if due_s is None else due_s


@asynccontextmanager
async def kept(
    renew: Renew,
    *,
    every_s: float,
    release: Callable[[], Awaitable[object]],
    on_error: Callable[[Exception], object],
) -> AsyncGenerator[None]:
    """Keep a lease while the body runs, then release it, even if the body is cancelled.

    A lease that cannot be released expires. ``on_error``: see ``keep``.
    """

    async def bounded() -> float | None:
        async with asyncio.timeout(every_s):  # a dead connection must not delay the next renewal
            return await renew()

    async def released() -> None:
        with suppress(RedisError, OSError):  # in the shield: a cancelled holder no longer reads the error
            await release()

    keeping = asyncio.create_task(keep(bounded, every_s=every_s, on_error=on_error), name="lease-keep")
    try:
        yield
    finally:
        await end(keeping)
        await asyncio.shield(released())


class Lease:
    """A lease until ``ends_at`` (loop time) that its holder must not outlive; once lost, it stays lost.

    ``loss`` creates the error to raise from the reason for the loss.
    """

    def __init__(self, ends_at: float, *, loss: Callable[[str], Exception]) -> None:
        self.why_lost = ""
        self._loop = asyncio.get_running_loop()
        self._ends_at = ends_at
        self._loss = loss
        self._body: asyncio.Timeout | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease is certainly still held; a process that was frozen finds it lost."""
        return not self.why_lost and self._loop.time() < self._ends_at

    def check(self) -> None:
        """Raise the loss unless the lease is held."""
        if not self.is_held:
            raise self.loss()

    def loss(self) -> Exception:
        """Return the error that says why the lease is lost."""
        self.why_lost = self.why_lost or "its lease could not be renewed"
        return self._loss(self.why_lost)

    def extend(self, ends_at: float) -> None:
        """Extend the lease until ``ends_at``; a lost lease stays lost."""
        if self.is_held:
            self._ends_at = ends_at
            self._end_body(ends_at)

    def lose(self, why: str) -> None:
        """Mark the lease as lost and cancel its body. Safe to call twice."""
        if not self.why_lost:
            self.why_lost = why
            self._end_body(0.0)

    @asynccontextmanager
    async def guard(self) -> AsyncGenerator[None]:
        """Cancel the body when the lease is lost, and raise the loss instead."""
        body = asyncio.timeout_at(self._ends_at)
        try:
            async with body:
                self._body = body
                yield
        except TimeoutError:
            if not body.expired():  # the body's own timeout
                raise
            raise self.loss() from None
        finally:
            self._body = None

    def _end_body(self, at: float) -> None:
        if self._body is not None and not self._body.expired():
            self._body.reschedule(at)
