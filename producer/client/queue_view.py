"""Looks at the queue without touching it: jobs, batches, lanes, workers. Redis errors pass through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from producer.client.records import BatchInfo, JobInfo, LaneInfo, QueueInfo, WorkerInfo
from producer.contract import JobState, Lane, decode_payload
from producer.errors import InvalidJob, RedisUnsuitable, UnknownJob
from producer.keys import GROUP, Keys

POSITION_LIMIT: Final = 10_000
"""Beyond it a position costs more to count than it tells."""


async def job_info(redis: Redis, keys: Keys, job_id: str) -> JobInfo:
    """Return what is known of a job, with its place in the queue; raises ``UnknownJob``."""
    fields = await _hash(redis, keys.job(job_id))
    if not fields:
        raise unknown_job(job_id, keys)
    position = await _position(redis, keys, fields) if fields.get(b"state") == b"queued" else None
    return JobInfo.of(job_id, fields, position=position)


async def batch_info(redis: Redis, keys: Keys, batch_id: str) -> BatchInfo:
    """Return a batch's counters; raises ``UnknownJob``."""
    fields = await _hash(redis, keys.batch(batch_id))
    if not fields:
        msg = f"no batch {batch_id!r} in environment {keys.environment!r}: see 'sightline status'"
        raise UnknownJob(msg)
    return BatchInfo.of(batch_id, fields)


async def queue_info(redis: Redis, keys: Keys) -> QueueInfo:
    """Return the lanes' depths, the scheduled and dead jobs, and the workers heard of in the last 30 s."""
    lanes = await lane_infos(redis, keys)
    scheduled = await redis.zcard(keys.scheduled)
    dead = await redis.xlen(keys.dead)
    found = [keys.worker(name) for name in await _consumers(redis, keys)]
    beats = [beat for beat in (await redis.mget(found) if found else ()) if beat is not None]
    workers = sorted((WorkerInfo.of(json.loads(beat)) for beat in beats), key=lambda worker: worker.name)
    return QueueInfo(lanes=lanes, scheduled=scheduled, dead=dead, workers=tuple(workers))


async def ended_of(redis: Redis, keys: Keys, job_ids: Iterable[str]) -> list[str]:
    """Return which of the jobs have ended; raises ``UnknownJob`` for one nobody submitted."""
    ids = list(job_ids)
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(keys.job(job_id), "state")
            pipe.exists(keys.result(job_id))
        replies = await pipe.execute()
    ended: list[str] = []
    for job_id, state, has_result in zip(ids, replies[::2], replies[1::2], strict=True):
        if has_result or (state is not None and JobState(state.decode()).is_final):
            ended.append(job_id)
        elif state is None and not await _is_added_by_hand(redis, keys, job_id):
            raise unknown_job(job_id, keys)
    return ended


async def jobs_of_batch(redis: Redis, keys: Keys, batch_id: str) -> dict[str, JobState]:
    """Return the jobs of a batch, oldest first. Walks all job hashes: for people, not for loops.

    Raises ``RedisUnsuitable`` for a user who may not list keys, such as ``producer`` of ``ops/users.acl``.
    """
    found: list[tuple[int, int, str, JobState]] = []
    prefix = keys.job("")
    try:
        names = [name.decode() async for name in redis.scan_iter(match=f"{prefix}*", count=1000)]
    except NoPermissionError:
        msg = (
            f"the user in REDIS_URL may not list keys (SCAN), and a batch's jobs are found so: repeat the scan with "
            f"'--batch {batch_id} --resume', which needs no list, or ask as a user with that right"
        )
        raise RedisUnsuitable(msg) from None
    for start in range(0, len(names), 1000):
        chunk = names[start : start + 1000]
        async with redis.pipeline(transaction=False) as pipe:
            for name in chunk:
                pipe.hmget(name, ["batch", "state", "enqueued_ms", "entry"])
            replies = await pipe.execute()
        for name, (batch, state, enqueued_ms, entry) in zip(chunk, replies, strict=True):
            if batch == batch_id.encode() and state is not None:
                number = int((entry or b"").partition(b"-")[2] or 0)  # of those of one millisecond
                found.append((int(enqueued_ms or 0), number, name.removeprefix(prefix), JobState(state.decode())))
    return {job_id: state for *_, job_id, state in sorted(found)}


