"""The outcomes of a delivery, and what a job function may commit. Pure: no I/O, no clock.

``decide`` is the whole retry policy. A job function returns a ``Commit`` (or any JSON-able value); the writes in it
are applied by finish.lua together with the result, in one fenced step. Next: ``run.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha1
from typing import Any, Final

import redis.exceptions

from producer.contract import ErrorInfo, FunctionResult, JobState, Result
from producer.errors import Busy
from producer.redis.scripts import Arg
from worker.queue.barrier_writes import NewsWrite, PageWrite, TallyWrite, WindowWrite, barrier_args

BACKOFF_BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 300.0
"""Five minutes: longer than a restart of Redis or Ollama, short enough for a nightly batch to end overnight."""

FULL_PAUSE_S: Final = 5.0
"""A full Redis is not the job's failure: jobs wait until there is room, without spending an attempt."""

_TRANSIENT: Final = (
    ConnectionError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
)
"""Errors of the environment, worth another attempt regardless of who raises them."""


@dataclass(frozen=True, slots=True)
class HashWrite:
    """``HSET key fields``; ``only_existing`` creates no hash. ``counter`` grows by 1 in it (decision 0042)."""

    key: str
    fields: Mapping[str, str | bytes | int | float]
    only_existing: bool = False
    counter: str = ""


@dataclass(frozen=True, slots=True)
class CounterWrite:
    """``HINCRBY key field by`` for each of ``sums``, field → by."""

    key: str
    sums: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ExpiryWrite:
    """``EXPIRE key ttl_s`` of a hash written before."""

    key: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class EventWrite:
    """``XADD key * event line``: a further event. The completion event, added after it, trims the stream."""

    key: str
    line: str


@dataclass(frozen=True, slots=True)
class PublishWrite:
    """``PUBLISH key line``; ``key`` is a channel."""

    key: str
    line: str


@dataclass(frozen=True, slots=True)
class EntryWrite:
    """``XADD lane * id kind``: the entry of a further job; its ``JobWrite`` comes next."""

    key: str
    job_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class JobWrite:
    """The hash of the further job: ``fields`` are its kind, lane and payload, the queue adds its state."""

    key: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReplaceWrite:
    """``SET key text KEEPTTL`` if ``key`` still holds ``old``; else neither this nor any later write has an effect."""

    key: str
    old: bytes
    text: str


@dataclass(frozen=True, slots=True)
class FieldNeeded:
    """Nothing is committed unless the hash ``key`` has ``value`` in ``field``; the field is then deleted if ``goes``.

    A failover may lose what a run wrote before its commit. Then the delivery is lost too, and the job's next delivery
    writes it again.
    """

    key: str
    field: str
    value: str
    goes: bool = True


Write = (
    HashWrite
    | CounterWrite
    | WindowWrite
    | ExpiryWrite
    | EventWrite
    | PublishWrite
    | EntryWrite
    | JobWrite
    | ReplaceWrite
    | FieldNeeded
    | PageWrite
    | TallyWrite
    | NewsWrite
)


def with_barriers(write: Write) -> Write:
    """Return the write to repeat if the page of an unchanged ``PageWrite`` has changed."""
    return replace(write, unchanged="") if isinstance(write, PageWrite) else write


def write_keys(write: Write) -> tuple[str, ...]:
    """Return the keys of a write: its own, and those of a page's component barriers unless it is unchanged."""
    return write.keys if isinstance(write, PageWrite) else (write.key,)


def _hash_args(write: HashWrite) -> list[Arg]:
    flat: list[Arg] = [item for pair in write.fields.items() for item in pair]
    if write.counter:
        return ["COUNTED", 1 + len(flat), write.counter, *flat]
    return ["HSETXX" if write.only_existing else "HSET", len(flat), *flat]


