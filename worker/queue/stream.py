"""The job stream in Redis terms: every arrow of ``docs/state-machine.md`` is one method and one Lua script.

Redis is authoritative and its clock is the only one. This module is independent of job functions and retries nothing: a
method returns Redis's decision or raises. ``loop.py`` claims, ``executor.py`` starts and ends; the thread of
``leases.py`` renews leases.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Literal

import structlog
from redis.asyncio import Redis

from producer.contract import ErrorInfo, JobState, Lane
from producer.keys import GROUP, Keys
from producer.redis.bulk import BulkScript
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, Script, load_script
from worker.queue.delivery import Delivery, Entry, Started, entries_of, started
from worker.queue.entry_logins import may_have_login, resubmit
from worker.queue.lane_reader import Arrived, LaneReader
from worker.queue.lanes import Lanes
from worker.queue.outcome import Commit, Write, encode_failure, with_barriers, write_args, write_keys

DEAD_CAP: Final = 10_000
"""Maximum number of dead letters; older ones are dropped, with an alert."""
DEAD_BYTES: Final = 256 << 20
"""Maximum bytes of dead letters: 10,000 of a megabyte would fill Redis. The newest one is always kept."""
LEAST_JUMP_MS: Final = 2_000
"""A reply may be this late without a jump of Redis's clock."""
KEPT_PAYLOAD_BYTES: Final = 2_000
"""A longer payload is deleted when its job ends, since it cannot run again; a short one documents the request."""
MAX_DEAD_VALUE_BYTES: Final = 100_000
"""Length to which malformed values are cut on the dead-letter stream."""
KEEP_FINISHED_S: Final = 7 * 86_400

Standing = Literal[
    "committed", "already", "lost", "overdue"
]  # overdue: has waited the longest time allowed for a function
Rejected = Literal["committed", "lost", "ended"]

log = structlog.get_logger()
SCRIPTS: Final[Mapping[str, Script]] = {
    name: load_script("worker.queue", name)
    for name in ("claim", "reclaim", "start", "renew", "finish", "retry", "requeue", "bury", "reject", "progress")
}