async def urls_of_jobs(redis: Redis, keys: Keys, job_ids: Iterable[str]) -> dict[str, str]:
    """Return the address that each job was asked to scan, ``''`` for a job of another kind."""
    ids = list(job_ids)
    urls: dict[str, str] = {}
    for start in range(0, len(ids), 500):
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in ids[start : start + 500]:
                pipe.hget(keys.job(job_id), "payload")
            payloads = await pipe.execute()
        for job_id, payload in zip(ids[start : start + 500], payloads, strict=True):
            try:
                urls[job_id] = str(decode_payload(payload or b"{}").get("url") or "")
            except InvalidJob:
                urls[job_id] = ""
    return urls


def unknown_job(job_id: str, keys: Keys) -> UnknownJob:
    """Return the error for a job that is not there."""
    return UnknownJob(f"no job {job_id!r} in environment {keys.environment!r}: see 'sightline status'")


async def _position(redis: Redis, keys: Keys, fields: Mapping[bytes, bytes]) -> int | None:
    """Return how many undelivered entries the lane has up to this one, itself included; None over the limit."""
    lane_key, entry = keys.lane(fields[b"lane"].decode()), fields.get(b"entry", b"").decode()
    groups = cast("list[dict[str, Any]]", await redis.xinfo_groups(lane_key))
    delivered = next((g["last-delivered-id"] for g in groups if g["name"] == GROUP.encode()), b"0-0").decode()
    rows = await redis.xrange(lane_key, f"({delivered}", entry or "+", count=POSITION_LIMIT)
    return len(rows) if len(rows) < POSITION_LIMIT else None


async def _consumers(redis: Redis, keys: Keys) -> list[str]:
    """Return the names of all who have read a lane of late: every worker does, and no walk of all keys is needed."""
    async with redis.pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.xinfo_consumers(keys.lane(lane), GROUP)
        replies = await pipe.execute(raise_on_error=False)
    rows = [row for reply in replies if not isinstance(reply, Exception) for row in reply]
    for reply in replies:
        if isinstance(reply, Exception) and "NOGROUP" not in str(reply) and "no such key" not in str(reply):
            raise reply
    return sorted({row["name"].decode() for row in rows})


async def lane_infos(redis: Redis, keys: Keys) -> dict[str, LaneInfo]:
    """Return each lane's depth, and how long the first job that waits has waited by Redis' clock."""
    return {lane.value: await _lane_info(redis, keys.lane(lane)) for lane in Lane}


async def _lane_info(redis: Redis, key: str) -> LaneInfo:
    length = await redis.xlen(key)
    groups = cast("list[dict[str, Any]]", await redis.xinfo_groups(key)) if length else []
    ours = next((group for group in groups if group["name"] == GROUP.encode()), None)
    running = ours["pending"] if ours else 0
    if length <= running:
        return LaneInfo(queued=0, running=running)
    delivered = ours["last-delivered-id"].decode() if ours else "0-0"
    async with redis.pipeline(transaction=False) as pipe:
        pipe.xrange(key, f"({delivered}", "+", count=1)
        pipe.time()
        rows, (seconds, micros) = await pipe.execute()
    now_ms = seconds * 1000 + micros // 1000
    oldest_ms = max(0, now_ms - int(rows[0][0].partition(b"-")[0])) if rows else None
    return LaneInfo(queued=length - running, running=running, oldest_ms=oldest_ms)


async def _is_added_by_hand(redis: Redis, keys: Keys, job_id: str) -> bool:
    """Whether ``job_id`` is ``<lane>-<entry id>`` of an entry that waits in that lane without a hash yet."""
    lane, _, entry = job_id.partition("-")
    if lane not in set(Lane) or not entry.replace("-", "").isdecimal():
        return False
    return bool(await redis.xrange(keys.lane(lane), entry, entry))


async def _hash(redis: Redis, key: str) -> Mapping[bytes, bytes]:
    return await cast("Any", redis.hgetall(key))
