"""Makes one model call: acquires a slot, calls, closes the HTTP response, releases the slot; repeats a failed call.

Every adapter makes its calls through this module. A call whose host fails is repeated, on another host if there is one;
a call whose slot was lost waits for another, and so does a batch call that gave way to a question. Each attempt is
logged and counted, including failed ones: they used the GPU.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import reduce
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from producer.contract import Usage
from producer.errors import ModelBusy, ModelError, ModelMissing, ModelTimeout, SlotLost
from worker.gpu.hosts import Host, Kind
from worker.gpu.slot import Slot
from worker.models.job_context import now_serving
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import responses_closed
from worker.models.protocols import add_usage
from worker.models.usage import UsageLedger

T = TypeVar("T")

TRIES: Final = 3
"""Attempts per call, plus one for each further host."""
PAUSE_S: Final = 0.5
"""Seconds before the same host is asked again; doubled each time. The slot is free meanwhile."""
GIVES_WAY_S: Final = 120.0
"""Seconds during which a batch call gives way to each question; then it runs to its end, or it might never finish."""
WAY_PAUSE_S: Final = 1.0
"""Seconds before a call that gave way requests a slot again: a question takes several calls and look-ups."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of one successful call."""

    value: T


@dataclass(slots=True)
class Spent:
    """The tokens of a running call so far: they count even if it breaks."""

    prompt_tokens: int = 0
    output_tokens: int = 0


Make = Callable[[Host, Spent], Coroutine[Any, Any, Done[T]]]
"""Makes one call on a host, and records its cost."""


class GpuCalls:
    """Makes calls on the hosts of ``fleet``; ``wait_s`` limits the wait for one slot."""

    def __init__(self, fleet: OllamaFleet, usage: UsageLedger, *, wait_s: float) -> None:
        self._fleet = fleet
        self._usage = usage
        self._wait_s = wait_s

    async def call(self, kind: Kind, model: str, make: Make[T]) -> tuple[Done[T], list[Usage]]:
        """Return the result of ``make`` on a host that has ``model``, and the cost of each attempt.

        ``make`` limits its own time and raises ``ModelError``. Raises the last failure when no attempt is left, and
        ``ModelBusy`` or ``ModelUnreachable`` if it gets no slot; its ``spent`` is the cost of all attempts.
        """
        avoided: set[str] = set()
        spent: list[Usage] = []
        tried, tries = 0, TRIES + len(self._fleet.hosts) - 1
        way_since = 0.0
        while True:
            hosts = self._fleet.hosts_with(model)
            untried = [h for h in hosts if h.name not in avoided] or hosts
            gives_way = not way_since or monotonic() - way_since < GIVES_WAY_S
            try:
                slot, usage, outcome = await self._attempt(kind, model, make, untried, gives_way=gives_way)
            except ModelError as error:  # no slot
                error.spent = reduce(add_usage, spent, Usage())
                raise
            spent.append(usage)
            if isinstance(outcome, Done):
                return outcome, spent
            if slot.yielded:  # does not count as an attempt
                way_since = way_since or monotonic()
                await asyncio.sleep(WAY_PAUSE_S)
                continue
            tried += 1
            host = slot.host
            if not isinstance(outcome, SlotLost):
                avoided.add(host)
                self._fleet.doubt_facts()
            if isinstance(outcome, ModelMissing):
                self._fleet.note_missing(host, model)
            elsewhere = [h for h in hosts if h.name not in avoided]
            if tried == tries or not is_worth_another(outcome, has_elsewhere=bool(elsewhere)):
                outcome.spent = reduce(add_usage, spent)
                raise outcome
            if not isinstance(outcome, SlotLost | ModelMissing | ModelBusy):
                self._fleet.pool.suspect(host)
            if not elsewhere:
                await asyncio.sleep(PAUSE_S * 2 ** (tried - 1))

    async def _attempt(
        self, kind: Kind, model: str, make: Make[T], hosts: Sequence[Host], *, gives_way: bool
    ) -> tuple[Slot, Usage, Done[T] | ModelError]:
        """Make the call once; return its slot, its cost and its outcome.

        Raises ``ModelError`` only if it gets no slot.
        """
        job = now_serving()
        loop = asyncio.get_running_loop()
        slot: Slot | None = None
        spent = Spent()
        outcome: Done[T] | ModelError = SlotLost("the call ended without an answer")
        began = ended = loop.time()
        try:
            async with self._fleet.pool.acquire(
                kind, priority=job.lane, job=job.job_id, hosts=hosts, timeout_s=self._wait_s, gives_way=gives_way
            ) as slot:
                began = loop.time()
                try:
                    async with responses_closed():
                        outcome = await slot.run(make(next(host for host in hosts if host.name == slot.host), spent))
                except ModelError as error:
                    outcome = error
                ended = loop.time()
        except SlotLost as error:
            outcome = error if isinstance(outcome, Done) else outcome
        if slot is None:  # pragma: no cover  acquire raises instead
            raise AssertionError
        failure = None if isinstance(outcome, Done) else outcome
        usage = Usage(
            prompt_tokens=spent.prompt_tokens,
            output_tokens=spent.output_tokens,
            calls=1,
            gpu_wait_ms=slot.wait_ms,
            gpu_ms=round((ended - began) * 1000),
        )
        about = {"kind": kind, "model": model, "host": slot.host, "call_id": slot.token}
        await self._usage.record(**about, usage=usage, run_ms=usage.gpu_ms, failure=failure, at_ms=slot.ended_ms)
        return slot, usage, outcome


def is_worth_another(failure: ModelError, *, has_elsewhere: bool) -> bool:
    """Return whether to repeat a call that ended in ``failure``: after a timeout, only on another host."""
    if isinstance(failure, ModelMissing | ModelTimeout):
        return has_elsewhere
    return failure.retryable
