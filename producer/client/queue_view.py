"""Read-only views of the queue: jobs, batches, lanes, workers. Redis errors pass through. Next: ``queue_info.py``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from producer.client.controls_view import read_controls
from producer.client.lane_view import batches_in_turn, lane_infos
from producer.client.lane_view import position as lane_position
from producer.client.queue_info import BatchInfo, JobInfo, QueueInfo, WorkerInfo
from producer.contract import JobState, Lane, decode_payload
from producer.errors import InvalidJob, RedisUnsuitable, UnknownJob
from producer.keys import GROUP, Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

READ_TOGETHER: Final = 500
"""Hashes per round trip."""


async def job_info(redis: Redis, keys: Keys, job_id: str) -> JobInfo:
    """Return a job's fields and its position in the queue; raises ``UnknownJob`` and ``RedisUnsuitable``."""
    fields = await cast("Any", redis).hgetall(keys.job(job_id))
    if not fields:
        raise unknown(f"job {job_id!r}", keys)
    position = await lane_position(redis, keys, fields) if fields.get(b"state") == b"queued" else None
    with _written_by_sightline(f"job {job_id!r}", keys):
        return JobInfo.of(job_id, fields, position=position)


async def batch_info(redis: Redis, keys: Keys, batch_id: str) -> BatchInfo:
    """Return a batch's counters; raises ``UnknownJob`` and ``RedisUnsuitable``."""
    fields = await cast("Any", redis).hgetall(keys.batch(batch_id))
    if not fields:
        raise unknown(f"batch {batch_id!r}", keys)
    with _written_by_sightline(f"batch {batch_id!r}", keys):
        return BatchInfo.of(batch_id, fields)


async def queue_info(redis: Redis, keys: Keys) -> QueueInfo:
    """Return lane depths, scheduled and dead-lettered jobs, and workers with a heartbeat in the last 30 s."""
    lanes = await lane_infos(redis, keys)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.scheduled)
        pipe.xlen(keys.dead)
        scheduled, dead = await pipe.execute()
    found = [keys.worker(name) for name in await consumers(redis, keys)]
    beats = [beat for beat in (await redis.mget(found) if found else ()) if beat is not None]
    workers = sorted((WorkerInfo.of(json.loads(beat)) for beat in beats), key=lambda worker: worker.name)
    in_turn = {lane: await batches_in_turn(redis, keys, lane) for lane, info in lanes.items() if info.queued}
    turns = {lane: batches for lane, batches in in_turn.items() if batches}
    controls = await read_controls(redis, keys)
    return QueueInfo(
        lanes=lanes, scheduled=scheduled, dead=dead, workers=tuple(workers), turns=turns, controls=controls
    )


async def lost_workers(redis: Redis, keys: Keys) -> list[str]:
    """Return the workers that have gone silent: they have read a lane, but their heartbeat has expired.

    A worker that stops cleanly removes its name; upkeep removes a lost worker's after five minutes.
    """
    names = await consumers(redis, keys)
    beats = await redis.mget([keys.worker(name) for name in names]) if names else ()
    return [name for name, beat in zip(names, beats, strict=True) if beat is None]


async def ended_of(redis: Redis, keys: Keys, job_ids: Iterable[str]) -> list[str]:
    """Return which of the jobs have ended; raises ``UnknownJob`` for one never submitted, and ``RedisUnsuitable``.

    The result of a job that has not ended is that of an earlier one with its id.
    """
    ids = list(job_ids)
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(keys.job(job_id), "state")
            pipe.exists(keys.result(job_id))
        replies = await pipe.execute()
    ended: list[str] = []
    for job_id, state, has_result in zip(ids, replies[::2], replies[1::2], strict=True):
        with _written_by_sightline(f"job {job_id!r}", keys):
            has_ended = has_result if state is None else JobState(state.decode()).is_final
        if has_ended:
            ended.append(job_id)
        elif state is None and not await _is_added_by_hand(redis, keys, job_id):
            raise unknown(f"job {job_id!r}", keys)
    return ended