class JobStream:
    """The lanes of one environment for one consumer."""

    def __init__(
        self, redis: Redis, pipe: ScriptPipe, keys: Keys, *, consumer: str, result_ttl_s: int, keeps_jobs: bool = True
    ) -> None:
        self.redis = redis
        self.keys = keys
        self.consumer = consumer
        self.pipe = pipe
        self._result_ttl_s = result_ttl_s
        self._keeps_jobs = keeps_jobs
        self.lanes = Lanes(redis, pipe, keys)
        self._redis_clock: dict[Lane, tuple[int, float]] = {}  # Redis ms at a monotonic time of this process
        self._lane_keys = {lane: keys.lane(lane) for lane in Lane}
        lanes = (Lane.INTERACTIVE, Lane.BATCH)
        self._claim_keys = [key(lane) for key in (keys.lane, keys.waiting, keys.turns) for lane in lanes]
        self._prefixes = (keys.job(""), keys.batch(""))
        self._who: tuple[Arg, ...] = (GROUP, consumer)
        self._worker_json = json.dumps(consumer)
        self._starts = BulkScript(pipe, SCRIPTS["start"], args=self._who)
        ends = (*self._who, KEEP_FINISHED_S if keeps_jobs else "result", keys.events_live)
        self._finishes = BulkScript(pipe, SCRIPTS["finish"], keys=(keys.events,), args=ends)

    # ------------------------------------------------------------------------------------------ taking jobs

    async def claim(
        self, *, slots: int, for_batch: int, turns: int, for_interactive: int | None = None, tries: Sequence[Arg] = ()
    ) -> list[Entry]:
        """Claim up to ``slots`` entries without waiting; interactive ones first, except for batch's ``turns``.

        ``for_interactive`` and ``for_batch`` are the slots that the lane may use; 0 skips it. With ``tries`` (the
        default number, followed by kind and tries of each function with its own), plain jobs are started as well.
        """
        of_lanes = (slots if for_interactive is None else for_interactive, for_batch)
        interactive, batch = await self.pipe.call(
            SCRIPTS["claim"], self._claim_keys, (*self._who, slots, *of_lanes, turns, *self._prefixes, *tries)
        )
        return entries_of(Lane.INTERACTIVE, interactive) + entries_of(Lane.BATCH, batch)

    async def reclaim(self, lane: Lane, *, cursor: str, count: int, min_idle_ms: int) -> tuple[str, list[Entry]]:
        """Reclaim up to ``count`` entries that were not renewed for ``min_idle_ms``; also returns the next cursor.

        This removes deleted entries from the pending list (XAUTOCLAIM). If Redis's clock has jumped since the last
        call, nothing is reclaimed and each entry is renewed for its holder.
        """
        known_ms, known_at = self._redis_clock.get(lane, (0, 0.0))
        expected_ms = known_ms and known_ms + int((time.monotonic() - known_at) * 1000)
        args = (*self._who, min_idle_ms, cursor, count, expected_ms, max(LEAST_JUMP_MS, min_idle_ms // 2))
        following, rows, now_ms, jumped = await self.pipe.call(SCRIPTS["reclaim"], (self._lane_keys[lane],), args)
        self._redis_clock[lane] = int(now_ms), time.monotonic()
        if jumped:
            log.error("redis.clock_jumped", lane=lane, by_ms=int(now_ms) - expected_ms)
        return following.decode(), entries_of(lane, rows)

    @property
    def connected_since(self) -> float:
        """Monotonic time at which ``reclaim``'s connection was opened."""
        return self.pipe.connected_since

    def reader(self, lane: Lane, *, arrived: Arrived) -> LaneReader:
        """Return a blocking reader of ``lane``, which starts the entries it reads and passes them to ``arrived``."""
        return LaneReader(self.redis, self.keys, lane, consumer=self.consumer, arrived=arrived)

    def start(self, entry: Entry, *, tries: int, is_repeated: bool = False) -> asyncio.Future[Started]:
        """Send the start of a claimed entry with this tick's others; returns a future of the reply.

        A start that ``is_repeated`` because its reply was lost counts no attempt. Raises redis-py's errors.
        """
        if b"payload" in entry.fields and may_have_login(entry):
            return asyncio.ensure_future(self._start_without_login(entry, tries, is_repeated))
        return self._send_start(entry, tries, is_repeated)

    async def _start_without_login(self, entry: Entry, tries: int, is_repeated: bool) -> Started:
        settled = await resubmit(entry, self.redis, self.pipe, self.keys)
        return settled or await self._send_start(entry, tries, is_repeated)

    def _send_start(self, entry: Entry, tries: int, is_repeated: bool) -> asyncio.Future[Started]:
        payload = entry.fields.get(b"payload", b"")
        args = entry.fields.get(b"args", b"") if payload else b""
        version = entry.fields.get(b"v", b"") if payload else b""
        return self._starts.call(
            (self._lane_keys[entry.lane], self.keys.job(entry.job_id)),
            (entry.id, entry.kind, entry.lane, tries, payload, args, version, int(is_repeated)),
            size=len(payload) + len(args),
            decode=partial(started, entry),
        )

    def send_starts(self) -> None:
        """Send the starts of this tick now."""
        self._starts.flush()

    async def holds(self, delivery: Delivery) -> bool:
        """Renew ``delivery`` and return whether it still holds its job."""
        args = (*self._who, delivery.entry, delivery.fence)
        verdicts = await self.pipe.call(SCRIPTS["renew"], self._held_keys(delivery), args)
        return bool(verdicts[0])

    # ------------------------------------------------------------------------------------------ ending deliveries

    def finish(
        self, delivery: Delivery, *, commit: Commit | None, value_json: str = "null", result_ttl_s: int | None = None
    ) -> Coroutine[Any, Any, Standing]:
        """Commit a success: result, writes, acknowledgement, state, counter and event in one step.

        ``result_ttl_s``: 0 keeps the result permanently, -1 not at all, None is the worker's default.
        """
        if commit is None:
            result = encode_value(delivery.job_id, delivery.kind, value_json)
        else:
            result = commit.encoded_result(delivery.job_id, delivery.kind)
        return self._end(delivery, JobState.SUCCEEDED, result, commit, result_ttl_s)

    def finish_cancelled(self, delivery: Delivery, *, result_ttl_s: int | None = None) -> Coroutine[Any, Any, Standing]:
        """Commit a cancellation of a running job."""
        result = encode_failure(
            delivery.job_id,
            delivery.kind,
            JobState.CANCELLED,
            ErrorInfo(type="JobCancelled", message="cancelled on request"),
        )
        return self._end(delivery, JobState.CANCELLED, result, None, result_ttl_s)

    async def _end(
        self, delivery: Delivery, state: JobState, result: str | bytes, commit: Commit | None, result_ttl_s: int | None
    ) -> Standing:
        keys = [*self._held_keys(delivery), self.keys.result(delivery.job_id), self.keys.secret(delivery.job_id)]
        ttl_s = self._result_ttl_s if result_ttl_s is None else result_ttl_s
        event = self._event_head(f"job.{state}", delivery, state, commit.event if commit else {})
        args: list[Arg] = [delivery.entry, delivery.fence, state, result, ttl_s, event, delivery.batch]
        if delivery.batch:
            keys.append(self.keys.batch(delivery.batch))
        writes = commit.writes if commit else ()
        reply = await self._committed(delivery, keys, args, writes, size=len(result))
        if reply == b"changed":  # another scan of the page has changed its component barriers meanwhile
            whole = [with_barriers(write) for write in writes]
            reply = await self._committed(delivery, keys, args, whole, size=len(result))
        return reply.decode()

    def _committed(
        self, delivery: Delivery, keys: Sequence[str], args: Sequence[Arg], writes: Iterable[Write], *, size: int
    ) -> asyncio.Future[Any]:
        keys, args = list(keys), list(args)
        for write in writes:
            written = write_args(write)
            keys.extend(write_keys(write))
            args.extend(written)
            size += sum(len(arg) for arg in written if isinstance(arg, str | bytes))
        if len(delivery.payload) + len(delivery.args) > KEPT_PAYLOAD_BYTES:
            keys.append(self.keys.job(delivery.job_id))
            args.extend(("FORGET", 0))
        return self._finishes.call(keys, (len(keys), len(args) + 2, *args), size=size)

    async def bury(
        self, delivery: Delivery, error: ErrorInfo, *, result_ttl_s: int | None = None
    ) -> tuple[Standing, int]:
        """Dead-letter the job; also returns the length of the dead-letter stream.

        ``result_ttl_s`` is as for ``finish``. If the result is not kept, there is no dead letter either.
        """
        ttl_s = self._result_ttl_s if result_ttl_s is None else result_ttl_s
        keys = [self._lane_keys[delivery.lane], self.keys.dead, self.keys.job(delivery.job_id)]
        keys += [self.keys.result(delivery.job_id), self.keys.events, self.keys.secret(delivery.job_id)]
        if delivery.batch:
            keys.append(self.keys.batch(delivery.batch))
        about = {"error": {"type": error.type, "message": error.message}}
        event = self._event_head("job.dead", delivery, JobState.DEAD, about) + "}"
        result = encode_failure(delivery.job_id, delivery.kind, JobState.DEAD, error)
        letter = (delivery.job_id, error.type, error.message, DEAD_CAP if ttl_s >= 0 else 0, DEAD_BYTES)
        end = (result, ttl_s, self._job_ttl_s(ttl_s), event, self.keys.events_live, delivery.batch)
        args = (*self._held_args(delivery), *letter, *end)
        reply = await self.pipe.call(SCRIPTS["bury"], keys, args)
        return reply[0].decode(), reply[1] if len(reply) > 1 else 0

    async def retry(
        self,
        delivery: Delivery,
        *,
        delay_s: float,
        error: ErrorInfo,
        attempt_returned: bool = False,
        needs_function: bool = False,
        control: str = "",
        may_be_cancelled: bool = True,
    ) -> Standing:
        """Commit a retry: the job is scheduled, possibly for a worker that has a function for its kind.

        With ``control``, it waits until that control is removed. A cancelled job is due at once, unless this worker's
        jobs may not be cancelled.
        """
        keys = [*self._held_keys(delivery), self.keys.scheduled_in(delivery.lane), self.keys.events]
        if needs_function:
            keys.append(self.keys.waiting_for(delivery.kind))
        elif control:
            keys += [self.keys.parked(control), self.keys.controls]
        about = {"error": {"type": error.type, "message": error.message}, "delay_ms": int(delay_s * 1000)}
        event = self._event_head("job.retried", delivery, JobState.SCHEDULED, about) + "}"
        reason = json.dumps(about["error"])
        returned = int(attempt_returned and not delivery.is_exhausted)
        tail = (delivery.job_id, int(delay_s * 1000), reason, event, self.keys.events_live, returned, control)
        args = (*self._held_args(delivery), *tail, int(may_be_cancelled))
        reply = await self.pipe.call(SCRIPTS["retry"], keys, args)
        return reply.decode()

    async def requeue(self, delivery: Delivery) -> Standing:
        """Requeue the job at once and return its attempt."""
        reply = await self.pipe.call(
            SCRIPTS["requeue"],
            self._held_keys(delivery),
            # A start over the limit has counted no attempt: returning one would let a job that kills workers run again.
            (*self._held_args(delivery), delivery.job_id, delivery.kind, int(not delivery.is_exhausted)),
        )
        return reply.decode()

    async def reject(self, entry: Entry, error: ErrorInfo, *, is_unknown: bool = False) -> tuple[Rejected, int]:
        """Dead-letter a malformed entry with its fields, without user info; its result says so too.

        An entry that names another job is dead-lettered under its own id, and that job is not touched. If
        ``is_unknown`` (its job has ended and is no longer kept), the entry is dropped.
        """
        result = encode_failure(entry.job_id, entry.kind, JobState.DEAD, error)
        line = {"v": 1, "event": "job.rejected", "lane": entry.lane, "state": "dead"}
        event = json.dumps({**line, "error": {"type": error.type, "message": error.message}})
        of_job = (self.keys.result(entry.job_id), self.keys.job(entry.job_id))
        keys = (self._lane_keys[entry.lane], self.keys.dead, self.keys.events, *of_job)
        args = (*self._who, entry.id, entry.job_id, entry.lane, error.message, event, self.keys.events_live)
        limits = (MAX_DEAD_VALUE_BYTES, DEAD_CAP, result, self._result_ttl_s, error.type, entry.own_id, DEAD_BYTES)
        may_have_ended = int(is_unknown and entry.job_id != entry.own_id)
        reply = await self.pipe.call(SCRIPTS["reject"], keys, (*args, *limits, may_have_ended, KEEP_FINISHED_S))
        return reply[0].decode(), reply[1] if len(reply) > 1 else 0

    async def note_progress(self, delivery: Delivery, text: str) -> bool:
        """Write the job's progress; returns False if the delivery no longer holds it."""
        reply = await self.pipe.call(
            SCRIPTS["progress"], (self.keys.job(delivery.job_id),), (delivery.fence, text[:500])
        )
        return reply == b"kept"

    # ------------------------------------------------------------------------------------------ parts

    def _job_ttl_s(self, result_ttl_s: int) -> int:
        """Return the lifetime of an ended job in seconds, 0 for permanently; by default that of its result."""
        if self._keeps_jobs:
            return KEEP_FINISHED_S
        return max(60, result_ttl_s) if result_ttl_s else 0

    def _held_keys(self, delivery: Delivery) -> tuple[str, str]:
        return self._lane_keys[delivery.lane], self.keys.job(delivery.job_id)

    def _held_args(self, delivery: Delivery) -> tuple[Arg, ...]:
        return (*self._who, delivery.entry, delivery.fence)

    def _event_head(self, name: str, delivery: Delivery, state: JobState, extra: Mapping[str, Any]) -> str:
        """Return the event's JSON without its closing brace: Lua adds the time. Avoids json.dumps on a hot path."""
        about = (
            f'"v":1,"event":"{name}","job_id":"{delivery.job_id}","kind":{_quoted(delivery.kind)},'
            f'"lane":"{delivery.lane}","state":"{state}","attempt":{delivery.attempt},"worker":{self._worker_json}'
        )
        if delivery.batch:
            about += f',"batch":{_quoted(delivery.batch)}'
        if extra:
            more = {name: value for name, value in extra.items() if f'"{name}":' not in about}
            about = f"{about},{json.dumps(more, separators=(',', ':'))[1:-1]}" if more else about
        return "{" + about


def encode_value(job_id: str, kind: str, value_json: str) -> str:
    """Return the JSON of a ``FunctionResult`` around an encoded value; the hot path of plain functions."""
    about = f'"job_id": "{job_id}", "kind": {_quoted(kind)}, "state": "succeeded", "error": null'
    return f'{{"v": 1, {about}, "value": {value_json}}}'


@lru_cache(maxsize=128)
def _quoted(name: str) -> str:
    """Return the JSON of a kind's or batch's name, which many jobs share."""
    return json.dumps(name)
