"""The async client: submit jobs, wait for results, cancel, read events. ``blocking.py`` wraps it for blocking code.

::

    async with Client() as client:
        job = await client.submit("scan", {"url": "https://example.org/"})
        result = await client.wait(job.job_id, timeout_s=120)

Redis is authoritative; the client is stateless. It reconnects with back-off, and an interrupted ``submit`` is safe to
repeat because the id is chosen before the first attempt. Every method raises ``RedisUnreachable`` or
``RedisUnsuitable`` when Redis does not respond correctly, and ``Unconfirmed`` when a call may have taken effect. Next:
``submission.py``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer import contract
from producer.client.durability import check_durable, run_durably
from producer.client.event_stream import NoReply, Waiters, follow, not_ended, outlasting
from producer.client.given import check_event_id, check_text, check_timeout
from producer.client.submission import SUBMIT, Submission, Submitted, doubt_of_many, prepare, read_answer
from producer.contract import JobState, JsonObject, Lane, check_own_job_id
from producer.contract.terms import FINAL_STATES
from producer.errors import QueueFull, ResultExpired
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.redis.raw_connection import replied
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import load_script, run_script
from producer.settings import ClientSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from producer.client.gpu_view import GpuView
    from producer.client.queue_view import BatchInfo, JobInfo, QueueInfo
    from producer.contract import Event, Result

KEEP_FINISHED_S: Final = 7 * 86_400
READ_AT_ONCE: Final = 500
"""Payloads that ``submit_many`` reads before it sends their jobs; limits the client's memory."""
PIPELINED: Final = 100
"""Jobs per round trip: while Redis adds some, the next are prepared. Limits how long one client keeps Redis busy."""
DURABLE_CHECK_EVERY_S: Final = 5.0
"""Interval of the check of how Redis persists data, which a failover or CONFIG SET may change."""
MEMORY_CHECK_EVERY_S: Final = 0.5
"""Interval of the memory check, since INFO costs as much as a submit."""

SEAL: Final = load_script("producer.client", "seal")

T = TypeVar("T")
Payload: TypeAlias = "BaseModel | JsonObject"


