"""Moves the jobs in arq's own queue to the stream, with one script per job so that a kill loses or doubles nothing.

Knows the keys and the job format of arq 0.28. Values are read with the given deserializer; nothing is unpickled unless
it is pickle's. Jobs that an arq worker is running, or that cannot be converted, stay and are reported. Next:
``lua/drain_arq.lua``; the command is ``worker/cli/arq.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final, cast

from arq.constants import abort_jobs_ss, in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import SerializationError, deserialize_job_raw

from producer.client.submission import SUBMIT, Submission, read_answer
from producer.contract import Lane
from producer.errors import InputError, SettingsError
from producer.redis.scripts import Arg, Script, load_script, run_script
from worker.queue.arq_pool import StreamPool
from worker.queue.arq_wire import Deserializer

READ_AT_ONCE: Final = 100
NEVER_EXPIRES: Final = -1
"""PTTL's reply for a key without expiry (Redis command page)."""
IN_PROGRESS: Final = "it is running on an arq worker"
CHANGED: Final = "an arq worker took it meanwhile"


def _load() -> Script:
    """Return drain_arq.lua with submit.lua inserted."""
    outer = load_script("worker.queue", "drain_arq")
    text = outer.text.replace("--@submit\n", SUBMIT.text.removeprefix("#!lua\n"))
    return replace(outer, text=text, sha=hashlib.sha1(text.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest


DRAIN: Final = _load()


@dataclass(frozen=True, slots=True)
class Drained:
    """A job of arq's queue: moved, or left there for a ``reason``."""

    job_id: str
    reason: str = ""
    is_deferred: bool = False

    @property
    def is_moved(self) -> bool:
        """Whether the job was moved to the stream."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in arq's Redis; times in ms, ``score`` by the producer's clock."""

    job_id: str
    score: float
    value: bytes | None
    ttl_ms: int
    retry: bytes
    is_in_progress: bool
    is_aborted: bool

    @property
    def obstacle(self) -> str:
        """Why the job cannot be moved regardless of its value; '' if it can."""
        if self.is_in_progress:
            return IN_PROGRESS
        if self.value is None:
            return "it has expired: arq has dropped its arguments"
        return "its abort was requested: an arq worker with allow_abort_jobs ends it" if self.is_aborted else ""


async def drain(pool: StreamPool, queue_name: str, deserializer: Deserializer) -> AsyncGenerator[Drained]:
    """Move the jobs of arq's queue ``queue_name`` to the stream's queue of that name, in the order they are due.

    Ids, delays, tries and expiry are kept; arguments are written with the pool's ``job_serializer``, by default as
    JSON. Jobs enqueued after the start are ignored. Safe to repeat after a kill. Raises ``QueueFull``, and
    ``SettingsError`` for an invalid queue name.
    """
    if queue_name in set(Lane):
        msg = f"queue {queue_name!r} is a lane of Sightline: no worker reads a queue with that name"
        raise SettingsError(msg)
    found = cast("list[tuple[bytes, float]]", await pool.zrange(queue_name, 0, -1, withscores=True))
    for start in range(0, len(found), READ_AT_ONCE):
        now_ms, waiting = await _read(pool, found[start : start + READ_AT_ONCE])
        for job in waiting:
            yield await _move(pool, queue_name, job, deserializer, now_ms=now_ms)


async def _read(pool: StreamPool, chunk: list[tuple[bytes, float]]) -> tuple[int, list[Waiting]]:
    """Return Redis's time in ms and the jobs of ``chunk``."""
    ids = [job_id.decode() for job_id, _ in chunk]
    async with pool.pipeline(transaction=False) as pipe:
        pipe.time()
        for job_id in ids:
            pipe.get(job_key_prefix + job_id)
            pipe.pttl(job_key_prefix + job_id)
            pipe.get(retry_key_prefix + job_id)
            pipe.exists(in_progress_key_prefix + job_id)
            pipe.zscore(abort_jobs_ss, job_id)
        (s, us), *replies = await pipe.execute()
    rows = (replies[at : at + 5] for at in range(0, len(replies), 5))
    read = [
        Waiting(job_id, score, value, ttl_ms, retry or b"", bool(in_progress), aborted is not None)
        for job_id, (_, score), (value, ttl_ms, retry, in_progress, aborted) in zip(ids, chunk, rows, strict=True)
    ]
    return s * 1000 + us // 1000, read


async def _move(pool: StreamPool, queue_name: str, job: Waiting, deserializer: Deserializer, *, now_ms: int) -> Drained:
    if job.obstacle or job.value is None:
        return Drained(job.job_id, job.obstacle)
    try:
        submission = _submission(pool, job, job.value, deserializer)
    except (SerializationError, InputError, ValueError, TypeError) as error:
        because = f": {error.__cause__!r:.200}" if error.__cause__ else ""
        return Drained(job.job_id, f"{error}{because}")
    client = pool.client_of(queue_name)
    limits = client.settings
    arqs_keys = [queue_name, *(p + job.job_id for p in (job_key_prefix, in_progress_key_prefix, retry_key_prefix))]
    args: list[Arg] = submission.args_of(backlog_limit=limits.backlog_limit, memory_share=limits.memory_limit_share)
    digest = hashlib.sha1(job.value).hexdigest()  # noqa: S324  what redis.sha1hex returns
    args += [job.job_id, digest, repr(job.score), job.retry]
    reply = await run_script(pool, DRAIN, [*submission.keys(client.keys), *arqs_keys], args)
    match reply[0]:
        case b"in_progress":
            return Drained(job.job_id, IN_PROGRESS)
        case b"changed":
            return Drained(job.job_id, CHANGED)
        case _ if read_answer(submission, reply, client.keys).created:
            return Drained(job.job_id, is_deferred=submission.due_ms > now_ms)
        case _:
            return Drained(job.job_id, "a job with this id is on the stream, or its result is still kept")


def _submission(pool: StreamPool, job: Waiting, value: bytes, deserializer: Deserializer) -> Submission:
    """Convert the job for the stream; raises ``SerializationError``, ``InvalidJob`` and ``JobTooLarge``."""
    function, args, kwargs, job_try, _ = deserialize_job_raw(value, deserializer=deserializer)
    made = pool.prepared(
        function,
        tuple(args),
        dict(kwargs),
        job_id=job.job_id,
        job_try=job_try,
    )
    made.due_ms = max(0, int(job.score))
    made.attempts = max(made.attempts, int(job.retry or 0))
    made.expires_ms = 0 if job.ttl_ms == NEVER_EXPIRES else max(1, job.ttl_ms)
    return made
