"""The async client: submit jobs, wait for results, cancel, read events. ``blocking.py`` wraps it for blocking code.

::

    async with Client() as client:
        job = await client.submit("scan", {"url": "https://example.org/"})
        result = await client.wait(job.job_id, timeout_s=120)

Redis is authoritative; the client is stateless. It reconnects with back-off, and an interrupted ``submit`` is safe to
repeat because the id is chosen before the first attempt. Every method raises ``RedisUnreachable`` or
``RedisUnsuitable`` when Redis does not respond correctly, and ``Unconfirmed`` when a call may have taken effect. Next:
``submitter.py``.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

from redis.asyncio import Redis

from producer import contract
from producer.client.event_stream import NoReply, Waiters, follow, not_ended, outlasting
from producer.client.given import check_event_id, check_text, check_timeout
from producer.client.submitter import Submitter
from producer.contract import JobState, check_own_job_id
from producer.contract.terms import FINAL_STATES
from producer.errors import ResultExpired
from producer.redis.connection import redis_errors
from producer.redis.raw_connection import replied
from producer.redis.scripts import load_script, run_script
from producer.settings import ClientSettings

if TYPE_CHECKING:
    from producer.client.gpu_view import GpuView
    from producer.client.queue_info import BatchInfo, JobInfo, QueueInfo
    from producer.contract import Event, Result

KEEP_FINISHED_S: Final = 7 * 86_400
SEAL: Final = load_script("producer.client", "seal")

T = TypeVar("T")


class Client(Submitter):
    """A connection to one environment's queue. Use as an async context manager, or call ``close``."""

    def __init__(self, settings: ClientSettings | None = None, *, redis: Redis | None = None) -> None:
        super().__init__(settings, redis=redis)
        self._waiters = Waiters(self._redis, self.keys.events, check=self._ended_of)

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
        await super().close()

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
