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
    async with redis.pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.xlen(keys.lane(lane))
            pipe.xinfo_groups(keys.lane(lane))
        replies = await pipe.execute(raise_on_error=False)
    depths: dict[str, tuple[int, int, str]] = {}
    for lane, length, groups in zip(Lane, replies[::2], replies[1::2], strict=True):
        for reply in (length, groups):
            if isinstance(reply, Exception) and (reply is length or length):  # an empty lane may have no stream
                raise reply
        ours = next((group for group in groups if group["name"] == GROUP.encode()), None) if length else None
        running = ours["pending"] if ours else 0
        depths[lane.value] = max(0, length - running), running, ours["last-delivered-id"].decode() if ours else "0-0"
    ages_ms = await _ages_ms(
        redis, keys, {lane: delivered for lane, (queued, _, delivered) in depths.items() if queued}
    )
    return {lane: LaneInfo(queued, running, ages_ms.get(lane)) for lane, (queued, running, _) in depths.items()}


async def _ages_ms(redis: Redis, keys: Keys, delivered: Mapping[str, str]) -> dict[str, int]:
    """Return the age of the first waiting job of each lane, given the id of its last delivered entry."""
    if not delivered:
        return {}
    async with redis.pipeline(transaction=False) as pipe:
        for lane, last in delivered.items():
            pipe.xrange(keys.lane(lane), f"({last}", "+", count=1)
            pipe.zrange(keys.waiting(lane), 0, NEXT_LOOKED_AT - 1)
        pipe.time()
        *replies, (seconds, micros) = await pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    ages_ms: dict[str, int] = {}
    for lane, unread, ordered in zip(delivered, replies[::2], replies[1::2], strict=True):
        added_ms = [int(entry.partition(b"-")[0]) for entry in (*ordered, *(entry for entry, _ in unread))]
        if added_ms:
            ages_ms[lane] = max(0, now_ms - min(added_ms))
    return ages_ms


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
