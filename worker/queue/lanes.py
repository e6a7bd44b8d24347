"""Maintains an environment's lanes: consumer groups, due jobs, silent consumers, lost streams.

Every worker does all of this; each step is one atomic script, so concurrent runs are harmless. ``upkeep.py`` schedules
it; ``stream.py`` handles deliveries.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from producer.contract import JOB_ID, Lane
from producer.keys import GROUP, Keys
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import load_script, run_script

CLOCK_BACK: Final = load_script("worker.queue", "clock_back")
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
"""Interval of searches, which scan all job hashes: some ten seconds for a million."""
SET_BACK_MS: Final = 1_000
"""Redis's clock counts as set back if its time is this much earlier than expected."""
LANES: Final = {lane.value.encode(): lane for lane in Lane}

log = structlog.get_logger()


async def leave(redis: Redis, keys: Keys, consumer: str) -> None:
    """Remove a consumer that stops cleanly and holds nothing; one that stays in the group but is silent was lost."""
    for lane in Lane:
        await run_script(redis, REAP, (keys.lane(lane),), (GROUP, 0, consumer))


class Lanes:
    """The lanes of one environment."""

    def __init__(self, redis: Redis, pipe: ScriptPipe, keys: Keys) -> None:
        self._redis = redis
        self._pipe = pipe
        self._keys = keys
        self._lane_keys = {lane: keys.lane(lane) for lane in Lane}
        self._redis_clock: tuple[int, float] | None = None  # Redis ms at a monotonic time of this process
        self._was_set_back = False

    async def ensure_groups(self) -> dict[Lane, int]:
        """Create the consumer group of each lane at id 0 (jobs may be older than the first worker).

        A missing group may mean a deleted stream, so jobs without an entry are queued again first. The group is created
        last, so that another worker continues after a kill. Returns the lanes without a group and the numbers of jobs
        queued again. Safe to call concurrently.
        """
        missing = [lane for lane, key in self._lane_keys.items() if not await self._has_group(key)]
        for lane in missing:
            await self._redis.delete(self._keys.waiting(lane))  # a new group reads all entries again
        answers = await self._restore_entries(missing) if missing else {}
        for lane in missing:
            try:
                await self._redis.xgroup_create(self._lane_keys[lane], GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        return {lane: answers[lane][b"queued"] for lane in missing}

    async def restore_groups(self) -> None:
        """Recreate deleted groups and the entries of deleted streams; never raises Redis errors."""
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
        """Queue up to ``limit`` due jobs of each scheduled set; safe to call concurrently."""
        now_ms = await self._time_ms()
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

    async def _time_ms(self) -> int:
        known, asked_at = self._redis_clock, time.monotonic()
        seconds, micros = await self._redis.time()
        now_ms, answered_at = seconds * 1000 + micros // 1000, time.monotonic()
        # The event after the time: one that comes between them was written by the clock that is known from now on.
        expected_ms = known[0] + (asked_at - known[1]) * 1000 if known else await self._last_event_ms()
        self._redis_clock = now_ms, answered_at
        self._was_set_back |= now_ms < expected_ms - SET_BACK_MS
        return now_ms

    async def _last_event_ms(self) -> int:
        """Return the Redis time (ms) of the newest event, 0 without one; later than now if the clock was set back."""
        try:
            about = cast("dict[str, bytes]", await self._redis.xinfo_stream(self._keys.events))
        except ResponseError:  # there is no event, or the key was overwritten: then due times stay
            return 0
        return int(about["last-generated-id"].partition(b"-")[0])

    async def follow_clock(self) -> int:
        """If Redis's clock was set back, make each scheduled job due no later than its delay from now.

        Jobs with a fixed time are due by the new clock. Returns the number of changed jobs. Safe to call concurrently.
        ``promote_due`` notices the change; after a worker's start, if the newest event is later than now.
        """
        if not self._was_set_back:
            return 0
        self._was_set_back = False
        changed = 0
        try:
            for scheduled in dict.fromkeys(map(self._keys.scheduled_in, Lane)):
                changed += await self._follow_clock_in(scheduled)
        except BaseException:
            self._was_set_back = True
            raise
        return changed

    async def _follow_clock_in(self, scheduled: str) -> int:
        changed, cursor = 0, 0
        while True:
            cursor, found = await self._redis.zscan(scheduled, cursor, count=WALK_AT_ONCE)
            now_ms = await self._time_ms()
            due = {raw.decode("utf-8", "replace"): float(score) for raw, score in found if score > now_ms}
            jobs = [job_id for job_id in due if JOB_ID.fullmatch(job_id)]
            async with self._redis.pipeline(transaction=False) as pipe:
                for job_id in jobs:
                    pipe.hmget(self._keys.job(job_id), ["delay_ms", "waits_in"])
                answers = await pipe.execute(raise_on_error=False)
            calls: list[Awaitable[int]] = []
            for job_id, answer in zip(jobs, answers, strict=True):
                delay, waits_in = (None, None) if isinstance(answer, Exception) else answer
                if delay and delay.isdigit() and due[job_id] > now_ms + int(delay):
                    keys = (scheduled, self._keys.job(job_id), *([waits_in.decode()] if waits_in else []))
                    calls.append(self._pipe.call(CLOCK_BACK, keys, (job_id,)))
            changed += sum([await call for call in calls])
            if not cursor:
                return changed

    async def wake(self, kinds: Sequence[str], *, room: int) -> int:
        """Make up to ``room`` jobs due that wait for a worker with one of ``kinds``; returns their number."""
        if not kinds or room <= 0:
            return 0
        return await self._pipe.call(WAKE, (self._keys.scheduled, *map(self._keys.waiting_for, kinds)), (room,))

    async def waiting(self) -> list[Lane]:
        """Return the lanes with entries that wait for their turn."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.zcard(self._keys.waiting(lane))
            counts = await pipe.execute()
        return [lane for lane, count in zip(Lane, counts, strict=True) if count]

    async def _known(self, scheduled: str, due: Sequence[bytes]) -> list[tuple[str, Lane]]:
        """Return the jobs among members of the scheduled set, with their lanes.

        Members that are not jobs were added by hand; they are removed, or they would block those behind them.
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
                raise found  # Redis refuses temporarily, which says nothing about the job
            if JOB_ID.fullmatch(job_id) and not is_overwritten:
                known.append((job_id, LANES.get(cast("bytes", found), Lane.BATCH)))
            else:
                await self._redis.zrem(scheduled, member)
                log.error("scheduled.no_job", member=job_id[:140], error=str(found) if found else "")
        return known

    async def restore_lost(self) -> int:
        """Requeue jobs whose entries were trimmed, deleted or skipped by XGROUP SETID; returns their number.

        The lanes' counters tell whether entries are missing. Only one worker searches at a time; after a kill another
        one does so after ``SEARCH_EVERY_MS``.
        """
        restored = 0
        for lane in Lane:
            about = (self._lane_keys[lane], self._keys.waiting(lane), self._keys.turns(lane))
            skipped, *found = await self._pipe.call(LOOK, about, (GROUP, LOOK_EVERY_MS, SEARCH_EVERY_MS))
            restored += skipped
            if found:
                answers = (await self._restore_entries([lane]))[lane]
                restored += answers[b"queued"]
                if not answers[b"held"]:  # otherwise search again: their worker may have been killed
                    await self._pipe.call(SETTLE_SEARCH, about[2:], found)
        return restored

    async def reap_consumers(self, *, idle_ms: int) -> int:
        """Remove consumers without pending entries that were silent for ``idle_ms``."""
        calls = [self._pipe.call(REAP, (key,), (GROUP, idle_ms, "")) for key in self._lane_keys.values()]
        return sum([await call for call in calls])

    async def _restore_entries(self, lanes: Sequence[Lane]) -> dict[Lane, Counter[bytes]]:
        """Requeue the jobs of ``lanes`` without an entry, scanning all job hashes once.

        Returns the counts of restore_entry.lua's replies of each lane.
        """
        totals, cursor = {lane: Counter[bytes]() for lane in lanes}, 0
        prefix = self._keys.job("")
        while True:
            cursor, found = await self._redis.scan(cursor, match=f"{prefix}*", count=WALK_AT_ONCE)
            names = (raw.decode("utf-8", "replace").removeprefix(prefix) for raw in cast("list[bytes]", found))
            jobs = [name for name in names if JOB_ID.fullmatch(name)]
            for start in range(0, len(jobs), RESTORED_AT_ONCE):
                for lane, answer in await self._restore(lanes, jobs[start : start + RESTORED_AT_ONCE]):
                    totals[lane][answer] += 1
            if not cursor:
                return totals

    async def _restore(self, lanes: Sequence[Lane], jobs: Sequence[str]) -> list[tuple[Lane, bytes]]:
        """Return the lane and reply of each job of one of ``lanes`` that waits or runs."""
        named = (*(self._lane_keys[lane] for lane in lanes), *map(self._keys.job, jobs))
        answers = await self._pipe.call(RESTORE_ENTRY, named, (GROUP, len(lanes), *lanes, *jobs))
        for job_id, answer in zip(jobs, answers, strict=True):
            if answer and answer[1] == b"queued":
                log.warning("job.requeued", job_id=job_id, why="entry lost")
        return [(lanes[answer[0] - 1], answer[1]) for answer in answers if answer]

    async def depth(self, *, but: Collection[str] = ()) -> tuple[int, int]:
        """Return the numbers of entries in the lanes, waiting or running, and of scheduled jobs.

        Excludes assessments that wait for a retry, since a model host may be down for long, and jobs of the kinds in
        ``but`` that wait for a worker that knows them.
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