async def jobs_of_batch(redis: Redis, keys: Keys, batch_id: str) -> dict[str, JobState]:
    """Return the jobs of a batch, oldest first. Scans all job hashes, so do not call it in a loop.

    Raises ``RedisUnsuitable`` for a user without SCAN, such as ``producer`` in ``ops/users.acl``, and for a job's hash
    that was written by hand.
    """
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  a command's help needs no Redis

    found: list[tuple[int, int, str, JobState]] = []
    prefix = keys.job("")
    try:
        names = [name.decode() async for name in redis.scan_iter(match=f"{prefix}*", count=1000)]
    except NoPermissionError:
        msg = (
            f"the user in REDIS_URL may not list keys (SCAN), which finding a batch's jobs requires: repeat the scan "
            f"with '--batch {batch_id} --resume', which needs no list, or connect as a user with that right"
        )
        raise RedisUnsuitable(msg) from None
    async for name, (batch, state, enqueued_ms, entry) in _fields(
        redis, names, "batch", "state", "enqueued_ms", "entry"
    ):
        if batch == batch_id.encode() and state is not None:
            job_id = name.removeprefix(prefix)
            with _written_by_sightline(f"job {job_id!r}", keys):
                number = int((entry or b"").partition(b"-")[2] or 0)  # sequence number within the millisecond
                found.append((int(enqueued_ms or 0), number, job_id, JobState(state.decode())))
    return {job_id: state for *_, job_id, state in sorted(found)}


async def urls_of_jobs(redis: Redis, keys: Keys, job_ids: Iterable[str]) -> dict[str, str]:
    """Return the address that each job scans, ``''`` for a job of another kind."""
    names = [keys.job(job_id) for job_id in job_ids]
    urls: dict[str, str] = {}
    async for name, (payload,) in _fields(redis, names, "payload"):
        try:
            url = decode_payload(payload or b"{}").get("url")
        except InvalidJob:
            url = None
        urls[name.removeprefix(keys.job(""))] = str(url or "")
    return urls


async def last_end_ms(redis: Redis, keys: Keys, job_ids: Iterable[str]) -> int:
    """Return when the last of the jobs ended (Redis time, ms); 0 if no end is known."""
    names = [keys.job(job_id) for job_id in job_ids]
    ends = [ended async for _, (ended,) in _fields(redis, names, "finished_ms")]
    return max((int(ended) for ended in ends if ended and ended.isdigit()), default=0)


@contextlib.contextmanager
def _written_by_sightline(what: str, keys: Keys) -> Generator[None]:
    """Raise ``RedisUnsuitable`` instead of the ``ValueError`` of a value that something else wrote."""
    try:
        yield
    except ValueError as error:
        msg = f"{what} in environment {keys.environment!r} has a value that Sightline did not write: {error}"
        raise RedisUnsuitable(msg) from None


def unknown(what: str, keys: Keys, *, see: str = "status", meant: str = "") -> UnknownJob:
    """Return the error for an unknown ``what``; ``see`` is the command that lists all, ``meant`` a similar name."""
    hint = f"did you mean {meant!r}? Else see" if meant else "see"
    return UnknownJob(f"no {what} in environment {keys.environment!r}: {hint} 'sightline {see}'")


async def _fields(
    redis: Redis, names: Sequence[str], *fields: str
) -> AsyncIterator[tuple[str, Sequence[bytes | None]]]:
    for start in range(0, len(names), READ_TOGETHER):
        chunk = names[start : start + READ_TOGETHER]
        async with redis.pipeline(transaction=False) as pipe:
            for name in chunk:
                pipe.hmget(name, list(fields))
            replies = await pipe.execute()
        for pair in zip(chunk, replies, strict=True):
            yield pair


async def consumers(redis: Redis, keys: Keys) -> list[str]:
    """Return the names of recent readers of a lane, which are the workers; avoids scanning all keys."""
    async with redis.pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.xinfo_consumers(keys.lane(lane), GROUP)
        replies = await pipe.execute(raise_on_error=False)
    rows = [row for reply in replies if not isinstance(reply, Exception) for row in reply]
    for reply in replies:
        if isinstance(reply, Exception) and "NOGROUP" not in str(reply) and "no such key" not in str(reply):
            raise reply
    return sorted({row["name"].decode() for row in rows})


async def _is_added_by_hand(redis: Redis, keys: Keys, job_id: str) -> bool:
    """Return whether ``job_id`` is ``<lane>-<entry id>`` of an entry in that lane that has no hash yet."""
    lane, _, entry = job_id.partition("-")
    if lane not in set(Lane) or not entry.replace("-", "").isdecimal():
        return False
    return bool(await redis.xrange(keys.lane(lane), entry, entry))
