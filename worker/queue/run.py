"""Runs the job function of one delivery and returns its outcome: resolve → run → normalise.

``JobFunctions`` holds what an arq worker's options say about its functions. The product's only broad catch is here: it
catches all errors of job functions and hooks. The retry policy is ``outcome.decide``. Called by ``executor.py``.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any, Final, cast

import structlog
from redis.exceptions import RedisError

from producer.contract import MAX_RESULT_BYTES, ErrorInfo, JsonObject, decode_payload
from producer.contract.terms import SUBMITTED
from producer.redis.scripts import Arg
from worker.queue.delivery import Delivery, Entry, decode_args, exhausted, unknown_kind
from worker.queue.outcome import (
    Cancelled,
    Commit,
    Dead,
    Decided,
    Lost,
    Outcome,
    Requeued,
    Retried,
    Succeeded,
    backoff_s,
    decide,
    describe,
)
from worker.telemetry import note_failure

JobFunction = Callable[..., Awaitable[Any]]
Hook = Callable[[dict[Any, Any]], Awaitable[Any]]
Settle = Callable[[bytes, str], Awaitable["Commit | None"]]
"""Returns the commit of a job of this payload that ended without success for this reason, or None."""

INSIST_AFTER_S = 5.0
"""Seconds for a cancelled job to clean up before it is cancelled again."""

_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

log = structlog.get_logger()


class StopReason(Enum):
    """Why a running delivery was cancelled from outside."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


@dataclass(slots=True, eq=False)
class Run:
    """One call of a job function; ``stop`` may be called from any callback of the loop, the first reason counts."""

    delivery: Delivery
    function: JobFunction
    args: tuple[Any, ...]
    kwargs: JsonObject
    timeout_s: float | None
    task: asyncio.Task[Any] | None = None
    stopped_by: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        """Cancel the job function and record the reason."""
        if self.stopped_by is None and self.task is not None:
            self.stopped_by = reason
            self._insist()

    def _insist(self) -> None:
        """Cancel, and cancel again later: a cancellation may be swallowed (python/cpython issue 134471)."""
        if self.task is not None:
            self.task.cancel()
            asyncio.get_running_loop().call_later(INSIST_AFTER_S, self._insist)


async def execute(run: Run, ctx: dict[Any, Any], *, on_start: Hook | None) -> Outcome:
    """Run the function and return the outcome; an error of ``on_start`` counts as the job's. Never raises."""
    run.task = cast("asyncio.Task[Any]", asyncio.current_task())
    try:
        if on_start is not None:
            await on_start(ctx)
        return normalise_value(await run.function(ctx, *run.args, **run.kwargs))
    except asyncio.CancelledError as error:
        return _stopped(run, error)
    except Exception as error:  # noqa: BLE001  the one broad catch: what a job raises is its outcome
        if run.stopped_by is not None:  # it failed while ending; a TaskGroup raises such an error, not the cancellation
            return _stopped(run, error)
        delivery = run.delivery
        return decide(error, attempt=delivery.attempt, tries=delivery.tries, random=random.random)
    finally:
        if run.stopped_by is not None:
            while run.task.uncancel():  # the cancellation was for the job; the delivery continues to its commit
                pass
        run.task = None


async def run_hook(hook: Hook, ctx: dict[Any, Any]) -> None:
    """Run a hook that cannot change the outcome; its error is logged."""
    try:
        await hook(ctx)
    except Exception as error:  # noqa: BLE001  a hook is the user's code, and the job has its outcome already
        log.error("hook.failed", hook=getattr(hook, "__qualname__", repr(hook)), error=describe(error).message)


def normalise_value(value: object) -> Outcome:
    """Return the outcome of a function's value: a commit, a value as JSON, or dead for anything else."""
    if isinstance(value, Succeeded):
        return value
    if isinstance(value, Commit):
        return Succeeded(value)
    if value is None:
        return Succeeded(None)
    try:
        text = _JSON.encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError) as error:
        return Dead(
            ErrorInfo(
                type="InvalidResult", message=f"the function returned a value that JSON cannot represent: {error}"
            )
        )
    if size > MAX_RESULT_BYTES:
        limit = f"the result has {size} bytes: at most {MAX_RESULT_BYTES} are kept"
        return Dead(ErrorInfo(type="InvalidResult", message=limit))
    return Succeeded(None, text)


