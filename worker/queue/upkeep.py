"""Periodic work of a worker: scheduled jobs, reclaims, heartbeat, cron, removal of dead consumers.

Every worker does all of it; each step is one atomic script, so concurrent runs are harmless. Reclaims are only
requested here: ``loop.py`` does them, since it alone fills slots.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.errors import RedisUnreachable, SightlineError
from worker.queue.controls import lift_drains_of_the_gone
from worker.queue.leases import LeaseKeeper
from worker.queue.loop import Loop
from worker.queue.stream import JobStream
from worker.telemetry import AGAIN_S, note_failure

RECLAIM_EVERY_S: Final = 1.0
HEARTBEAT_EVERY_S: Final = 10.0
HEARTBEAT_TTL_S: Final = 30
RESTORE_EVERY_S: Final = 5.0
"""A job whose entry was lost is requeued within this time; within a minute if the searching worker is killed."""
REAP_EVERY_S: Final = 60.0
SILENT_CONSUMER_MS: Final = 300_000
"""An idle worker reads every five seconds; one that is silent for five minutes is dead."""
SCHEDULES_EVERY_S: Final = 10.0
PROMOTE_AT_ONCE: Final = 500
TICK_S: Final = 1.0
OUTAGES: Final = (RedisConnectionError, RedisTimeoutError, OSError, RedisUnreachable)
"""Errors after which Redis may have been unreachable; a refusal is a reply."""

log = structlog.get_logger()


class Upkeep:
    """The periodic steps of one worker."""

    def __init__(
        self,
        stream: JobStream,
        leases: LeaseKeeper,
        loop: Loop,
        *,
        lease_s: float,
        poll_s: float,
        beat: Callable[[], Awaitable[None]],
        describe: Callable[[], dict[str, Any]],
        fire_schedules: Callable[[], Awaitable[object]],
        wake: Callable[[], Awaitable[object]],
    ) -> None:
        self._stream = stream
        self._leases = leases
        self._loop = loop
        self._lease_s = lease_s
        self._poll_s = max(0.05, poll_s)
        self._beat = beat
        self._describe = describe
        self._fire_schedules = fire_schedules
        self._wake = wake
        self._due: dict[str, float] = {"restore": time.monotonic() + RESTORE_EVERY_S}  # jobs come first

    async def run(self) -> None:
        """Run each step when it is due, until cancelled; a failed step runs again at its next time."""
        loop = asyncio.get_running_loop()
        ticker = loop.call_soon(self._tick)
        try:
            while True:
                await self._step("heartbeat", HEARTBEAT_EVERY_S, self._heartbeat)
                await self._step("wake", self._poll_s, self._wake)
                await self._step("promote", self._poll_s, self._promote)
                await self._step("reclaim", min(RECLAIM_EVERY_S, self._lease_s / 3), self._reclaim)
                await self._step("restore", RESTORE_EVERY_S, self._restore)
                await self._step("reap", REAP_EVERY_S, self._reap)
                await self._step("beat", self._poll_s, self._beat)
                await self._step("schedules", SCHEDULES_EVERY_S, self._fire_schedules)
                await asyncio.sleep(self._poll_s)
        finally:
            ticker.cancel()
            self._ticking.cancel()

    def _tick(self) -> None:
        self._leases.tick()
        self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def _step(self, name: str, every_s: float, act: Callable[[], Awaitable[object]]) -> None:
        now = time.monotonic()
        if now < self._due.get(name, 0.0):
            return
        self._due[name] = now + every_s
        try:
            await act()
        except (RedisError, OSError, SightlineError) as error:
            if isinstance(error, OUTAGES):
                self._leases.note_outage()
            log.warning("upkeep.failed", step=name, error=str(error))
        except Exception as error:  # noqa: BLE001  a record that nobody foresaw must not end one worker after the other
            self._due[name] = now + max(every_s, AGAIN_S)
            note_failure(f"upkeep-{name}", error)

    async def _reclaim(self) -> None:
        self._loop.request_reclaim()

    async def _promote(self) -> None:
        if changed := await self._stream.lanes.follow_clock():
            log.warning("jobs.due_earlier", count=changed)
        promoted = await self._stream.lanes.promote_due(limit=PROMOTE_AT_ONCE)
        if promoted:
            log.info("jobs.promoted", count=promoted)
        for lane in await self._stream.lanes.waiting():
            await self._loop.look_at(lane)

    async def _restore(self) -> None:
        if restored := await self._stream.lanes.restore_lost():
            log.error("stream.entries_were_gone", requeued=restored)

    async def _heartbeat(self) -> None:
        about = {"v": 1, "at_ms": int(time.time() * 1000), **self._describe()}
        key = self._stream.keys.worker(str(about["name"]))
        await self._stream.redis.set(key, json.dumps(about), ex=HEARTBEAT_TTL_S)

    async def _reap(self) -> None:
        await self._stream.lanes.reap_consumers(idle_ms=SILENT_CONSUMER_MS)
        if gone := await lift_drains_of_the_gone(self._stream.redis, self._stream.keys):
            log.info("controls.dropped", workers=gone)
