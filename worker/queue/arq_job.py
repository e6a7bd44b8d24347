"""``arq.jobs.Job`` on our keys: what ``StreamPool.enqueue_job`` returns.

The client is authoritative about jobs; this file only says it in arq's words. Nothing is pickled, so an error comes
back as the builtin exception of its name, and as ``JobExecutionFailed`` where it has none: a class named in Redis is
never imported. ``result`` and ``abort`` wait for the event, they do not poll. Next: ``producer/client/client.py``.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from arq.jobs import Job, JobDef, JobResult, JobStatus, ResultNotFound
from arq.worker import JobExecutionFailed
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JOB_ID, ErrorInfo, FunctionResult, JobState, Result
from producer.errors import ResultExpired, UnknownJob, WaitTimeout

_NOT_IN_AN_ID: Final = re.compile(r"[^A-Za-z0-9_.-]")
_KEPT_CHARS: Final = 100


class StreamJob(Job):
    """A reference to one job of the pool's environment."""

    __slots__ = ("_client",)

    def __init__(self, job_id: str, redis: Redis, *, client: Client) -> None:
        super().__init__(stream_job_id(job_id), redis)
        self._client = client

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  arq's signature
        *,
        poll_delay: float = 0.5,
        pole_delay: float | None = None,
    ) -> Any:
        """Return the job's value as soon as it has one, or raise what it raised; ``CancelledError`` if it was aborted.

        Raises ``ResultNotFound`` for an unknown job and one whose result is not kept, ``TimeoutError`` after
        ``timeout`` s. The poll delays have no meaning here: nothing polls.
        """
        del poll_delay, pole_delay
        value = _value_of(await self._ended(timeout))
        if isinstance(value, BaseException):
            raise value
        return value

    async def info(self) -> JobDef | None:
        """Return what is known of the job, with its result if there is one; None if it is unknown."""
        known = await self.result_info() or _definition(self.job_id, await self._hash())
        if known is not None:
            due = await self._redis.zscore(self._client.keys.scheduled, self.job_id)
            known.score = int(due) if due is not None else known.score
        return known

    async def result_info(self) -> JobResult | None:
        """Return the job with its result, None while there is none. The result of a failed job is its exception."""
        fields, result = await self._hash(), await self._client.result(self.job_id)
        known = _definition(self.job_id, fields)
        if known is None or result is None:
            return None
        about: dict[str, Any] = {**vars(known), "score": None}
        finished_ms = int(fields.get(b"finished_ms", 0))
        return JobResult(
            **about,
            success=result.error is None,
            result=_value_of(result),
            start_time=_time(int(fields.get(b"started_ms", finished_ms))),
            finish_time=_time(finished_ms),
            queue_name=fields.get(b"lane", b"").decode(),
        )

    async def status(self) -> JobStatus:
        """Return where the job is; ``not_found`` too for one that has ended and left no result."""
        state = (await self._hash()).get(b"state", b"").decode()
        match state:
            case JobState.QUEUED:
                return JobStatus.queued
            case JobState.SCHEDULED:
                return JobStatus.deferred
            case JobState.RUNNING:
                return JobStatus.in_progress
            case _:
                has_result = await self._redis.exists(self._client.keys.result(self.job_id))
                return JobStatus.complete if has_result else JobStatus.not_found

    async def abort(self, *, timeout: float | None = None, poll_delay: float = 0.5) -> bool:  # noqa: ASYNC109  as arq
        """Cancel the job and wait for its end; True if it was cancelled, False if it ended otherwise or is unknown.

        Works whether or not the worker was told ``allow_abort_jobs``. Raises ``TimeoutError`` after ``timeout`` s.
        """
        del poll_delay
        try:
            state = await self._client.cancel(self.job_id)
            return state is JobState.CANCELLED or (await self._ended(timeout)).state is JobState.CANCELLED
        except (UnknownJob, ResultNotFound):
            return False

    async def _ended(self, timeout_s: float | None) -> Result:
        result = await self._client.result(self.job_id)
        if result is None:
            try:
                await self._client.wait(self.job_id, timeout_s=timeout_s)
            except (UnknownJob, ResultExpired) as error:
                raise ResultNotFound(str(error)) from None
            except WaitTimeout as error:
                raise TimeoutError(str(error)) from None
            result = await self._client.result(self.job_id)
        if result is None:
            raise ResultNotFound(f"job {self.job_id!r} has ended, and its result is not kept: see keep_result")
        return result

    async def _hash(self) -> Mapping[bytes, bytes]:
        return await cast("Any", self._redis).hgetall(self._client.keys.job(self.job_id))


def stream_job_id(given: str) -> str:
    """Return ``given`` as a job id of ours; arq's may hold anything, such as the colons of its cron jobs.

    Two ids that differ stay different: one that had to be changed ends with a digest of the original.
    """
    if JOB_ID.fullmatch(given):
        return given
    digest = hashlib.sha256(given.encode()).hexdigest()[:12]
    return f"{_NOT_IN_AN_ID.sub('.', given)[:_KEPT_CHARS].lstrip('_.-')}-{digest}".lstrip("-")


def error_of(info: ErrorInfo) -> Exception:
    """Return the exception that stands for a failure: the builtin of that name, else ``JobExecutionFailed``."""
    kind: object = getattr(builtins, info.type, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(info.message)
        except TypeError:  # such as UnicodeDecodeError, which is made of five parts
            pass
    return JobExecutionFailed(f"{info.type}: {info.message}")


def _value_of(result: Result) -> Any:
    if result.state is JobState.CANCELLED:
        return asyncio.CancelledError()
    if result.error is not None:
        return error_of(result.error)
    return result.value if isinstance(result, FunctionResult) else result


def _definition(job_id: str, fields: Mapping[bytes, bytes]) -> JobDef | None:
    if not fields:
        return None
    enqueued_ms = int(fields.get(b"enqueued_ms", 0))
    return JobDef(
        function=fields.get(b"kind", b"").decode(),
        args=tuple(json.loads(fields.get(b"args", b"[]"))),
        kwargs=json.loads(fields.get(b"payload") or b"{}"),
        job_try=int(fields.get(b"attempt", 0)),
        enqueue_time=_time(enqueued_ms),
        score=enqueued_ms,
        job_id=job_id,
    )


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
