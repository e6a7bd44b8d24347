"""The client: submit jobs, wait for results, cancel, read events. Async; ``blocking.py`` has the blocking twin.

::

    async with Client() as client:
        job = await client.submit("scan", {"url": "https://example.org/"})
        result = await client.wait(job.job_id, timeout_s=120)

Redis is authoritative; the client keeps nothing. It reconnects with back-off, and an interrupted ``submit`` is safe to
repeat: the id is made before the first try. Every method raises ``RedisUnreachable`` or ``RedisUnsuitable`` when Redis
does not answer as it should. Next: ``submission.py``, ``event_stream.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self, cast

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from producer.connection import open_redis, redis_errors
from producer.contract import ErrorInfo as ErrorInfo  # noqa: PLC0414  part of the client's surface
from producer.contract import Event, FunctionResult, JobState, JsonObject, Lane, Result, decode_result
from producer.durability import check_durable, run_durably
from producer.errors import QueueFull, UnknownJob, WaitTimeout
from producer.event_stream import Waiters, follow
from producer.keys import GROUP, Keys
from producer.records import BatchInfo, JobInfo, LaneInfo, QueueInfo, WorkerInfo
from producer.scripts import load_script, run_script
from producer.settings import ClientSettings
from producer.submission import SUBMIT, Submission, Submitted, prepare, read_answer

KEEP_FINISHED_S: Final = 7 * 86_400
PIPELINED: Final = 500
"""Jobs in one round trip of ``submit_many``: bounds the client's memory, and how long Redis is busy with one client."""
MEMORY_CHECK_EVERY_S: Final = 0.5
"""INFO costs as much as a submit; the memory limit is looked at this often."""
POSITION_LIMIT: Final = 10_000

CANCEL: Final = load_script("producer", "cancel")
SEAL: Final = load_script("producer", "seal")

Payload = BaseModel | JsonObject


