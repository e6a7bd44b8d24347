"""The queue's streams: last possible id reached, waiting jobs without an entry, abandoned entries.

Only reads; workers requeue what they can (``worker/queue/lua/restore_entry.lua``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.contract import Lane
from producer.keys import GROUP, Keys
from producer.reports.plain_text import counted
from worker.doctor.line import Line, error, ok, warning
from worker.memory.vectors.indexes import as_text

LOOKED_AT: Final = 1_000
"""Number of oldest entries examined per lane."""
WALKED: Final = 20_000
"""Maximum job hashes examined if entries are missing."""
STALE_MS: Final = 600_000
"""A worker renews its entries every few seconds; after ten minutes an entry is abandoned."""
_LAST_MS: Final = str(2**64 - 1)


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """The findings: streams that accept no more entries, jobs without an entry, entries without renewal."""

    exhausted: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    stale: int = 0


async def read_lanes(redis: Redis, keys: Keys) -> LaneFacts:
    """Read the facts about the streams; raises redis-py's errors."""
    lost: list[str] = []
    stale = 0
    for lane in Lane:
        lost += await _lost(redis, keys, lane)
        stale += await _stale(redis, keys.lane(lane))
    streams = [*(keys.lane(lane) for lane in Lane), keys.events, keys.dead]
    return LaneFacts(tuple([name for name in streams if await _is_exhausted(redis, name)]), tuple(lost), stale)


def lane_lines(facts: LaneFacts) -> list[Line]:
    """Return the lines for ``facts``."""
    lines = [
        error(
            "streams",
            f"{name!r} is at the highest possible id and accepts no more entries: an entry was added with that id",
            f"redis-cli DEL {name}; the workers queue a lane's jobs again",
        )
        for name in facts.exhausted
    ]
    if facts.lost:
        text = f"{counted(len(facts.lost), 'job')} without an entry, such as {facts.lost[0]!r}"
        todo = "a running worker queues them again within a minute; never trim or delete the lanes"
        lines.append(warning("streams", text, todo))
    if facts.stale:
        text = f"{counted(facts.stale, 'entry', 'entries')} held for ten minutes by workers that are gone"
        lines.append(warning("streams", text, "start a worker, which takes them over: sightline worker"))
    return lines or [ok("streams", "every waiting job has its entry")]


async def _is_exhausted(redis: Redis, stream: str) -> bool:
    try:
        about = cast("dict[str, Any]", await redis.xinfo_stream(stream))
    except ResponseError as failure:
        if "no such key" in str(failure):
            return False
        raise
    return as_text(about["last-generated-id"]).startswith(f"{_LAST_MS}-")


async def _stale(redis: Redis, stream: str) -> int:
    try:
        rows = await cast("Any", redis).xpending_range(stream, GROUP, "-", "+", LOOKED_AT, idle=STALE_MS)
    except ResponseError as failure:
        if "NOGROUP" in str(failure):
            return 0
        raise
    return len(rows)


async def _lost(redis: Redis, keys: Keys, lane: Lane) -> list[str]:
    """Return the waiting jobs whose entry is gone or was skipped, as in ``worker/queue/lua/look.lua``."""
    skipped = await _skipped(redis, keys, lane)
    try:
        about = cast("dict[str, Any]", await redis.xinfo_stream(keys.lane(lane)))
    except ResponseError as failure:
        if "no such key" not in str(failure):
            raise
        about = {"entries-added": 0, "length": 0}
    deleted = int(as_text(await cast("Any", redis).hget(keys.turns(lane), "deleted")) or 0)
    if about["entries-added"] - about["length"] == deleted and about["entries-added"]:
        return skipped
    return skipped + [job_id async for job_id in _without_entry(redis, keys, lane)]


async def _skipped(redis: Redis, keys: Keys, lane: Lane) -> list[str]:
    """Return the jobs of skipped entries that no worker holds, among the first ``LOOKED_AT``."""
    stream, last_read = keys.lane(lane), await _last_read(redis, keys.lane(lane))
    rows = await cast("Any", redis).xrange(stream, "-", last_read, count=LOOKED_AT) if last_read else []
    async with redis.pipeline(transaction=False) as pipe:
        for entry, _ in rows:
            pipe.zscore(keys.waiting(lane), entry)
            cast("Any", pipe).xpending_range(stream, GROUP, entry, entry, 1)
        found: list[Any] = await pipe.execute() if rows else []
    named = [
        (as_text(fields.get(b"id")), as_text(entry))
        for (entry, fields), turn, pending in zip(rows, found[::2], found[1::2], strict=True)
        if turn is None and not pending
    ]
    return [job_id for job_id, entry in named if await _still_waits(redis, keys.job(job_id), entry)]


async def _without_entry(redis: Redis, keys: Keys, lane: Lane) -> AsyncGenerator[str]:
    """Walk the job hashes, at most ``WALKED``; yield the jobs that wait in ``lane`` and are not there."""
    walked = 0
    async for key in redis.scan_iter(match=f"{keys.job('')}*", count=LOOKED_AT):
        state, own_lane, entry = await cast("Any", redis).hmget(key, ["state", "lane", "entry"])
        if state == b"queued" and as_text(own_lane) == lane:
            there = await redis.xrange(keys.lane(lane), entry, entry)
            if not there and await _still_waits(redis, as_text(key), as_text(entry)):
                yield as_text(key).removeprefix(keys.job(""))
        walked += 1
        if walked >= WALKED:
            return


async def _still_waits(redis: Redis, job: str, entry: str) -> bool:
    """Return whether the job is unchanged since it was examined."""
    state, now = await cast("Any", redis).hmget(job, ["state", "entry"])
    return state == b"queued" and as_text(now) == entry


async def _last_read(redis: Redis, stream: str) -> str:
    """Return the id up to which the group has read; '' if there is no group."""
    try:
        groups = cast("list[dict[str, Any]]", await redis.xinfo_groups(stream))
    except ResponseError as failure:
        if "no such key" in str(failure):
            return ""
        raise
    return next((as_text(group["last-delivered-id"]) for group in groups if group["name"] == GROUP.encode()), "")
