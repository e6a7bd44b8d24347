"""The loop of one worker: makes notices from new events, claims due ones, sends them, and records the outcome.

An undelivered notice is retried with growing pauses for about five hours; then it is given up, which the log and, for a
week, ``status`` report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from random import random
from typing import Any, Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.keys import Keys
from producer.redis.raw_connection import end
from worker.notices.mail import Mail
from worker.notices.settings import NoticeSettings, listed, secret_of, smtp_of, webhooks_of
from worker.notices.store import Notice, NoticeStore, State
from worker.notices.webhook import NotSent, Refuse, Webhook
from worker.telemetry import in_background, note_failure

LOOK_EVERY_S: Final = 2.0
AT_ONCE: Final = 8
"""Notices that a worker sends at a time: one receiver that does not answer must not hold up the others'."""
TRIES: Final = 10
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 3_600.0

log = structlog.get_logger()


class Channel(Protocol):
    """A means of delivery. ``channel`` is its name, without secrets."""

    @property
    def channel(self) -> str:
        """Its name."""
        ...

    async def send(self, notice: Notice) -> None:
        """Send the notice; raises ``NotSent``."""
        ...


class NoticeSender:
    """Sends the notices of an environment through ``channels``."""

    def __init__(
        self, store: NoticeStore, channels: Sequence[Channel], *, chance: Callable[[], float] = random
    ) -> None:
        self._store = store
        self._channels = {one.channel: one for one in channels}
        self._chance = chance
        self.state = State(0, 0)

    @property
    def told(self) -> str:
        """The state in words for ``status``; '' if there are no problems."""
        waiting = f"{self.state.waiting:,} waiting" if self.state.waiting else ""
        failed = (
            f"{self.state.failed:,} given up within a week, the last one: {self.state.why}" if self.state.failed else ""
        )
        return ", ".join(filter(None, (waiting, failed)))

    async def run(self) -> None:
        """Read and send until cancelled; after an outage of Redis, continue with the next round."""
        while True:
            try:
                while await self.look():
                    pass
            except (RedisError, OSError) as error:
                log.warning("notices.failed", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> bool:
        """Run one round; return whether more may be due at once."""
        taken = await self._store.take()
        if taken.dropped:
            log.error("notices.dropped", notices=taken.dropped)
        claimed, given_up = await self._store.claim(limit=AT_ONCE)
        for name in given_up:
            log.error("notice.given_up", notice=name, why="no receiver accepted it in time")
        await asyncio.gather(*map(self._send, claimed))
        self.state = await self._store.state()
        return taken.read > 0 or bool(claimed)

    async def _send(self, notice: Notice) -> None:
        about = {"notice": notice.name, "about": notice.event, "events": notice.count}
        try:
            await self._channels[notice.channel].send(notice)
        except NotSent as error:
            await self._not_sent(notice, error, about)
            return
        except Exception as error:  # noqa: BLE001  a bug in one notice must not stop all others
            note_failure("notices", error)
            await self._not_sent(notice, NotSent(f"internal error: {type(error).__name__}"), about)
            return
        if await self._store.settle(notice, "sent"):
            log.info("notice.sent", **about)

    async def _not_sent(self, notice: Notice, error: NotSent, about: dict[str, Any]) -> None:
        if notice.claim >= TRIES:
            if await self._store.settle(notice, "failed", why=f"{notice.channel}: {error.why}"):
                log.error("notice.given_up", **about, why=error.why)
            return
        pause_s = pause_after(notice.claim, again_s=error.again_s, chance=self._chance())
        if await self._store.settle(notice, "later", delay_ms=int(pause_s * 1000)):
            log.warning("notice.retried", **about, why=error.why, pause_s=round(pause_s))


def pause_after(claim: int, *, again_s: float | None, chance: float) -> float:
    """Return the seconds until a notice is tried again, between half and all of a pause that grows fourfold."""
    pause_s = min(FIRST_PAUSE_S * 4 ** (claim - 1), LONGEST_PAUSE_S)
    least_s = min(again_s or 0.0, LONGEST_PAUSE_S)
    return max(pause_s * (0.5 + chance / 2), least_s)


def open_sender(settings: NoticeSettings, redis: Redis, keys: Keys, refuse: Refuse) -> NoticeSender | None:
    """Return the sender, or None without receivers. Raises ``SettingsError`` for incomplete settings."""
    secret = secret_of("NOTIFY_SECRET", settings.notify_secret, settings.notify_secret_file)
    webhooks = [Webhook(one, secret, settings.environment, refuse) for one in webhooks_of(settings)]
    smtp = smtp_of(settings)
    channels: list[Channel] = [*webhooks, *([Mail(smtp, settings)] if smtp else [])]
    if not channels:
        return None
    names, kinds = [one.channel for one in channels], listed(settings.notify_events)
    return NoticeSender(NoticeStore(redis, keys, channels=names, kinds=kinds), channels)


@asynccontextmanager
async def sending(sender: NoticeSender | None) -> AsyncGenerator[None]:
    """Send notices while the block runs; at its end unfinished ones are left to another worker."""
    if sender is None:
        yield
        return
    task = in_background(sender.run, name="notices")
    try:
        yield
    finally:
        await end(task)
