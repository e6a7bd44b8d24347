"""What a worker does by the clock: due jobs, jobs of silent workers, heartbeat, cron, clean-up.

Every worker does all of it; each step is one atomic script, so several at once are harmless. The outage rule is here:
idle time runs on while Redis is down, so a worker takes over other workers' jobs only once Redis has answered *it*
without a break for a full lease, by when every healthy worker has renewed its own.
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
from worker.queue.entries import Entry
from worker.queue.lanes import LANES
from worker.queue.leases import LeaseKeeper
from worker.queue.places import Places
from worker.queue.stream import JobStream

RECLAIM_EVERY_S: Final = 2.0
HEARTBEAT_EVERY_S: Final = 10.0
HEARTBEAT_TTL_S: Final = 30
REAP_EVERY_S: Final = 60.0
SILENT_CONSUMER_MS: Final = 300_000
"""An idle worker reads every five seconds; one silent for five minutes is gone."""
STUCK_AFTER_S: Final = 30.0
SCHEDULES_EVERY_S: Final = 10.0
PROMOTE_AT_ONCE: Final = 500
TICK_S: Final = 1.0
OUTAGES: Final = (RedisConnectionError, RedisTimeoutError, OSError, RedisUnreachable)
"""Errors after which Redis may have been away: a refusal is an answer."""

log = structlog.get_logger()


class Upkeep:
    """The clockwork of one worker."""

    def __init__(
        self,
        stream: JobStream,
        leases: LeaseKeeper,
        places: Places,
        *,
        begin: Callable[[Entry], None],
        lease_s: float,
        poll_s: float,
        beat: Callable[[], Awaitable[None]],
        describe: Callable[[], dict[str, Any]],
        pipe_watch: Callable[[], object],
        fire_schedules: Callable[[], Awaitable[object]],
    ) -> None:
        self._stream = stream
        self._leases = leases
        self._places = places
        self._begin = begin
        self._lease_s = lease_s
        self._poll_s = max(0.05, poll_s)
        self._beat = beat
        self._describe = describe
        self._pipe_watch = pipe_watch
        self._fire_schedules = fire_schedules
        self._cursors = dict.fromkeys(LANES, "0-0")
        self._up_since = time.monotonic()
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        """Do every step when it is due, until cancelled; a failed step is tried again at its next time."""
        loop = asyncio.get_running_loop()
        ticker = loop.call_soon(self._tick)
        try:
            while True:
                await self._step("heartbeat", HEARTBEAT_EVERY_S, self._heartbeat)
                await self._step("promote", self._poll_s, self._promote)
                await self._step("reclaim", min(RECLAIM_EVERY_S, self._lease_s / 3), self._reclaim)
                await self._step("reap", REAP_EVERY_S, self._reap)
                await self._step("beat", self._poll_s, self._beat)
                await self._step("schedules", SCHEDULES_EVERY_S, self._fire_schedules)
                await asyncio.sleep(self._poll_s)
        finally:
            ticker.cancel()
            self._ticking.cancel()

    def _tick(self) -> None:
        self._leases.tick()
        self._pipe_watch()  # no step: those wait for the pipe themselves
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
                self._up_since = time.monotonic()
            log.warning("upkeep.failed", step=name, error=str(error))

    @property
    def may_reclaim(self) -> bool:
        """Whether Redis has answered this worker without a break for a full lease."""
        return time.monotonic() - max(self._up_since, self._leases.up_since) >= self._lease_s

    async def _reclaim(self) -> None:
        if not self.may_reclaim:
            return
        for lane in LANES:
            places = self._places.for_lane(lane)
            if places <= 0:
                continue
            self._cursors[lane], entries = await self._stream.reclaim(
                lane, cursor=self._cursors[lane], count=places, min_idle_ms=int(self._lease_s * 1000)
            )
            if entries:
                job_ids = [entry.job_id for entry in entries]
                log.warning("jobs.reclaimed", lane=lane, count=len(entries), job_ids=job_ids[:20])
            for entry in entries:
                self._begin(entry)

    async def _promote(self) -> None:
        promoted = await self._stream.lanes.promote_due(limit=PROMOTE_AT_ONCE)
        if promoted:
            log.info("jobs.promoted", count=promoted)

    async def _heartbeat(self) -> None:
        about = {"v": 1, "at_ms": int(time.time() * 1000), **self._describe()}
        key = self._stream.keys.worker(str(about["name"]))
        await self._stream.redis.set(key, json.dumps(about), ex=HEARTBEAT_TTL_S)

    async def _reap(self) -> None:
        await self._stream.lanes.reap_consumers(idle_ms=SILENT_CONSUMER_MS)
