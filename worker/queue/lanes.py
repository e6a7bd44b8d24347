"""The care of an environment's lanes, whoever's jobs are on them: groups, due jobs, silent consumers, lost streams.

Every worker does all of it; each step is one atomic script, so several at once are harmless. When it is done is
``upkeep.py``'s; what happens to a delivery is ``stream.py``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from producer.contract import JOB_ID, Lane
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import load_script

LOOK: Final = load_script("worker.queue", "look")
PROMOTE: Final = load_script("worker.queue", "promote")
REAP: Final = load_script("worker.queue", "reap")
RESTORE_ENTRY: Final = load_script("worker.queue", "restore_entry")
SETTLE_SEARCH: Final = load_script("worker.queue", "settle_search")
WAKE: Final = load_script("worker.queue", "wake")

WALK_AT_ONCE: Final = 500
RESTORED_AT_ONCE: Final = 100
LOOK_EVERY_MS: Final = 4_000
SEARCH_EVERY_MS: Final = 30_000
"""A search walks all job hashes: some ten seconds where there are a million."""
LANES: Final = {lane.value.encode(): lane for lane in Lane}

log = structlog.get_logger()


class Lanes:
    """Both lanes of one environment."""

    def __init__(self, redis: Redis, pipe: ScriptPipe, keys: Keys) -> None:
        self._redis = redis
        self._pipe = pipe
        self._keys = keys
        self._lane_keys = {lane: keys.lane(lane) for lane in Lane}

    async def ensure_groups(self) -> dict[Lane, int]:
        """Create the consumer group of each lane at id 0 (jobs may be older than the first worker).

        Where it is missing, the stream may have been deleted: first, the jobs that have lost their entries are queued
        again. The group comes last, so that whoever is killed on the way leaves the rest to the next. Returns the lanes
        where it was missing, with the number of those jobs. Safe to call by many at once.
        """
        made: dict[Lane, int] = {}
        for lane, key in self._lane_keys.items():
            if await self._has_group(key):
                continue
            await self._redis.delete(self._keys.waiting(lane))  # a new group reads all entries again
            made[lane] = (await self._restore_entries(lane))[b"queued"]
            try:
                await self._redis.xgroup_create(key, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        return made

    async def restore_groups(self) -> None:
        """Create deleted groups again, with the jobs of a stream that was deleted; never raises what Redis does."""
        try:
            for lane, requeued in (await self.ensure_groups()).items():
                log.error("stream.group_was_gone", lane=lane)
                log.warning("stream.group_restored", lane=lane, requeued=requeued)
        except (RedisError, OSError) as error:
            log.warning("stream.group_not_restored", error=str(error))

    async def _has_group(self, key: str) -> bool:
        try:
            groups = cast("list[dict[str, Any]]", await self._redis.xinfo_groups(key))
        except ResponseError as error:
            if "no such key" in str(error):
                return False
            raise
        return any(group["name"] == GROUP.encode() for group in groups)

    async def promote_due(self, *, limit: int) -> int:
        """Queue up to ``limit`` scheduled jobs of each set that are due; several workers may do so at once."""
        seconds, micros = await self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        promoted = 0
        for scheduled in dict.fromkeys(map(self._keys.scheduled_in, Lane)):
            due = cast("list[bytes]", await self._redis.zrangebyscore(scheduled, "-inf", now_ms, 0, limit))
            calls = [
                self._pipe.call(
                    PROMOTE,
                    (scheduled, self._keys.job(job_id), self._lane_keys[lane]),
                    (job_id, lane),
                )
                for job_id, lane in await self._known(scheduled, due)
            ]
            promoted += sum([await call == b"queued" for call in calls])
        return promoted

    async def wake(self, kinds: Sequence[str], *, room: int) -> int:
        """Make up to ``room`` jobs due that wait for a worker which knows one of ``kinds``; returns how many."""
        if not kinds or room <= 0:
            return 0
        return await self._pipe.call(WAKE, (self._keys.scheduled, *map(self._keys.waiting_for, kinds)), (room,))

    async def waiting(self) -> list[Lane]:
        """Return the lanes where entries wait for their turn."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.zcard(self._keys.waiting(lane))
            counts = await pipe.execute()
        return [lane for lane, count in zip(Lane, counts, strict=True) if count]

    async def _known(self, scheduled: str, due: Sequence[bytes]) -> list[tuple[str, Lane]]:
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
            is_overwritten = isinstance(found, ResponseError) and str(found).startswith("WRONGTYPE")
            if isinstance(found, Exception) and not is_overwritten:
                raise found  # Redis refuses for now: that says nothing of the job
            if JOB_ID.fullmatch(job_id) and not is_overwritten:
                known.append((job_id, LANES.get(cast("bytes", found), Lane.BATCH)))
            else:
                await self._redis.zrem(scheduled, member)
                log.error("scheduled.no_job", member=job_id[:140], error=str(found) if found else "")
        return known

    async def restore_lost(self) -> int:
        """Queue again what trimming, deleting and XGROUP SETID have taken from the lanes; returns how many entries.

        The lanes' counters tell whether something is missing. One worker of all searches at a time, and again after
        ``SEARCH_EVERY_MS``, should it be killed.
        """
        restored = 0
        for lane in Lane:
            about = (self._lane_keys[lane], self._keys.waiting(lane), self._keys.turns(lane))
            skipped, *found = await self._pipe.call(LOOK, about, (GROUP, LOOK_EVERY_MS, SEARCH_EVERY_MS))
            restored += skipped
            if found:
                answers = await self._restore_entries(lane)
                restored += answers[b"queued"]
                if not answers[b"held"]:  # else they are looked for again: their worker may have been killed
                    await self._pipe.call(SETTLE_SEARCH, about[2:], found)
        return restored

    async def reap_consumers(self, *, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were silent for ``idle_ms``."""
        calls = [self._pipe.call(REAP, (key,), (GROUP, idle_ms)) for key in self._lane_keys.values()]
        return sum([await call for call in calls])

    async def _restore_entries(self, lane: Lane) -> Counter[bytes]:
        """Queue again the jobs of ``lane`` that have no entry there, walking all job hashes.

        Returns how often restore_entry.lua said what.
        """
        total, cursor = Counter[bytes](), 0
        prefix = self._keys.job("")
        while True:
            cursor, found = await self._redis.scan(cursor, match=f"{prefix}*", count=WALK_AT_ONCE)
            names = (raw.decode("utf-8", "replace").removeprefix(prefix) for raw in cast("list[bytes]", found))
            total += await self._restore(lane, [name for name in names if JOB_ID.fullmatch(name)])
            if not cursor:
                return total

    async def _restore(self, lane: Lane, jobs: Sequence[str]) -> Counter[bytes]:
        answers: list[bytes] = []
        for start in range(0, len(jobs), RESTORED_AT_ONCE):
            chunk = jobs[start : start + RESTORED_AT_ONCE]
            named = (self._lane_keys[lane], *map(self._keys.job, chunk))
            answers += await self._pipe.call(RESTORE_ENTRY, named, (GROUP, lane, *chunk))
        for job_id, answer in zip(jobs, answers, strict=True):
            if answer == b"queued":
                log.warning("job.requeued", job_id=job_id, why="entry lost")
        return Counter(answers)

    async def depth(self, *, but: Collection[str] = ()) -> tuple[int, int]:
        """Return how many entries the lanes hold, waiting or running, and how many jobs are scheduled.

        Assessments that wait for their next attempt are not counted: a model host may be down for long. Nor are jobs
        of the kinds ``but`` that wait for a worker which knows them.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in self._lane_keys.values():
                pipe.xlen(key)
            for kind in but:
                pipe.zintercard(2, [self._keys.scheduled, self._keys.waiting_for(kind)])
            pipe.zcard(self._keys.scheduled)
            *counts, scheduled = await pipe.execute()
        lanes, others = counts[: len(Lane)], counts[len(Lane) :]
        return sum(lanes), max(0, scheduled - sum(others))
