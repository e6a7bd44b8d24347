"""``arq.jobs.Job`` on Sightline's keys, as returned by ``StreamPool.enqueue_job``.

An adapter of the client to arq's interface. Nothing is pickled: an error is restored if its class is already loaded
here, and is a ``JobExecutionFailed`` otherwise, because classes named in Redis are never imported. ``result`` and
``abort`` wait for an event instead of polling. Next: ``producer/client/client.py``.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from arq.constants import default_queue_name
from arq.jobs import DeserializationError, Job, JobDef, JobResult, JobStatus, ResultNotFound
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import FunctionResult, JobState, Result
from producer.errors import RedisUnsuitable, ResultExpired, UnknownJob, WaitTimeout
from worker.queue.arq_wire import (
    Deserializer,
    error_of,
    is_packed,
    outages_of_redis,
    returned_error,
    stream_job_id,
    unpack,
)


class QueuePool(Protocol):
    """The part of ``StreamPool`` that a job uses."""

    default_queue_name: str
    job_deserializer: Deserializer | None

    def client_of(self, queue_name: str) -> Client:
        """Return the client of a queue."""
        ...


class StreamJob(Job):
    """A reference to a job of a queue; ``job_id`` is the id that the program gave."""

    __slots__ = ("_client", "_key")

    def __init__(
        self,
        job_id: str,
        redis: Redis,
        _queue_name: str = default_queue_name,
        _deserializer: Deserializer | None = None,
    ) -> None:
        pool = cast("QueuePool", redis)
        super().__init__(job_id, redis, _queue_name, _deserializer or pool.job_deserializer)
        self._key = stream_job_id(job_id)
        self.set_queue(pool.default_queue_name if _queue_name == default_queue_name else _queue_name)

    def set_queue(self, queue_name: str) -> None:
        """Look for the job in this queue."""
        self._queue_name = queue_name
        self._client = cast("QueuePool", self._redis).client_of(queue_name)

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  arq's signature
        *,
        poll_delay: float = 0.5,
        pole_delay: float | None = None,
    ) -> Any:
        """Wait for the job's value, or raise its error, ``CancelledError`` for an aborted job.

        Raises ``ResultNotFound`` for an unknown job or one whose result is not kept, ``TimeoutError`` after ``timeout``
        s. Poll delays are ignored, since there is no polling.
        """
        del poll_delay
        if pole_delay is not None:
            message = '"pole_delay" is deprecated, use the correct spelling "poll_delay" instead'
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        ended = await self._ended(timeout)
        value = self._value_of(ended)
        if ended.error is not None or ended.state is JobState.CANCELLED:
            raise value
        return value

    async def info(self) -> JobDef | None:
        """Return the job, with its result if there is one; None if it is unknown."""
        known = await self.result_info() or self._definition(await self._hash())
        if known is not None:
            due = await self._redis.zscore(self._client.keys.scheduled, self._key)
            known.score = int(due) if due is not None else known.score
        return known

    async def result_info(self) -> JobResult | None:
        """Return the job with its result, or None without one. The result of a failed job is its exception."""
        fields, result = await self._hash(), await self._result()
        if result is None:
            return None
        known = self._definition(fields) or JobDef(result.kind, (), {}, 0, _time(0), None, self.job_id)
        about: dict[str, Any] = {**vars(known), "score": None, "job_try": int(fields.get(b"attempt", 0))}
        finished_ms = int(fields.get(b"finished_ms", 0))
        return JobResult(
            **about,
            success=result.error is None,
            result=self._value_of(result),
            start_time=_time(int(fields.get(b"started_ms", finished_ms))),
            finish_time=_time(finished_ms),
            queue_name=self._queue_name,
        )

    async def status(self) -> JobStatus:
        """Return the job's status; ``not_found`` also for an ended job without a result."""
        state = (await self._hash()).get(b"state", b"").decode()
        match state:
            case JobState.QUEUED:
                return JobStatus.queued
            case JobState.SCHEDULED:
                return JobStatus.deferred
            case JobState.RUNNING:
                return JobStatus.in_progress
            case _:
                has_result = await self._redis.exists(self._client.keys.result(self._key))
                return JobStatus.complete if has_result else JobStatus.not_found

    async def abort(self, *, timeout: float | None = None, poll_delay: float = 0.5) -> bool:  # noqa: ASYNC109  as arq
        """Cancel the job and wait for its end; returns False if it ended otherwise or is unknown.

        Running jobs stop only if their worker has ``allow_abort_jobs``. Raises ``TimeoutError`` after ``timeout`` s.
        """
        del poll_delay
        try:
            with outages_of_redis():
                state = await self._client.cancel(self._key)
            return state is JobState.CANCELLED or (await self._ended(timeout)).state is JobState.CANCELLED
        except (UnknownJob, ResultNotFound):
            return False

    async def _ended(self, timeout_s: float | None) -> Result:
        result = await self._result()
        if result is None:
            try:
                with outages_of_redis():
                    await self._client.wait(self._key, timeout_s=timeout_s)
            except (UnknownJob, ResultExpired) as error:
                raise ResultNotFound(str(error)) from None
            except WaitTimeout as error:
                raise TimeoutError(str(error)) from None
            result = await self._result()
        if result is None:
            raise ResultNotFound(f"job {self.job_id!r} has ended, but its result is not kept: see keep_result")
        return result

    async def _hash(self) -> Mapping[bytes, bytes]:
        try:
            return await cast("Any", self._redis).hgetall(self._client.keys.job(self._key))
        except ResponseError as error:  # the key is no hash
            msg = f"unable to deserialize job {self.job_id!r}: {error}"
            raise DeserializationError(msg) from error

    async def _result(self) -> Result | None:
        try:
            with outages_of_redis():
                return await self._client.result(self._key)
        except RedisUnsuitable as error:
            msg = f"unable to deserialize job result of {self.job_id!r}: {error}"
            raise DeserializationError(msg) from error

    def _value_of(self, result: Result) -> Any:
        if result.state is JobState.CANCELLED:
            return asyncio.CancelledError()
        if result.error is not None:
            return error_of(result.error)
        value: Any = result.value if isinstance(result, FunctionResult) else result
        if is_packed(value):
            return unpack(value, self._deserializer, what=f"result of job {self.job_id!r}")["r"]
        error = returned_error(value)
        return value if error is None else error

    def _definition(self, fields: Mapping[bytes, bytes]) -> JobDef | None:
        if not fields:
            return None
        enqueued_ms = int(fields.get(b"enqueued_ms", 0))
        try:
            args, kwargs = tuple(json.loads(fields.get(b"args", b"[]"))), json.loads(fields.get(b"payload") or b"{}")
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"unable to deserialize job {self.job_id!r}: {error}"
            raise DeserializationError(msg) from error
        if is_packed(kwargs):
            call = unpack(kwargs, self._deserializer, what=f"job {self.job_id!r}")
            args, kwargs = tuple(call["a"]), call["k"]
        return JobDef(
            function=fields.get(b"kind", b"").decode(),
            args=args,
            kwargs=kwargs,
            job_try=cast("int", _try_of(fields)),
            enqueue_time=_time(enqueued_ms),
            score=int(fields.get(b"due_ms", enqueued_ms)),
            job_id=self.job_id,
        )


def _try_of(fields: Mapping[bytes, bytes]) -> int | None:
    """Return the current or last try; before the first one, the requested try or None, as in arq."""
    counted = int(fields.get(b"attempt", 0))
    return counted + (b"started_ms" not in fields) if counted else None


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