def write_args(write: Write) -> list[Arg]:
    """Return finish.lua's arguments for a write: its command, the number of values, the values."""
    if isinstance(write, HashWrite):
        return _hash_args(write)
    if isinstance(write, CounterWrite):
        return ["HINCRBY", 2 * len(write.sums), *(item for pair in write.sums.items() for item in pair)]
    if isinstance(write, EventWrite):
        return ["XADD", 3, "*", "event", write.line]
    if isinstance(write, PublishWrite):
        return ["PUBLISH", 1, write.line]
    if isinstance(write, EntryWrite):
        return ["ENTRY", 2, write.job_id, write.kind]
    if isinstance(write, JobWrite):
        return ["JOB", 2 * len(write.fields), *(item for pair in write.fields.items() for item in pair)]
    if isinstance(write, ReplaceWrite):
        return ["REPLACE", 2, sha1(write.old, usedforsecurity=False).hexdigest(), write.text]
    if isinstance(write, FieldNeeded):
        return ["NEEDS" if write.goes else "HAS", 2, write.field, write.value]
    if isinstance(write, PageWrite | TallyWrite | NewsWrite | WindowWrite):
        return barrier_args(write)
    return ["EXPIRE", 1, write.ttl_s]


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit of a finished job: its result, other writes, and fields for the completion event.

    The queue fills ``job_id``, ``kind`` and ``state`` of the result.
    """

    result: Result
    writes: tuple[Write, ...] = ()
    event: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def encoded_result(self, job_id: str, kind: str) -> bytes:
        """Return the result's JSON as stored."""
        return self.result.of_job(job_id=job_id, kind=kind, state=JobState.SUCCEEDED).encoded()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned; ``commit`` or, for a plain value, ``value_json``."""

    commit: Commit | None
    value_json: str = "null"


@dataclass(frozen=True, slots=True)
class Retried:
    """Run again after ``delay_s``; ``attempt_returned`` if the failure was not the job's.

    ``cause`` is the function's exception, only for the log. ``needs_function``: this worker has no function for the
    kind; the job waits for a worker that has one, and is dead-lettered after ``delay_s``. ``control``: the job waits
    until this pause ends.
    """

    delay_s: float
    error: ErrorInfo
    attempt_returned: bool = False
    needs_function: bool = False
    control: str = ""
    cause: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled on request."""


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt; the job is dead-lettered. ``cause`` is the function's exception."""

    error: ErrorInfo
    cause: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Requeued:
    """The worker stops: the job is requeued, and no attempt is spent."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is lost: nothing of this delivery is committed."""


Outcome = Succeeded | Retried | Cancelled | Dead | Requeued | Lost


class Decided(Exception):
    """Ends a run with an outcome that bypasses the retry policy."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def backoff_s(attempt: int, *, random: Callable[[], float]) -> float:
    """Return the wait before the attempt after ``attempt`` (1 = the first): exponential with full jitter.

    ``random`` returns numbers in [0, 1). Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    return random() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 30))


def is_transient(error: BaseException) -> bool:
    """Return whether another attempt may succeed: errors marked retryable, and failures of the environment."""
    return bool(getattr(error, "retryable", False)) or isinstance(error, _TRANSIENT)


def decide(error: BaseException, *, attempt: int, tries: int, random: Callable[[], float]) -> Outcome:
    """Return the outcome of an error raised by a job function in attempt ``attempt`` of ``tries``.

    arq's ``Retry`` (recognised by its ``defer_score``, ms, so that only one file imports arq) sets its own wait.
    Repetition does not cure a bug: any error that is neither transient nor a ``Retry`` ends the job. Waiting for a
    conversation, a host, or room in a full Redis costs no attempt.
    """
    wants_retry = hasattr(error, "defer_score")
    if isinstance(error, Decided):
        return error.outcome
    info = describe(error)
    if isinstance(error, Busy):
        return Retried(error.delay_s, info, attempt_returned=True, control=getattr(error, "control", ""))
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return Retried(FULL_PAUSE_S * (1 + random()), info, attempt_returned=True)
    if not wants_retry and not is_transient(error):
        return Dead(info, error)
    if attempt >= tries:
        return Dead(ErrorInfo(type=info.type, message=f"attempt {attempt} of {tries} failed: {info.message}"), error)
    if wants_retry:
        return Retried((getattr(error, "defer_score", 0) or 0) / 1000, info, cause=error)
    return Retried(backoff_s(attempt, random=random), info, cause=error)


def describe(error: BaseException) -> ErrorInfo:
    """Return the error's class name and message, one line, at most 2,000 characters. Never raises."""
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001  the user's code: a job must end even if its error has no message
        text = f"its message cannot be read: __str__ raised {type(failure).__name__}"
    message = " ".join(text.split())[:2000].encode("utf-8", "replace").decode()
    return ErrorInfo(type=type(error).__name__, message=message or type(error).__name__)


def encode_failure(job_id: str, kind: str, state: JobState, error: ErrorInfo | None) -> str:
    """Return the result's JSON of a job that ended without one."""
    return FunctionResult(job_id=job_id, kind=kind, state=state, error=error).model_dump_json(exclude={"value"})
