"""Makes one model call: waits for a slot, calls under it, closes the HTTP response, gives the slot back, moves on.

What every adapter runs its calls through. A call whose host fails is made again, elsewhere if there is an elsewhere; a
call whose slot was lost waits for another. Each attempt is logged and counted, failed ones too: they used the card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Generic, TypeVar

import structlog

from producer.contract import Usage
from producer.errors import ModelBusy, ModelError, ModelMissing, ModelTimeout, SlotLost
from worker.gpu.hosts import Host, Kind
from worker.gpu.slot import Slot
from worker.models.job_context import now_serving
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import responses_closed
from worker.models.protocols import add_usage, spent_on
from worker.models.usage import UsageLedger

T = TypeVar("T")

TRIES: Final = 3
"""Of one call, and one more for each further host."""
PAUSE_S: Final = 0.5
"""Before the same host is asked again; doubled each time. The slot is free meanwhile."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What one successful call gave, and its tokens."""

    value: T
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One try on one host, ``token`` its slot's; either ``done`` or ``failure``.

    ``ended_ms`` is Redis time, 0 where Redis was silent.
    """

    token: str
    host: str
    wait_ms: int
    run_ms: int
    ended_ms: int
    done: Done[T] | None
    failure: ModelError | None

    @property
    def usage(self) -> Usage:
        """What the try cost."""
        told = spent_on(self.failure) if self.failure else self.done
        prompt, output = (told.prompt_tokens, told.output_tokens) if told else (0, 0)
        return Usage(prompt_tokens=prompt, output_tokens=output, calls=1, gpu_wait_ms=self.wait_ms, gpu_ms=self.run_ms)


class GpuCalls:
    """Makes calls on the hosts of ``fleet``; ``wait_s`` bounds the wait for one slot."""

    def __init__(self, fleet: OllamaFleet, usage: UsageLedger, *, wait_s: float) -> None:
        self._fleet = fleet
        self._usage = usage
        self._wait_s = wait_s

    async def call(
        self, kind: Kind, model: str, make: Callable[[Host], Coroutine[Any, Any, Done[T]]]
    ) -> tuple[Done[T], list[Usage]]:
        """Return what ``make`` gives on a host that has ``model``, and what each try cost.

        ``make`` bounds its own time and raises ``ModelError``. Raises the last failure when no try is left, and for
        want of a slot ``ModelBusy`` or ``ModelUnreachable``; its ``spent`` is what all tries cost.
        """
        avoided: set[str] = set()
        spent: list[Usage] = []
        for left in reversed(range(TRIES + len(self._fleet.hosts) - 1)):
            hosts = self._fleet.hosts_with(model)
            try:
                attempt = await self._attempt(kind, make, [h for h in hosts if h.name not in avoided] or hosts)
            except ModelError as error:  # no slot
                error.spent = reduce(add_usage, spent, Usage())
                raise
            await self._record(kind, model, attempt)
            spent.append(attempt.usage)
            if attempt.done is not None:
                return attempt.done, spent
            failure = attempt.failure or SlotLost("the call ended without an answer")
            if not isinstance(failure, SlotLost):
                avoided.add(attempt.host)
            if isinstance(failure, ModelMissing):
                self._fleet.note_missing(attempt.host, model)
            elsewhere = [h for h in hosts if h.name not in avoided]
            if not left or not is_worth_another(failure, has_elsewhere=bool(elsewhere)):
                failure.spent = reduce(add_usage, spent)
                raise failure
            if not isinstance(failure, SlotLost | ModelMissing | ModelBusy):
                self._fleet.pool.suspect(attempt.host)
            if not elsewhere:
                await asyncio.sleep(PAUSE_S * 2 ** (len(spent) - 1))
        raise AssertionError  # pragma: no cover  the last try returns or raises

    async def _attempt(
        self, kind: Kind, make: Callable[[Host], Coroutine[Any, Any, Done[T]]], hosts: Sequence[Host]
    ) -> Attempt[T]:
        """Make the call once, under a slot. Raises ``ModelError`` for want of a slot only."""
        job = now_serving()
        loop = asyncio.get_running_loop()
        slot: Slot | None = None
        done: Done[T] | None = None
        failure: ModelError | None = None
        began = ended = loop.time()
        try:
            async with self._fleet.pool.acquire(
                kind, priority=job.lane, job=job.job_id, hosts=hosts, timeout_s=self._wait_s
            ) as slot:
                began = loop.time()
                try:
                    async with responses_closed():
                        done = await slot.run(make(_named(hosts, slot.host)))
                except ModelError as error:
                    failure = error
                ended = loop.time()
        except SlotLost as error:
            done, failure = None, failure or error
        if slot is None:  # pragma: no cover  acquire raises instead
            raise AssertionError
        run_ms = round((ended - began) * 1000)
        return Attempt(slot.token, slot.host, slot.wait_ms, run_ms, slot.ended_ms, done, failure)

    async def _record(self, kind: Kind, model: str, attempt: Attempt[T]) -> None:
        usage, failure = attempt.usage, attempt.failure
        fields = {
            "kind": kind,
            "model": model,
            "host": attempt.host,
            "job_id": now_serving().job_id,
            "wait_ms": attempt.wait_ms,
            "run_ms": attempt.run_ms,
        }
        if failure is None:
            log.info("model.answered", **fields, prompt_tokens=usage.prompt_tokens, output_tokens=usage.output_tokens)
        else:
            log.warning("model.failed", **fields, error=f"{type(failure).__name__}: {failure}")
        if not attempt.ended_ms:
            log.warning("usage.not_counted", kind=kind, model=model, error="Redis was silent at the call's end")
            return
        await self._usage.add(
            at_ms=attempt.ended_ms,
            kind=kind,
            model=model,
            usage=usage,
            failed=failure is not None,
            call_id=attempt.token,
        )


def is_worth_another(failure: ModelError, *, has_elsewhere: bool) -> bool:
    """Whether a call that failed so should be made again. What took its whole time is not repeated on the same host."""
    if isinstance(failure, ModelMissing | ModelTimeout):
        return has_elsewhere
    return failure.retryable


def _named(hosts: Sequence[Host], name: str) -> Host:
    return next(host for host in hosts if host.name == name)
