"""Runs one delivery and says what it came to.

The steps, in order: ``resolve`` the function and its arguments, ``execute`` it, ``normalise`` what was returned or
raised into one ``Outcome``. Its time-out and the commit are ``deliveries.py``'s; the policy of retries is
``outcome.decide``. The only broad catch of the product is here: whatever a job function or a hook raises.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

import structlog

from producer.contract import MAX_RESULT_BYTES, ErrorInfo, JsonObject, decode_payload
from producer.errors import InvalidJob
from worker.queue.delivery import Delivery
from worker.queue.entries import decode_args
from worker.queue.outcome import (
    Cancelled,
    Commit,
    Dead,
    HandedBack,
    Lost,
    Outcome,
    Retried,
    Succeeded,
    backoff_s,
    decide,
    describe,
)

JobFunction = Callable[..., Awaitable[Any]]
Hook = Callable[[dict[Any, Any]], Awaitable[Any]]

INSIST_AFTER_S = 5.0
"""What a cancelled job gets to clean up after itself before it is cancelled again."""

_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

log = structlog.get_logger()


class StopReason(Enum):
    """Why a running delivery was cancelled from outside."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A delivery's function and its arguments."""

    function: JobFunction
    args: tuple[Any, ...]
    kwargs: JsonObject
    timeout_s: float | None


@dataclass(slots=True, eq=False)
class Run:
    """One run in progress; ``stop`` may be called from any callback of the loop, the first reason counts."""

    delivery: Delivery
    task: asyncio.Task[Any] | None = None
    stopped_by: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        """Cancel the job function and remember why."""
        if self.stopped_by is None and self.task is not None:
            self.stopped_by = reason
            self._insist()

    def _insist(self) -> None:
        """Cancel, and again after a while: a cancellation may be swallowed (python/cpython issue 134471)."""
        if self.task is not None:
            self.task.cancel()
            asyncio.get_running_loop().call_later(INSIST_AFTER_S, self._insist)


def resolve(delivery: Delivery, functions: Mapping[str, Any], *, default_timeout_s: float | None) -> Resolved:
    """Return what to call; raises ``InvalidJob`` for an unknown kind or arguments that are not JSON."""
    function = functions.get(delivery.kind)
    if function is None:
        msg = f"no function for kind {delivery.kind!r}: this worker knows {', '.join(sorted(functions))}"
        raise InvalidJob(msg)
    timeout_s = default_timeout_s if function.timeout_s is None else function.timeout_s
    return Resolved(
        function.coroutine, decode_args(delivery.args), decode_payload(delivery.payload or b"{}"), timeout_s
    )


async def execute(run: Run, resolved: Resolved, ctx: dict[Any, Any], *, on_start: Hook | None = None) -> Outcome:
    """Run the function to its end and return the outcome; an error of ``on_start`` is the job's. Never raises."""
    run.task = cast("asyncio.Task[Any]", asyncio.current_task())
    try:
        if on_start is not None:
            await on_start(ctx)
        value = await resolved.function(ctx, *resolved.args, **resolved.kwargs)
        return normalise_value(value)
    except asyncio.CancelledError as error:
        return _stopped(run, resolved, error)
    except Exception as error:  # noqa: BLE001  the one broad catch: what a job raises is its outcome
        if run.stopped_by is not None:  # it stumbled over its end; a TaskGroup raises that, not the cancellation
            return _stopped(run, resolved, error)
        delivery = run.delivery
        return decide(error, attempt=delivery.attempt, tries=delivery.tries, random=random.random)
    finally:
        if run.stopped_by is not None:
            while run.task.uncancel():  # the cancellation was for the job; the delivery goes on to its commit
                pass
        run.task = None


async def run_hook(hook: Hook, ctx: dict[Any, Any]) -> None:
    """Run a hook that has no say in the outcome any more: its error is logged."""
    try:
        await hook(ctx)
    except Exception as error:  # noqa: BLE001  a hook is the user's code, and the job has its outcome already
        log.error("hook.failed", hook=getattr(hook, "__qualname__", repr(hook)), error=describe(error).message)


def normalise_value(value: object) -> Outcome:
    """Return the outcome of a function that returned: its commit, or its value as JSON, or dead if it is neither."""
    if isinstance(value, Commit):
        return Succeeded(value)
    if value is None:
        return Succeeded(None)
    try:
        text = _JSON.encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError) as error:
        return Dead(ErrorInfo(type="InvalidResult", message=f"the function returned what JSON cannot carry: {error}"))
    if size > MAX_RESULT_BYTES:
        limit = f"the result has {size} bytes: at most {MAX_RESULT_BYTES} are kept"
        return Dead(ErrorInfo(type="InvalidResult", message=limit))
    return Succeeded(None, text)


def _stopped(run: Run, resolved: Resolved, error: BaseException) -> Outcome:
    delivery = run.delivery
    match run.stopped_by:
        case StopReason.TIMEOUT:
            limit = f"the job ran into its time-out of {resolved.timeout_s:g} s"
            return Dead(ErrorInfo(type="TimeoutError", message=limit))
        case StopReason.CANCELLED:
            return Cancelled()
        case StopReason.LEASE_LOST:
            return Lost()
        case StopReason.SHUTDOWN:
            return HandedBack()
        case None:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return HandedBack()  # the loop is being torn down
            # Something inside the job cancelled itself: run it again, as arq does.
            info = ErrorInfo(type="CancelledError", message=str(error) or "the job cancelled itself")
            if delivery.attempt >= delivery.tries:
                return Dead(info)
            return Retried(backoff_s(delivery.attempt, random=random.random), info)