def _stopped(run: Run, error: BaseException) -> Outcome:
    delivery = run.delivery
    match run.stopped_by:
        case StopReason.TIMEOUT:
            limit = f"the job exceeded its time-out of {run.timeout_s:g} s"
            return Dead(ErrorInfo(type="TimeoutError", message=limit))
        case StopReason.CANCELLED:
            return Cancelled()
        case StopReason.LEASE_LOST:
            return Lost()
        case StopReason.SHUTDOWN:
            return Requeued()
        case None:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return Requeued()  # the loop is being torn down
            # Something inside the job cancelled itself: run it again, as arq does.
            info = ErrorInfo(type="CancelledError", message=str(error) or "the job cancelled itself")
            if delivery.attempt >= delivery.tries:
                return Dead(info)
            return Retried(backoff_s(delivery.attempt, random=random.random), info)


class Deadlines:
    """Times out runs without a timer for each, since most end long before.

    Runs with the same timeout expire in the order in which they began, so one timer per timeout is enough.
    """

    def __init__(self) -> None:
        self._waiting: dict[float, dict[Run, float]] = {}

    def begin(self, run: Run) -> None:
        """Start the run's time-out, if it has one."""
        if not run.timeout_s:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + run.timeout_s
        runs = self._waiting.get(run.timeout_s)
        if runs is None:
            runs = self._waiting[run.timeout_s] = {}
            loop.call_at(due, self._look, loop, run.timeout_s)
        runs[run] = due

    def end(self, run: Run) -> None:
        """Cancel the time-out. Safe to call twice, and late."""
        self._waiting.get(run.timeout_s or 0, {}).pop(run, None)

    def _look(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """Stop the runs that are due and wait for the next; a timeout without runs keeps no timer."""
        runs, now = self._waiting[timeout_s], loop.time()
        for run in [run for run, due in runs.items() if due <= now]:
            del runs[run]
            run.stop(StopReason.TIMEOUT)
        if runs:
            loop.call_at(next(iter(runs.values())), self._look, loop, timeout_s)
        else:
            del self._waiting[timeout_s]


class JobFunctions:
    """The functions of one worker; ``options`` has the attributes of ``arq.Worker``, including its hooks.

    The options are read for each job: an arq program may change its worker's attributes.
    """

    slots_kept_for_interactive = 1

    @property
    def may_be_cancelled(self) -> bool:
        """Whether running and starting jobs can be cancelled."""
        return True

    def __init__(self, options: Any, *, note_progress: Callable[[Delivery, str], Awaitable[object]]) -> None:
        self.options = options
        self._send_progress = note_progress

    def tries_of(self, kind: str) -> int:
        """Return the maximum attempts of a job of ``kind``; the default for unknown kinds."""
        function = self.options.functions.get(kind)
        return getattr(function, "max_tries", None) or self.options.max_tries

    def tries(self) -> list[Arg]:
        """Return the default attempts, then kind and attempts of each function that sets its own."""
        own = {kind: getattr(function, "max_tries", None) for kind, function in self.options.functions.items()}
        return [self.options.max_tries, *(word for kind, tries in own.items() if tries for word in (kind, tries))]

    def resolve(self, delivery: Delivery) -> Run:
        """Return the run. Raises ``Decided`` for a kind without a function, ``InvalidJob`` for malformed arguments."""
        functions = self.options.functions
        function = functions.get(delivery.kind)
        if function is None:
            raise Decided(self.unknown(delivery))
        timeout_s = self.options.job_timeout_s if function.timeout_s is None else function.timeout_s
        args, kwargs = decode_args(delivery.args), decode_payload(delivery.payload or b"{}")
        return Run(delivery, function.coroutine, args, kwargs, timeout_s)

    def unknown(self, delivery: Delivery, *, has_waited: bool = False) -> Outcome:
        """Return the outcome of a job without a function here: wait for another worker, or dead after that wait."""
        wait_s = self.options.kind_wait_s if delivery.lane in SUBMITTED else 0
        error = unknown_kind(delivery, self.options.functions, wait_s=wait_s, has_waited=has_waited)
        is_dead = has_waited or not wait_s
        if not is_dead:
            log.warning("job.no_function", job_id=delivery.job_id, kind=delivery.kind, wait_s=wait_s)
        return Dead(error) if is_dead else Retried(wait_s, error, attempt_returned=True, needs_function=True)

    async def settled(self, delivery: Delivery, outcome: Dead | Cancelled) -> Outcome:
        """Return the commit of the kind's ``settle`` for a dead or cancelled job; ``outcome`` for a kind without one.

        Thus an assessment always ends in its scan's result. Redis errors of ``settle`` are raised.
        """
        settle: Settle | None = getattr(self.options, "settle", {}).get(delivery.kind)
        if settle is None:
            return outcome
        reason = outcome.error.message if isinstance(outcome, Dead) else "cancelled"
        try:
            commit = await settle(delivery.payload, reason)
        except (RedisError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  as for a hook; the job would be reclaimed and fail here again
            log.error("hook.failed", hook="settle", error=describe(error).message)
            return outcome
        return outcome if commit is None else Succeeded(commit)

    def result_ttl_s(self, kind: str) -> int | None:
        """Return the seconds that a result of ``kind`` is kept: 0 means permanently, -1 not at all."""
        own, function = self.options, self.options.functions[kind]
        forever = own.keep_result_forever if function.keep_result_forever is None else function.keep_result_forever
        if forever:
            return 0
        ttl_s = own.keep_result_s if function.keep_result_s is None else function.keep_result_s
        return max(1, int(ttl_s)) if ttl_s else -1

    def failure_ttl_s(self, kind: str) -> int | None:
        """Return the seconds that a failure of ``kind`` is kept; None is the stream's default."""
        del kind

    def refusal(self, delivery: Delivery) -> ErrorInfo | None:
        """Return why a started delivery must not run, or None."""
        if delivery.is_exhausted:
            return exhausted(delivery)
        if delivery.is_expired:
            return ErrorInfo(type="JobExpired", message="the job expired before it could start")
        return None

    def refused(self, entry: Entry, reason: str) -> ErrorInfo:
        """Return why an entry is rejected: for ``reason``, or '' if its job is unknown and it has no payload."""
        missing = f"no job {entry.job_id!r} is known and the entry has no payload: expected kind and payload"
        return ErrorInfo(type="InvalidJob", message=reason or missing)

    def ctx_of(self, delivery: Delivery) -> dict[Any, Any]:
        """Return a job function's ctx: the worker's, arq's additions, and ``ctx["progress"](text)``."""
        return {
            **self.options.ctx,
            "job_id": delivery.job_id,
            "job_try": delivery.attempt,
            "enqueue_time": datetime.fromtimestamp(delivery.enqueued_ms / 1000, tz=UTC),
            "score": delivery.due_ms or delivery.enqueued_ms,
            "lane": delivery.lane,
            "batch": delivery.batch,
            "progress": partial(self._note_progress, delivery),
        }

    async def after(self, ctx: dict[Any, Any], outcome: Outcome, is_committed: bool) -> None:
        """Count a committed job, and run arq's ``after_job_end`` with ``ctx["outcome"]``."""
        options = self.options
        if is_committed:
            options.jobs_complete += isinstance(outcome, Succeeded)
            options.jobs_retried += isinstance(outcome, Retried | Requeued)
            options.jobs_failed += isinstance(outcome, Dead | Cancelled)
        if options.after_job_end is not None:
            await run_hook(options.after_job_end, {"outcome": outcome if is_committed else Lost(), **ctx})

    def _note_progress(self, delivery: Delivery, text: str) -> None:
        """Send the note without waiting; losing one in an outage is harmless."""
        note = asyncio.ensure_future(self._send_progress(delivery, text))
        note.add_done_callback(partial(_log_lost_note, delivery))


def _log_lost_note(delivery: Delivery, note: asyncio.Future[object]) -> None:
    error = None if note.cancelled() else note.exception()
    if isinstance(error, RedisError | OSError):
        log.debug("progress.lost", job_id=delivery.job_id, error=str(error))
    elif isinstance(error, Exception):
        note_failure("progress", error)
