"""The client: submit jobs, wait for results, cancel, read events. Async; ``blocking.py`` has the blocking twin.

::

    async with Client() as client:
        job = await client.submit("scan", {"url": "https://example.org/"})
        result = await client.wait(job.job_id, timeout_s=120)

Redis is authoritative; the client keeps nothing. It reconnects with back-off, and an interrupted ``submit`` is safe to
repeat: the id is made before the first try. Every method raises ``RedisUnreachable`` or ``RedisUnsuitable`` when Redis
does not answer as it should, and ``Unconfirmed`` where a call may have taken effect. Next: ``submission.py``.
"""

from __future__ import annotations

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
from producer.client.cancellation import cancel_jobs
from producer.client.durability import check_durable, run_durably
from producer.client.event_stream import NoReply, Waiters, follow, not_ended, outlasting
from producer.client.given import check_timeout
from producer.client.queue_view import batch_info, ended_of, job_info, jobs_of_batch, queue_info, unknown
from producer.client.submission import SUBMIT, Submission, Submitted, doubt_of_many, prepare, read_answer
from producer.contract import JobState, JsonObject, Lane
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
PIPELINED: Final = 500
"""Jobs in one round trip of ``submit_many``: bounds the client's memory, and how long Redis is busy with one client."""
MEMORY_CHECK_EVERY_S: Final = 0.5
"""INFO costs as much as a submit; the memory limit is looked at this often."""

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
        self._waiters = Waiters(self._redis, self.keys.events, check=partial(ended_of, self._redis, self.keys))
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
        """Put one job into the queue.

        ``job_id`` makes it unique: a second job of that id is refused (``created`` False) until 7 days after the
        first one's end. ``defer_s`` delays it. ``durable`` returns once the job is on disk, and raises ``NotDurable``
        where Redis cannot promise that. ``secrets`` (headers, cookies, storage_state) open a page behind a login; they
        are kept apart, until the job's end or for a day. Raises ``InvalidJob``, ``JobTooLarge`` and ``QueueFull``; then
        nothing is written. After ``Unconfirmed`` submit again under the id that its message names.
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
        """Put a job of ``submission.prepare`` into the queue; raises as ``submit`` does."""
        with redis_errors(self.settings, job.doubt):
            if durable:
                return await self._submit_durably(job)
            reply = await self._scripts.run(SUBMIT, job.keys(self.keys), self._submit_args(job))
        return self._answered(job, reply)

    async def _submit_durably(self, job: Submission) -> Submitted:
        """Submit and wait for the disk; an interrupted call is repeated whole, known by its nonce."""
        if not self._is_durable:
            await replied(check_durable(self._redis))
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
        secrets: JsonObject | None = None,
    ) -> AsyncGenerator[Submitted]:
        """Put many jobs into the queue, ``PIPELINED`` at a time, and yield each once in.

        ``payloads`` may be a generator: memory stays bounded. ``secrets`` are given to every job, as ``submit`` does.
        Raises as ``submit`` does, at the first job refused; those yielded before are in the queue.
        """
        pairs = ((p, None) for p in payloads) if job_ids is None else zip(payloads, job_ids, strict=True)
        while chunk := list(islice(pairs, PIPELINED)):
            jobs = [
                prepare(kind, payload, job_id=job_id, lane=lane, batch=batch, secrets=secrets)
                for payload, job_id in chunk
            ]
            calls = [(job.keys(self.keys), self._submit_args(job)) for job in jobs]
            with redis_errors(self.settings, partial(doubt_of_many, jobs)):
                replies = await self._scripts.run_many(SUBMIT, calls)
            for job, reply in zip(jobs, replies, strict=True):
                if isinstance(reply, Exception):
                    with redis_errors(self.settings):
                        raise reply
                yield self._answered(job, reply)

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
            self._memory_due_at = 0.0  # while it is full, every submit looks
            raise

    async def _read(self, call: Awaitable[T]) -> T:
        """Return what a call returns that changes nothing; raises ``RedisUnreachable`` after 30 s of silence."""
        with redis_errors(self.settings, None):
            return await replied(call)

    # ------------------------------------------------------------------------------------------ results

    async def result(self, job_id: str) -> Result | None:
        """Return the result (``error`` is set unless the job succeeded), or None: see the state in ``job``."""
        text = await self._read(self._redis.get(self.keys.result(job_id)))
        return contract.decode_result(text) if text is not None else None

    async def shots(self, job_id: str) -> dict[str, bytes]:
        """Return a scan's pictures, if any are kept: JPEGs by ``PAGE_SHOT`` or node fingerprint."""
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
        """Yield the results of ``job_ids`` in the order in which the jobs end; raises ``UnknownJob``, ``WaitTimeout``.

        One that is no longer kept is ``is_expired``. Holds the ids and one result: fit for a batch of 100,000 jobs.
        """
        left, timeout_s = set(job_ids), check_timeout(timeout_s)
        until = time.monotonic() + (inf if timeout_s is None else timeout_s)
        with redis_errors(self.settings, None):
            async with aclosing(self._waiters.ends(left, timeout_s=timeout_s)) as ends:
                try:
                    async for job_id in ends:
                        left.discard(job_id)
                        yield await outlasting(partial(self._ended, job_id), until=until)
                except TimeoutError as error:
                    silent = self.settings.public_redis_url if isinstance(error, NoReply) else ""
                    raise not_ended(left, timeout_s or 0.0, silent=silent) from None

    async def assessed(self, scan_ids: Iterable[str], *, timeout_s: float) -> AsyncGenerator[Result]:
        """Yield the results of scans of which something is pending (``ScanResult.is_awaited``) as each is complete.

        Ends after ``timeout_s`` without the rest, and leaves out results that have expired.
        """
        end_s, left = time.monotonic() + timeout_s, list(scan_ids)
        for _ in range(4):  # the assessment, then the tried changes; in an outage, some of them before it
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

    async def _ended(self, job_id: str) -> Result:
        result = await self.result(job_id)
        if result is not None:
            return result
        info = await self.job(job_id)
        return contract.Result.expired(job_id, kind=info.kind, state=info.state)

    # ------------------------------------------------------------------------------------------ look and steer

    async def job(self, job_id: str) -> JobInfo:
        """Return what is known of a job, with its place in the queue; raises ``UnknownJob``."""
        return await self._read(job_info(self._redis, self.keys, job_id))

    async def cancel(self, job_id: str) -> JobState:
        """Cancel a job; returns its state after: ``cancelled``, ``running`` (told within 5 s), or the end it had.

        Raises ``UnknownJob``.
        """
        states = await self._cancel([job_id])
        if not states:
            raise unknown(f"job {job_id!r}", self.keys)
        return states[job_id]

    async def cancel_batch(self, batch_id: str) -> dict[str, JobState]:
        """Cancel the jobs of a batch that have not ended; returns each one's state after. Raises ``UnknownJob``.

        Jobs submitted to the batch meanwhile are not cancelled: stop the submitter first.
        """
        await self.batch(batch_id)
        jobs = await self._read(jobs_of_batch(self._redis, self.keys, batch_id))
        states = await self._cancel(job_id for job_id, state in jobs.items() if state is not JobState.DEAD)
        return {job_id: state for job_id, state in states.items() if not jobs[job_id].is_final}

    async def _cancel(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        ttls = {"result_ttl_s": self.settings.result_ttl_s, "job_ttl_s": KEEP_FINISHED_S}
        with redis_errors(self.settings, lambda: "jobs may have been cancelled; cancel again to be sure"):
            return await cancel_jobs(self._redis, self._scripts, self.keys, job_ids, **ttls)

    async def batch(self, batch_id: str) -> BatchInfo:
        """Return a batch's counters; raises ``UnknownJob``."""
        return await self._read(batch_info(self._redis, self.keys, batch_id))

    async def seal_batch(self, batch_id: str, *, create: bool = False) -> BatchInfo:
        """Say that all jobs of the batch are in, so that its completion event may come. Safe to call twice.

        Raises ``UnknownJob``, unless ``create`` makes an empty batch, which is finished at once.
        """
        keys = (self.keys.batch(batch_id), self.keys.events)
        args = (batch_id, KEEP_FINISHED_S, self.keys.events_live, int(create))
        with redis_errors(self.settings, lambda: f"batch {batch_id!r} may be sealed; seal it again to be sure"):
            state = await run_script(self._redis, SEAL, keys, args)
        if state == b"unknown":
            raise unknown(f"batch {batch_id!r}", self.keys)
        return await self.batch(batch_id)

    async def events(
        self, *, since: str = "$", follow_new: bool = True, on_outage: Callable[[Exception], object] | None = None
    ) -> AsyncGenerator[Event]:
        """Yield events as ``follow`` does: after ``since``, with ``follow_new`` through outages."""
        read = partial(follow, self._redis, self.keys.events, on_outage=on_outage)
        with redis_errors(self.settings, None):
            async for event in read(since=since, is_endless=follow_new):
                yield event

    async def queue(self) -> QueueInfo:
        """Return the lanes' depths, the scheduled and dead jobs, and the workers heard of in the last 30 s."""
        return await self._read(queue_info(self._redis, self.keys))

    async def gpu(self) -> GpuView:
        """Return who holds the GPU's slots, who waits and for how long still; empty where no worker needs a GPU."""
        from producer.client.gpu_view import read_gpu  # noqa: PLC0415  who submits does not look at GPUs

        return await self._read(read_gpu(self._redis, self.keys))
