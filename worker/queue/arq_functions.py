"""Runs functions as arq programs expect: retries, result lifetimes, serializers, log lines.

The scanner's policy is in ``run.py`` and ``outcome.py``; here arq's options decide instead. The logger ``arq.worker``
receives arq's log lines, so that existing listeners keep working.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from arq.jobs import SerializationError
from arq.utils import args_to_string, truncate
from arq.worker import Retry, RetryJob

from producer.contract import ErrorInfo, FunctionResult, JobState
from worker.queue.arq_wire import CURE, SCANNERS, error_info, given_job_id, is_packed, pack, pack_error, unpack
from worker.queue.delivery import Delivery, Entry
from worker.queue.outcome import Cancelled, Commit, Dead, Decided, Outcome, Retried, Succeeded
from worker.queue.run import JobFunction, JobFunctions, Run, StopReason, normalise_value

ADDED: Final = ("batch", "lane", "progress")
"""Sightline's additions to a ctx."""
LATE_MS: Final = 1200
"""Wait from which on arq's log line of a start mentions the delay."""

logger = logging.getLogger("arq.worker")


class ArqFunctions(JobFunctions):
    """The functions of an arq program's worker."""

    slots_kept_for_interactive = 0

    def __init__(self, options: Any, *, note_progress: Callable[[Delivery, str], Awaitable[object]]) -> None:
        super().__init__(options, note_progress=note_progress)
        self._begun: set[str] = set()  # ids of jobs whose function has been called

    @property
    def may_be_cancelled(self) -> bool:
        """Whether running and starting jobs can be cancelled."""
        return bool(self.options.allow_abort_jobs)

    def resolve(self, delivery: Delivery) -> Run:
        """Return the run of the job's function under arq's policy; raises ``Decided`` if it cannot run."""
        job_id, kind = given_job_id(delivery.job_id), delivery.kind
        if kind not in self.options.functions and kind not in SCANNERS:
            raise self._not_found(job_id, kind)
        run = super().resolve(delivery)
        if is_packed(run.kwargs):
            try:
                call = unpack(run.kwargs, self.options.job_deserializer, what=f"job {kind!r}")
                run.args, run.kwargs = tuple(call["a"]), dict(call["k"])
            except (SerializationError, KeyError, TypeError) as error:
                logger.exception("deserializing job %s failed", job_id)
                raise Decided(Dead(error_info(error))) from error
        run.function = partial(self._run, run, run.function)
        return run

    def result_ttl_s(self, kind: str) -> int | None:
        """Return the lifetime of a result of ``kind``; the worker's default for an unknown kind."""
        if kind in self.options.functions:
            return super().result_ttl_s(kind)
        if self.options.keep_result_forever:
            return 0
        return max(1, int(self.options.keep_result_s)) if self.options.keep_result_s else -1

    def failure_ttl_s(self, kind: str) -> int | None:
        """Return the lifetime of a failure of ``kind``, the same as that of its result."""
        return self.result_ttl_s(kind)

    def refusal(self, delivery: Delivery) -> ErrorInfo | None:
        """Return why a started delivery must not run, with arq's message."""
        if delivery.is_expired:
            logger.warning("job %s expired", given_job_id(delivery.job_id))
            return ErrorInfo(type="JobExecutionFailed", message="job expired")
        if delivery.is_exhausted:
            waited_s = time.time() - delivery.enqueued_ms / 1000
            logger.warning("%6.2fs ! %s max retries %d exceeded", waited_s, self._ref(delivery), delivery.tries)
            return ErrorInfo(type="JobExecutionFailed", message=f"max {delivery.tries} retries exceeded")
        return None

    def refused(self, entry: Entry, reason: str) -> ErrorInfo:
        """Count a rejected entry; a job that is gone has expired, as in arq."""
        self.options.jobs_failed += 1
        if reason:
            return super().refused(entry, reason)
        logger.warning("job %s expired", given_job_id(entry.job_id))
        return ErrorInfo(type="JobExecutionFailed", message="job expired")

    def ctx_of(self, delivery: Delivery) -> dict[Any, Any]:
        """Return the ctx of a job function; the program's own values take precedence."""
        ours = super().ctx_of(delivery)
        own = {name: self.options.ctx[name] for name in ADDED if name in self.options.ctx}
        return {**ours, "job_id": given_job_id(delivery.job_id), **own}

    async def after(self, ctx: dict[Any, Any], outcome: Outcome, is_committed: bool) -> None:
        """Log a cancellation before the run, count the end, and run the last hook."""
        has_begun = ctx["job_id"] in self._begun
        self._begun.discard(ctx["job_id"])
        if isinstance(outcome, Cancelled) and is_committed and not has_begun:
            waited_s = time.time() - ctx["enqueue_time"].timestamp()
            logger.info("%6.2fs ⊘ %s aborted before start", waited_s, ctx["job_id"])
        await super().after(ctx, outcome, is_committed)

    # ------------------------------------------------------------------------------------------ one run

    async def _run(self, run: Run, function: JobFunction, ctx: dict[Any, Any], /, *args: Any, **kwargs: Any) -> Any:
        ref, delivery, began = self._ref(run.delivery), run.delivery, time.time()
        job_id = given_job_id(delivery.job_id)
        self._begun.add(job_id)
        tasks = (self.options.tasks, self.options.job_tasks)
        for running in tasks:
            running[job_id] = asyncio.current_task()
        _log_start(delivery, ref, args, kwargs, began)
        try:
            self.options.calls[job_id] = partial(function, ctx, *args, **kwargs)
            value = await self.options.run_job(job_id, ctx["score"])
            shown = truncate(repr(value)) if value is not None and self.options.log_results else ""
            kept = self._kept(delivery, value)
        except (Exception, asyncio.CancelledError) as error:
            if run.stopped_by is not None or (isinstance(error, asyncio.CancelledError) and _is_cancelled_outside()):
                self._log_stop(run, ref, time.time() - began)
                raise
            raise Decided(self._ended(error, ref, time.time() - began)) from error
        finally:
            for running in tasks:
                running.pop(job_id, None)
        logger.info("%6.2fs ← %s ● %s", time.time() - began, ref, shown)
        return kept

    def _ended(self, error: BaseException, ref: str, took_s: float) -> Outcome:
        """Return the outcome of an error: only ``Retry``, ``RetryJob`` and cancellations run again."""
        if self.options.retry_jobs and isinstance(error, Retry):
            delay_s = (error.defer_score or 0) / 1000
            logger.info("%6.2fs ↻ %s retrying job in %0.2fs", took_s, ref, delay_s)
            return Retried(delay_s, error_info(error))
        if self.options.retry_jobs and isinstance(error, RetryJob | asyncio.CancelledError):
            logger.info("%6.2fs ↻ %s cancelled, will be run again", took_s, ref)
            return Retried(0, error_info(error))
        extra: Any = getattr(error, "extra", None)
        extra = extra() if callable(extra) else extra
        name = type(error).__name__
        logger.error("%6.2fs ! %s failed, %s: %s", took_s, ref, name, error, extra={"extra": extra}, exc_info=error)
        return Dead(error_info(error))

    def _kept(self, delivery: Delivery, value: object) -> Outcome:
        """Return the success with its ``value``, unless that is not kept, or with an error if it cannot be encoded."""
        if self.result_ttl_s(delivery.kind) == -1:
            return Succeeded(None)
        try:
            if self.options.job_serializer is not None:
                about = {"f": delivery.kind, "id": given_job_id(delivery.job_id), "s": True, "r": value}
                value = pack(self.options.job_serializer, about, what=f"result of {delivery.kind!r}")
            elif isinstance(value, Exception):
                value = pack_error(value)
            outcome = normalise_value(value)
        except (RecursionError, SerializationError) as error:
            return _unkept(self._ref(delivery), f"unable to serialize result of {delivery.kind!r}: {error}")
        if isinstance(outcome, Dead):
            reason = f"unable to serialize result of {delivery.kind!r}: {outcome.error.message}; {CURE}"
            return _unkept(self._ref(delivery), reason)
        return outcome

    def _log_stop(self, run: Run, ref: str, took_s: float) -> None:
        if run.stopped_by is StopReason.TIMEOUT:
            logger.error("%6.2fs ! %s failed, TimeoutError: ", took_s, ref)
        elif run.stopped_by is StopReason.CANCELLED:
            logger.info("%6.2fs ⊘ %s aborted", took_s, ref)
        else:
            logger.info("%6.2fs ↻ %s cancelled, will be run again", took_s, ref)

    def _ref(self, delivery: Delivery) -> str:
        function = self.options.functions.get(delivery.kind)
        return delivery.kind if hasattr(function, "next_run") else f"{given_job_id(delivery.job_id)}:{delivery.kind}"

    def _not_found(self, job_id: str, kind: str) -> Decided:
        """Return the outcome of a job with an unknown function."""
        logger.warning("job %s, function %r not found", job_id, kind)
        return Decided(Dead(ErrorInfo(type="JobExecutionFailed", message=f"function {kind!r} not found")))


def _log_start(delivery: Delivery, ref: str, args: tuple[Any, ...], kwargs: dict[str, Any], now: float) -> None:
    extra = f" try={delivery.attempt}" if delivery.attempt > 1 else ""
    late_ms = delivery.waited_ms
    if delivery.due_ms and not delivery.last_error:
        late_ms += max(0, delivery.enqueued_ms - delivery.due_ms)
    if late_ms > LATE_MS:
        extra += f" delayed={late_ms / 1000:0.2f}s"
    waited_s = now - delivery.enqueued_ms / 1000
    logger.info("%6.2fs → %s(%s)%s", waited_s, ref, args_to_string(args, kwargs), extra)


def _is_cancelled_outside() -> bool:
    """Return whether the task itself was cancelled, as when its loop shuts down, and not an awaited one."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unkept(ref: str, reason: str) -> Succeeded:
    """Return the success of a job whose value cannot be stored; readers get arq's ``SerializationError``."""
    error = error_info(SerializationError(reason))
    logger.error("error serializing result of %s: %s", ref, reason)
    return Succeeded(Commit(FunctionResult(job_id="", kind="", state=JobState.SUCCEEDED, error=error)))