class Client:
    """A connection to one environment's queue. Use as an async context manager, or call ``close``."""

    def __init__(self, settings: ClientSettings | None = None, *, redis: Redis | None = None) -> None:
        self.settings = settings or ClientSettings.from_env(os.environ)
        self.keys = Keys(self.settings.environment)
        self._redis = redis or open_redis(self.settings, gives_up=True)
        self._owns_redis = redis is None
        self._scripts = ScriptPipe(cast("ConnectionPool", self._redis.connection_pool))
        self._waiters = Waiters(self._redis, self.keys.events, check=self._ended_of)
        self._memory_due_at = 0.0
        self._durable_due_at = 0.0

    @property
    def redis(self) -> Redis:
        """The Redis client, for direct access to the environment's keys."""
        return self._redis

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Jobs are unaffected."""
        await self._waiters.close()
        await self._scripts.close()
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
        """Submit one job.

        ``job_id`` makes it unique: a second job with that id is not created (``created`` is False) until 7 days after
        the first one ended. ``defer_s`` delays the start. With ``durable`` the call returns once the job is on disk,
        or raises ``NotDurable`` if Redis cannot guarantee that. ``secrets`` (headers, cookies, storage_state) give
        access to a page behind a login; they are stored separately until the job ends, for a day at most. Raises
        ``InvalidJob``, ``JobTooLarge`` and ``QueueFull``, without writing anything. After ``Unconfirmed``, submit
        again with the id in the message.
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
        return await self.submit_prepared(job, durable=durable)

    async def submit_prepared(self, job: Submission, *, durable: bool = False) -> Submitted:
        """Submit a job made by ``submission.prepare``; raises as ``submit`` does."""
        with redis_errors(self.settings, job.doubt):
            if durable:
                return await self._submit_durably(job)
            reply = await self._scripts.run(SUBMIT, job.keys(self.keys), self._submit_args(job))
        return self._answered(job, reply)

    async def _submit_durably(self, job: Submission) -> Submitted:
        """Submit and wait for the disk; an interrupted call is repeated and recognised by its nonce."""
        if (now := time.monotonic()) >= self._durable_due_at:
            await replied(check_durable(self._redis))
            self._durable_due_at = now + DURABLE_CHECK_EVERY_S
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
        secrets: JsonObject | None = None,
    ) -> AsyncGenerator[Submitted]:
        """Submit many jobs, ``PIPELINED`` at a time, and yield each once it is queued.

        ``payloads`` may be a generator: memory is bounded. Every job gets the same ``secrets``. Raises as ``submit``
        does at the first refused job; jobs already yielded are queued.
        """
        pairs = ((p, None) for p in payloads) if job_ids is None else zip(payloads, job_ids, strict=True)
        prepared = partial(_prepared, kind, lane=lane, batch=batch, secrets=secrets)
        # Payloads are read while no job is on its way: a slow generator would make Redis look silent.
        while chunk := list(islice(pairs, READ_AT_ONCE)):
            jobs, failure = prepared(chunk[:PIPELINED])
            for following in range(PIPELINED, READ_AT_ONCE + PIPELINED, PIPELINED):
                if failure is not None:
                    raise failure
                adding = asyncio.ensure_future(self._add(jobs))
                try:
                    await asyncio.sleep(0)  # they are sent
                    added, (jobs, failure) = jobs, prepared(chunk[following : following + PIPELINED])
                    replies = await adding
                finally:
                    adding.cancel()
                for job, reply in zip(added, replies, strict=True):
                    if isinstance(reply, Exception):
                        with redis_errors(self.settings):
                            raise reply
                    yield self._answered(job, reply)

    async def _add(self, jobs: Sequence[Submission]) -> list[Any]:
        """Return submit.lua's replies."""
        calls = [(job.keys(self.keys), self._submit_args(job)) for job in jobs]
        with redis_errors(self.settings, partial(doubt_of_many, jobs)):
            return await self._scripts.run_many(SUBMIT, calls) if calls else []

    def _submit_args(self, job: Submission) -> list[Any]:
        now, share = time.monotonic(), 0.0
        if now >= self._memory_due_at:
            self._memory_due_at = now + MEMORY_CHECK_EVERY_S
            share = self.settings.memory_limit_share
        return job.args_of(backlog_limit=self.settings.backlog_limit, memory_share=share)

    def _answered(self, job: Submission, reply: Sequence[Any]) -> Submitted:
        try:
            return read_answer(job, reply, self.keys)
        except QueueFull:
            self._memory_due_at = 0.0  # while memory is full, check on every submit
            raise

    async def _read(self, call: Awaitable[T]) -> T:
        """Return the result of a read-only call; raises ``RedisUnreachable`` after 30 s of silence."""
        with redis_errors(self.settings, None):
            return await replied(call)

    # ------------------------------------------------------------------------------------------ results

    async def result(self, job_id: str) -> Result | None:
        """Return the result, with ``error`` unless the job succeeded; None if there is none (``job`` has the state)."""
        found = await self._stored_result(job_id)
        if found is not None:
            state = await self._read(cast("Awaitable[bytes | None]", self._redis.hget(self.keys.job(job_id), "state")))
            if state is not None and state.decode() not in FINAL_STATES:
                return None  # the result of an earlier job with this id
        return found

    async def _stored_result(self, job_id: str) -> Result | None:
        text = await self._read(self._redis.get(self.keys.result(job_id)))
        return contract.decode_result(text) if text is not None else None

    async def shots(self, job_id: str) -> dict[str, bytes]:
        """Return a scan's stored screenshots: JPEGs by ``PAGE_SHOT`` or the element's fingerprint."""
        fields = await self._read(cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self.keys.shot(job_id))))
        return {name.decode(): picture for name, picture in fields.items()}

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> Result:
        """Return the result once the job has ended; raises ``UnknownJob``, ``WaitTimeout``, ``ResultExpired``."""
        async with aclosing(self.as_completed([job_id], timeout_s=timeout_s)) as results:
            result = await anext(results)
        if result.error is not None and result.is_expired:
            raise ResultExpired(result.error.message)
        return result

    async def as_completed(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> AsyncGenerator[Result]:
        """Yield the results of ``job_ids`` as the jobs end; raises ``UnknownJob``, ``WaitTimeout``.

        An expired result has ``is_expired``. Only the ids and one result are in memory, even for 100,000 jobs.
        """
        left, timeout_s = set(job_ids), check_timeout(timeout_s)
        until = time.monotonic() + (inf if timeout_s is None else timeout_s)
        with redis_errors(self.settings, None):
            while left:  # again for jobs whose end a failover lost after it was announced
                left_s = None if timeout_s is None else max(0.0, until - time.monotonic())
                async with aclosing(self._waiters.ends(left, timeout_s=left_s)) as ends:
                    try:
                        async for job_id in ends:
                            result = await outlasting(partial(self._ended, job_id), until=until)
                            if result is not None:
                                left.discard(job_id)
                                yield result
                    except TimeoutError as error:
                        silent = self.settings.public_redis_url if isinstance(error, NoReply) else ""
                        raise not_ended(left, timeout_s or 0.0, silent=silent) from None

    async def assessed(self, scan_ids: Iterable[str], *, timeout_s: float) -> AsyncGenerator[Result]:
        """Yield the results of scans with pending parts (``ScanResult.is_awaited``) as each becomes complete.

        Stops after ``timeout_s`` and omits expired results.
        """
        end_s, left = time.monotonic() + timeout_s, list(scan_ids)
        for _ in range(4):  # the assessment, then the tried fixes; in an outage some fixes come first
            waits: dict[str, str] = {}
            for scan_id in left:
                result = await self.result(scan_id)
                if isinstance(result, contract.ScanResult) and result.is_awaited:
                    own_id = contract.fix_job_id if result.awaits_tries else contract.assess_job_id
                    waits[own_id(scan_id)] = scan_id
                elif result is not None:
                    yield result
            left = []
            left_s = max(0.0, end_s - time.monotonic())
            with redis_errors(self.settings, None), suppress(TimeoutError):
                async with aclosing(self._waiters.ends(list(waits), timeout_s=left_s)) as ends:
                    async for job_id in ends:
                        result = await self.result(waits[job_id])
                        if isinstance(result, contract.ScanResult) and result.is_awaited:
                            left.append(waits[job_id])
                        elif result is not None:
                            yield result

    async def _ended_of(self, job_ids: Iterable[str]) -> list[str]:
        from producer.client.queue_view import ended_of  # noqa: PLC0415  lazy: not needed to submit

        return await ended_of(self._redis, self.keys, job_ids)

    async def _ended(self, job_id: str) -> Result | None:
        """Return the result of a job whose end was announced; None if it has not ended after all."""
        result = await self._stored_result(job_id)
        if result is not None:
            return result
        info = await self.job(job_id)
        if not info.state.is_final:
            return None
        # Both at one moment: a failover may have lost the end before the first look, and the job has ended again since.
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(self.keys.job(job_id), "state")
            pipe.get(self.keys.result(job_id))
            state, text = await self._read(pipe.execute())
        if text is not None:
            return contract.decode_result(text)
        is_expired = state == info.state.encode()
        return contract.Result.expired(job_id, kind=info.kind, state=info.state) if is_expired else None

    # ------------------------------------------------------------------------------------------ inspect and control

    async def job(self, job_id: str) -> JobInfo:
        """Return a job's fields and its position in the queue; raises ``UnknownJob``."""
        from producer.client.queue_view import job_info  # noqa: PLC0415  lazy: not needed to submit

        return await self._read(job_info(self._redis, self.keys, job_id))

    async def cancel(self, job_id: str) -> JobState:
        """Cancel a job; returns ``cancelled``, ``running`` (stops within 5 s), or its earlier final state.

        Raises ``UnknownJob``.
        """
        states = await self._cancel([job_id])
        if not states:
            from producer.client.queue_view import unknown  # noqa: PLC0415  lazy: not needed to submit

            raise unknown(f"job {job_id!r}", self.keys)
        return states[job_id]

    async def cancel_batch(self, batch_id: str) -> dict[str, JobState]:
        """Cancel a batch's unfinished jobs and return their new states. Raises ``UnknownJob``.

        Jobs submitted to the batch in the meantime are not cancelled: stop the submitter first.
        """
        from producer.client.queue_view import jobs_of_batch  # noqa: PLC0415  lazy: not needed to submit

        await self.batch(batch_id)
        jobs = await self._read(jobs_of_batch(self._redis, self.keys, batch_id))
        states = await self._cancel(job_id for job_id, state in jobs.items() if state is not JobState.DEAD)
        return {job_id: state for job_id, state in states.items() if not jobs[job_id].is_final}

    async def _cancel(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        from producer.client.cancellation import cancel_jobs  # noqa: PLC0415  lazy: not needed to submit

        ttls = {"result_ttl_s": self.settings.result_ttl_s, "job_ttl_s": KEEP_FINISHED_S}
        with redis_errors(self.settings, lambda: "jobs may have been cancelled; cancel again to be sure"):
            return await cancel_jobs(self._redis, self._scripts, self.keys, job_ids, **ttls)

    async def batch(self, batch_id: str) -> BatchInfo:
        """Return a batch's counters; raises ``UnknownJob``."""
        from producer.client.queue_view import batch_info  # noqa: PLC0415  lazy: not needed to submit

        return await self._read(batch_info(self._redis, self.keys, batch_id))

    async def seal_batch(self, batch_id: str, *, create: bool = False) -> BatchInfo:
        """Declare the batch complete, so that its completion event can be sent. Safe to call twice.

        Raises ``UnknownJob``, unless ``create`` makes an empty batch, which finishes immediately; then
        ``InvalidJob`` for a name that no batch can have.
        """
        if create:
            check_own_job_id(check_text("batch", batch_id), what="batch")
        keys = (self.keys.batch(batch_id), self.keys.events, self.keys.batches)
        args = (batch_id, KEEP_FINISHED_S, self.keys.events_live, int(create))
        with redis_errors(self.settings, lambda: f"batch {batch_id!r} may be sealed; seal it again to be sure"):
            state = await run_script(self._redis, SEAL, keys, args)
        if state == b"unknown":
            from producer.client.queue_view import unknown  # noqa: PLC0415  lazy: not needed to submit

            raise unknown(f"batch {batch_id!r}", self.keys)
        return await self.batch(batch_id)

    async def events(
        self, *, since: str = "$", follow_new: bool = True, on_outage: Callable[[Exception], object] | None = None
    ) -> AsyncGenerator[Event]:
        """Yield the events after ``since``; with ``follow_new`` also new ones, through outages.

        ``since`` is an event's id, ``0`` for the oldest kept or ``$`` for now; raises ``InputError`` for anything else.
        """
        read = partial(follow, self._redis, self.keys.events, on_outage=on_outage)
        since = check_event_id(since)
        with redis_errors(self.settings, None):
            async for event in read(since=since, is_endless=follow_new):
                yield event

    async def queue(self) -> QueueInfo:
        """Return lane depths, scheduled and dead-lettered jobs, and workers with a heartbeat in the last 30 s."""
        from producer.client.queue_view import queue_info  # noqa: PLC0415  lazy: not needed to submit

        return await self._read(queue_info(self._redis, self.keys))

    async def gpu(self) -> GpuView:
        """Return holders and waiters of model slots, with expected waits; empty if no worker uses a model host."""
        from producer.client.gpu_view import read_gpu  # noqa: PLC0415  lazy: not needed to submit

        return await self._read(read_gpu(self._redis, self.keys))


def _prepared(
    kind: str, pairs: Iterable[tuple[Payload, str | None]], **options: Any
) -> tuple[list[Submission], Exception | None]:
    """Return a job for each payload and id; or none, and the error of a payload."""
    try:
        return [prepare(kind, payload, job_id=job_id, **options) for payload, job_id in pairs], None
    except Exception as error:  # noqa: BLE001  raised when its turn comes
        return [], error
