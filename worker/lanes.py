"""The care of an environment's lanes, whoever's jobs are on them: groups, due jobs, silent consumers, lost streams.

Every worker does all of it; each step is one atomic script, so several at once are harmless. When it is done is
``upkeep.py``'s; what happens to a delivery is ``stream.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.contract import JOB_ID, Lane
from producer.keys import GROUP, Keys
from producer.scripts import load_script
from worker.script_pipe import ScriptPipe

LANES: Final = (Lane.INTERACTIVE, Lane.BATCH)

PROMOTE: Final = load_script("worker", "promote")
REAP: Final = load_script("worker", "reap")
REQUEUE: Final = load_script("worker", "requeue")

log = structlog.get_logger()


class Lanes:
    """Both lanes of one environment."""

    def __init__(self, redis: Redis, pipe: ScriptPipe, keys: Keys) -> None:
        self._redis = redis
        self._pipe = pipe
        self._keys = keys
        self._lane_keys = {lane: keys.lane(lane) for lane in LANES}

    async def ensure_groups(self) -> list[Lane]:
        """Create the consumer group of each lane at id 0 (jobs may be older than the first worker).

        Returns the lanes where it was missing. Safe to call by many at once.
        """
        made: list[Lane] = []
        for lane in LANES:
            try:
                await self._redis.xgroup_create(self._lane_keys[lane], GROUP, id="0", mkstream=True)
                made.append(lane)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        return made

    async def promote_due(self, *, limit: int) -> int:
        """Queue up to ``limit`` scheduled jobs that are due; several workers may do so at once."""
        seconds, micros = await self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        due = cast("list[bytes]", await self._redis.zrangebyscore(self._keys.scheduled, "-inf", now_ms, 0, limit))
        calls = [
            self._pipe.call(
                PROMOTE, (self._keys.scheduled, self._keys.job(job_id), self._lane_keys[lane]), (job_id, lane)
            )
            for job_id, lane in await self._known(due)
        ]
        return sum([await call == b"queued" for call in calls])

    async def _known(self, due: Sequence[bytes]) -> list[tuple[str, Lane]]:
        """Return the jobs among members of the scheduled set, with their lanes.

        What is no job was written by hand; it is taken out, or it would stop those behind it for ever.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for member in due:
                pipe.hget(self._keys.job(member.decode("utf-8", "replace")), "lane")
            lanes = await pipe.execute(raise_on_error=False)
        known: list[tuple[str, Lane]] = []
        for member, found in zip(due, lanes, strict=True):
            job_id = member.decode("utf-8", "replace")
            if JOB_ID.fullmatch(job_id) and not isinstance(found, ResponseError):
                known.append((job_id, Lane.INTERACTIVE if found == b"interactive" else Lane.BATCH))
            else:
                await self._redis.zrem(self._keys.scheduled, member)
                log.error("scheduled.no_job", member=job_id[:140], error=str(found) if found else "")
        return known

    async def reap_consumers(self, *, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were silent for ``idle_ms``."""
        calls = [self._pipe.call(REAP, (key,), (GROUP, idle_ms)) for key in self._lane_keys.values()]
        return sum([await call for call in calls])

    async def requeue_vanished(self, lane: Lane, *, on_found: Callable[[str], None]) -> int:
        """Queue again the jobs of ``lane`` whose stream somebody deleted. Walks all job hashes: for emergencies."""
        queued = 0
        prefix = self._keys.job("")
        async for raw in self._redis.scan_iter(match=f"{prefix}*", count=500):
            job_id = raw.decode().removeprefix(prefix)
            keys = (self._lane_keys[lane], self._keys.job(job_id))
            if await self._pipe.call(REQUEUE, keys, (job_id, lane)) == b"queued":
                on_found(job_id)
                queued += 1
        return queued

    async def depth(self) -> tuple[int, int]:
        """Return how many entries the lanes hold, waiting or running, and how many jobs are scheduled."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in self._lane_keys.values():
                pipe.xlen(key)
            pipe.zcard(self._keys.scheduled)
            *lanes, scheduled = await pipe.execute()
        return sum(lanes), scheduled
