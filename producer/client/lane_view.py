"""Reads the lanes: numbers of waiting and running jobs, ages, and batches in turn. Redis errors pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from producer.contract import Lane
from producer.keys import GROUP, Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

POSITION_LIMIT: Final = 10_000
"""Positions beyond this are not computed, since counting them is expensive."""
NEXT_LOOKED_AT: Final = 16
"""Waiting entries read to find the batches that share a lane, and the oldest entry."""


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """A lane's waiting and running jobs; ``oldest_ms`` is the age of the first waiting one."""

    queued: int
    running: int
    oldest_ms: int | None = None


async def lane_infos(redis: Redis, keys: Keys) -> dict[str, LaneInfo]:
    """Return each lane's depth and the age of its first waiting job, by Redis's clock."""
    return {lane.value: await _lane_info(redis, keys, lane) for lane in Lane}


async def _lane_info(redis: Redis, keys: Keys, lane: Lane) -> LaneInfo:
    key = keys.lane(lane)
    length = await redis.xlen(key)
    groups = cast("list[dict[str, Any]]", await redis.xinfo_groups(key)) if length else []
    ours = next((group for group in groups if group["name"] == GROUP.encode()), None)
    running = ours["pending"] if ours else 0
    if length <= running:
        return LaneInfo(queued=0, running=running)
    delivered = ours["last-delivered-id"].decode() if ours else "0-0"
    async with redis.pipeline(transaction=False) as pipe:
        pipe.xrange(key, f"({delivered}", "+", count=1)
        pipe.zrange(keys.waiting(lane), 0, NEXT_LOOKED_AT - 1)
        pipe.time()
        unread, ordered, (seconds, micros) = await pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    entries = [*ordered, *(entry for entry, _ in unread)]
    added_ms = [int(entry.partition(b"-")[0]) for entry in entries]
    return LaneInfo(
        queued=length - running,
        running=running,
        oldest_ms=max(0, now_ms - min(added_ms)) if added_ms else None,
    )


async def batches_in_turn(redis: Redis, keys: Keys, lane: str) -> tuple[str, ...]:
    """Return the batches whose jobs are next, without duplicates; ``''`` stands for jobs without a batch."""
    entries = await redis.zrange(keys.waiting(lane), 0, NEXT_LOOKED_AT - 1)
    async with redis.pipeline(transaction=False) as pipe:
        for entry in entries:
            pipe.xrange(keys.lane(lane), entry, entry)
        found = await pipe.execute() if entries else []
        names = [fields.get(b"id", b"").decode("utf-8", "replace") for rows in found for _, fields in rows]
        for name in names:
            pipe.hget(keys.job(name), "batch")
        batches = await pipe.execute(raise_on_error=False) if names else []
    texts = (batch.decode("utf-8", "replace") if isinstance(batch, bytes) else "" for batch in batches)
    return tuple(dict.fromkeys(texts))


async def position(redis: Redis, keys: Keys, fields: Mapping[bytes, bytes]) -> int | None:
    """Return the entry's 1-based position among those to be claimed; None beyond the limit.

    Entries that already have a turn come first, in that order; unread entries follow.
    """
    lane = fields[b"lane"].decode()
    lane_key, entry = keys.lane(lane), fields.get(b"entry", b"").decode()
    if entry and (turn := await redis.zscore(keys.waiting(lane), entry)) is not None:
        before: list[Any] = await redis.zrange(
            keys.waiting(lane),
            cast("Any", "-inf"),
            cast("Any", f"({turn:.0f}"),
            byscore=True,
            offset=0,
            num=POSITION_LIMIT,
        )
        return len(before) + 1 if len(before) < POSITION_LIMIT else None
    groups = cast("list[dict[str, Any]]", await redis.xinfo_groups(lane_key))
    delivered = next((g["last-delivered-id"] for g in groups if g["name"] == GROUP.encode()), b"0-0").decode()
    rows = await redis.xrange(lane_key, f"({delivered}", entry or "+", count=POSITION_LIMIT)
    place = len(rows) + await redis.zcard(keys.waiting(lane))
    return place if place < POSITION_LIMIT else None