class Client:
    """A connection to one environment's queue. Use as an async context manager, or call ``close``."""

    def __init__(self, settings: ClientSettings | None = None, *, redis: Redis | None = None) -> None:
        self.settings = settings or ClientSettings.from_env(os.environ)
        self.keys = Keys(self.settings.environment)
        self._redis = redis or open_redis(self.settings)
        self._owns_redis = redis is None
        self._waiters = Waiters(self._redis, self.keys.events, check=self._ended_of)
        self._memory_due_at = 0.0
        self._is_durable = False

    @property
    def redis(self) -> Redis:
        """The connection, for what else the client's environment holds."""
        return self._redis

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Jobs go on."""
        await self._waiters.close()
        if self._owns_redis:
            await self._redis.aclose()

    # ------------------------------------------------------------------------------------------ submit

    async def submit(
        self,
        kind: str,
        payload: Payload,
        *,
        job_id: str | None = None,
        lane: Lane | str | None = None,
        batch: str | None = None,
        defer_s: float = 0.0,
        tries: int | None = None,
        args: Sequence[Any] = (),
        secrets: JsonObject | None = None,
        durable: bool = False,
    ) -> Submitted:
        """Put one job into the queue.

        ``job_id`` makes it unique: a second job of that id is refused (``created`` False) until 7 days after the
        first one's end. ``defer_s`` delays it. ``durable`` returns once the job is on disk, and raises ``NotDurable``
        where Redis cannot promise that. ``secrets`` (headers, cookies, storage_state) open a page behind a login; they
        are kept apart, until the job's end or for a day. Raises ``InvalidJob``, ``JobTooLarge`` and ``QueueFull``; then
        nothing is written.
        """
        job = prepare(
            kind,
            payload,
            job_id=job_id,
            lane=lane,
            batch=batch,
            defer_s=defer_s,
            tries=tries,
            args=args,
            secrets=secrets,
        )
        with redis_errors(self.settings):
            if durable:
                return await self._submit_durably(job)
            reply = await run_script(self._redis, SUBMIT, job.keys(self.keys), self._submit_args(job))
        return self._answered(job, reply)

    async def _submit_durably(self, job: Submission) -> Submitted:
        """Submit and wait for the disk; an interrupted call is repeated whole, known by its nonce."""
        if not self._is_durable:
            await check_durable(self._redis)
            self._is_durable = True
        what = f"job {job.job_id!r}"
        reply = await run_durably(self._redis, SUBMIT, job.keys(self.keys), self._submit_args(job), what=what)
        return self._answered(job, reply)

    async def submit_many(
        self,
        kind: str,
        payloads: Iterable[Payload],
        *,
        lane: Lane | str | None = None,
        batch: str | None = None,
        job_ids: Iterable[str] | None = None,
    ) -> AsyncIterator[Submitted]:
        """Put many jobs into the queue, ``PIPELINED`` at a time, and yield each once in.

        ``payloads`` may be a generator: memory stays bounded. Raises as ``submit`` does, at the first job refused;
        those yielded before are in the queue.
        """
        pairs = ((p, None) for p in payloads) if job_ids is None else zip(payloads, job_ids, strict=True)
        while chunk := list(islice(pairs, PIPELINED)):
            jobs = [prepare(kind, payload, job_id=job_id, lane=lane, batch=batch) for payload, job_id in chunk]
            for job, reply in zip(jobs, await self._submit_chunk(jobs), strict=True):
                if isinstance(reply, Exception):
                    with redis_errors(self.settings):
                        raise reply
                yield self._answered(job, reply)

    async def _submit_chunk(self, jobs: list[Submission]) -> list[Any]:
        with redis_errors(self.settings):
            async with self._redis.pipeline(transaction=False) as pipe:
                for job in jobs:
                    keys = job.keys(self.keys)
                    cast("Any", pipe).evalsha(SUBMIT.sha, len(keys), *keys, *self._submit_args(job))
                replies = await pipe.execute(raise_on_error=False)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                await self._redis.script_load(SUBMIT.text)
                return await self._submit_chunk(jobs)  # repeated with the same ids and nonces: nothing is doubled
        return replies

    def _submit_args(self, job: Submission) -> list[Any]:
        now = time.monotonic()
        is_due = now >= self._memory_due_at
        if is_due:
            self._memory_due_at = now + MEMORY_CHECK_EVERY_S
        share = self.settings.memory_limit_share if is_due else 0
        return job.args_of(backlog_limit=self.settings.backlog_limit, memory_share=share)

    def _answered(self, job: Submission, reply: Sequence[Any]) -> Submitted:
        try:
            return read_answer(job, reply, self.keys)
        except QueueFull:
            self._memory_due_at = 0.0  # while it is full, every submit looks
            raise

    # ------------------------------------------------------------------------------------------ results

    async def result(self, job_id: str) -> Result | None:
        """Return the result, or None while there is none. ``error`` is set for a job that was cancelled or died."""
        with redis_errors(self.settings):
            text = await self._redis.get(self.keys.result(job_id))
        return decode_result(text) if text is not None else None

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """Return the result as soon as the job has ended, whatever its end; raises ``UnknownJob``, ``WaitTimeout``."""
        try:
            async with asyncio.timeout(timeout_s):
                with redis_errors(self.settings):
                    await self._waiters.ended(job_id)
        except TimeoutError:
            msg = f"job {job_id!r} has not ended within {timeout_s:g} s; it goes on: sightline result {job_id}"
            raise WaitTimeout(msg) from None
        result = await self.result(job_id)
        return result if result is not None else await self._ended_without_result(job_id)

    async def as_completed(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> AsyncIterator[Result]:
        """Yield the results of ``job_ids`` in the order in which the jobs end; raises as ``wait``."""
        tasks = {asyncio.create_task(self.wait(job_id)) for job_id in job_ids}
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        try:
            while tasks:
                left_s = None if deadline is None else max(0.0, deadline - loop.time())
                done, tasks = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    msg = f"{len(tasks)} jobs have not ended within {timeout_s:g} s; they go on"
                    raise WaitTimeout(msg)
                for task in done:
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ended_of(self, job_ids: Iterable[str]) -> Iterable[str]:
        """Return which of the jobs have ended; raises ``UnknownJob`` for one nobody submitted."""
        ids = list(job_ids)
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(self.keys.job(job_id), "state")
                pipe.exists(self.keys.result(job_id))
            replies = await pipe.execute()
        ended: list[str] = []
        for job_id, state, has_result in zip(ids, replies[::2], replies[1::2], strict=True):
            if has_result or (state is not None and JobState(state.decode()).is_final):
                ended.append(job_id)
            elif state is None and not await self._is_added_by_hand(job_id):
                raise UnknownJob(f"no job {job_id!r} in environment {self.keys.environment!r}: see 'sightline status'")
        return ended

    async def _is_added_by_hand(self, job_id: str) -> bool:
        """Whether ``job_id`` is ``<lane>-<entry id>`` of an entry that waits in that lane without a hash yet."""
        lane, _, entry = job_id.partition("-")
        if lane not in set(Lane) or not entry.replace("-", "").isdecimal():
            return False
        return bool(await self._redis.xrange(self.keys.lane(lane), entry, entry))

    async def _ended_without_result(self, job_id: str) -> Result:
        info = await self.job(job_id)
        return FunctionResult(job_id=job_id, kind=info.kind, state=info.state)

    # ------------------------------------------------------------------------------------------ look and steer

    async def job(self, job_id: str) -> JobInfo:
        """Return what is known of a job, with its place in the queue; raises ``UnknownJob``."""
        with redis_errors(self.settings):
            fields = await _hash(self._redis, self.keys.job(job_id))
            if not fields:
                raise UnknownJob(f"no job {job_id!r} in environment {self.keys.environment!r}: see 'sightline status'")
            position = await self._position(fields) if fields.get(b"state") == b"queued" else None
        return JobInfo.of(job_id, fields, position=position)

    async def _position(self, fields: Mapping[bytes, bytes]) -> int | None:
        """Return how many undelivered entries the lane has up to this one, itself included; None over the limit."""
        lane_key, entry = self.keys.lane(fields[b"lane"].decode()), fields.get(b"entry", b"").decode()
        groups = cast("list[dict[str, Any]]", await self._redis.xinfo_groups(lane_key))
        delivered = next((g["last-delivered-id"] for g in groups if g["name"] == GROUP.encode()), b"0-0").decode()
        rows = await self._redis.xrange(lane_key, f"({delivered}", entry or "+", count=POSITION_LIMIT)
        return len(rows) if len(rows) < POSITION_LIMIT else None

    async def cancel(self, job_id: str) -> JobState:
        """Cancel a job; returns its state after: ``cancelled``, ``running`` (told within 5 s), or the end it had.

        Raises ``UnknownJob``.
        """
        error = ErrorInfo(type="JobCancelled", message="cancelled on request")
        with redis_errors(self.settings):
            while True:
                about = await cast("Any", self._redis).hmget(self.keys.job(job_id), "kind", "lane", "batch")
                kind, lane, batch = ((part or b"").decode() for part in about)
                result = FunctionResult(job_id=job_id, kind=kind, state=JobState.CANCELLED, error=error)
                about = {"job_id": job_id, "kind": kind, "lane": lane, "state": "cancelled"}
                event = json.dumps({"v": 1, "event": "job.cancelled", **about, **({"batch": batch} if batch else {})})
                named = (self.keys.job(job_id), self.keys.scheduled, self.keys.result(job_id))
                keys = [*named, self.keys.events, self.keys.secret(job_id)]
                keys += [self.keys.batch(batch)] if batch else []
                ttl_s = self.settings.result_ttl_s
                text = result.model_dump_json(exclude={"value"})
                args = (job_id, text, event, self.keys.events_live, ttl_s, KEEP_FINISHED_S, batch)
                state = (await run_script(self._redis, CANCEL, keys, args)).decode()
                if state != "moved":
                    break
        if state == "unknown":
            raise UnknownJob(f"no job {job_id!r} in environment {self.keys.environment!r}: see 'sightline status'")
        return JobState(state)

    async def batch(self, batch_id: str) -> BatchInfo:
        """Return a batch's counters; raises ``UnknownJob``."""
        with redis_errors(self.settings):
            fields = await _hash(self._redis, self.keys.batch(batch_id))
        if not fields:
            raise UnknownJob(f"no batch {batch_id!r} in environment {self.keys.environment!r}: see 'sightline status'")
        return BatchInfo.of(batch_id, fields)

    async def seal_batch(self, batch_id: str, *, create: bool = False) -> BatchInfo:
        """Say that all jobs of the batch are in, so that its completion event may come. Safe to call twice.

        Raises ``UnknownJob``, unless ``create`` makes an empty batch, which is finished at once.
        """
        keys = (self.keys.batch(batch_id), self.keys.events)
        args = (batch_id, KEEP_FINISHED_S, self.keys.events_live, int(create))
        with redis_errors(self.settings):
            state = await run_script(self._redis, SEAL, keys, args)
        if state == b"unknown":
            raise UnknownJob(f"no batch {batch_id!r} in environment {self.keys.environment!r}")
        return await self.batch(batch_id)

    async def events(self, *, since: str = "$", follow_new: bool = True) -> AsyncIterator[Event]:
        """Yield events after ``since``: an event's id, ``0`` for all that is kept, ``$`` for new ones only."""
        with redis_errors(self.settings):
            async for event in follow(self._redis, self.keys.events, since=since, is_endless=follow_new):
                yield event

    async def queue(self) -> QueueInfo:
        """Return the lanes' depths, the scheduled and dead jobs, and the workers heard of in the last 30 s."""
        with redis_errors(self.settings):
            lanes = {lane.value: await self._lane_info(lane) for lane in Lane}
            scheduled = await self._redis.zcard(self.keys.scheduled)
            dead = await self._redis.xlen(self.keys.dead)
            found = [key async for key in self._redis.scan_iter(match=f"{self.keys.worker_prefix}*", count=1000)]
            beats = [beat for beat in (await self._redis.mget(found) if found else ()) if beat is not None]
        workers = sorted((WorkerInfo.of(json.loads(beat)) for beat in beats), key=lambda worker: worker.name)
        return QueueInfo(lanes=lanes, scheduled=scheduled, dead=dead, workers=tuple(workers))

    async def _lane_info(self, lane: Lane) -> LaneInfo:
        key = self.keys.lane(lane)
        length = await self._redis.xlen(key)
        groups = cast("list[dict[str, Any]]", await self._redis.xinfo_groups(key)) if length else []
        running = sum(group["pending"] for group in groups if group["name"] == GROUP.encode())
        return LaneInfo(queued=max(0, length - running), running=running)


async def _hash(redis: Redis, key: str) -> Mapping[bytes, bytes]:
    return await cast("Any", redis.hgetall(key))
