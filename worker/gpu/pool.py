"""Waits for slots, holds them, gives them back: one pool a worker.

A waiter asks once, then sleeps until its worker's channel (``wakes.py``) names it; it then checks that the grant is
still its own and calls, while a heartbeat confirms the grant. Every ``renew_s`` one script renews all that this worker
holds or waits for, and says what was lost; while somebody waits, it also runs the moment the next lease ends, so that a
dead holder's slot is not idle. Slots are given back even when their job is cancelled. Next: ``scripts.py``, then
``worker/lua/_gpu.lua``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import Lane
from producer.errors import ModelBusy, ModelUnreachable
from producer.gpu_view import GpuView, read_gpu
from producer.keys import Keys
from worker.gpu.health import HealthRounds, Probe
from worker.gpu.hosts import Host, Kind
from worker.gpu.scripts import Answer, Ask, PoolScripts, Timing
from worker.gpu.slot import Slot
from worker.gpu.wakes import WakeListener

DEFAULT_WAIT_S: Final = 600.0
"""Longer than any fair wait: a worker's few calls against a card's few seconds each."""
REDIS_RETRY_S: Final = 0.25
"""Between tries while Redis does not answer."""
UNCONFIRMED_MARGIN: Final = 5
"""Part of ``confirm_s`` before whose end a call is given up if no heartbeat has confirmed its grant."""
LATE_S: Final = 0.002
"""After a lease's end that a waiter looks for it: Redis counts whole ms."""

T = TypeVar("T")

log = structlog.get_logger()


class _Waiter:
    """One call that wants a slot. ``look`` says that Redis has news of it."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.look = asyncio.Event()
        self.asking: asyncio.Task[Answer] | None = None


class GpuPool:
    """The slots of ``hosts``, shared through Redis with all workers of the environment.

    ``worker`` is this worker's name, unique a process. ``probe`` checks one host's health; without it no host is ever
    set aside. The Redis client stays its owner's and must reconnect on its own. Open before use, close after.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        hosts: Sequence[Host],
        *,
        worker: str = "",
        probe: Probe | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.hosts = tuple(hosts)
        self.timing = timing or Timing()
        self._redis = redis
        self._keys = keys
        self._worker = worker or f"gpu-{secrets.token_hex(4)}"
        self._scripts = PoolScripts(redis, keys, self.timing)
        self._tend_soon = asyncio.Event()
        self._wakes = WakeListener(redis, keys.gpu_wake(self._worker), on_wake=self._wake, on_ready=self._tend_soon.set)
        self._health = HealthRounds(
            self._scripts, self.hosts, probe, redis=redis, keys=keys, every_s=self.timing.probe_down_s
        )
        self._waiters: dict[str, _Waiter] = {}
        self._unserved: set[str] = set()
        self._held: dict[str, Slot] = {}
        self._errands: set[asyncio.Task[Any]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Enrol the hosts, check them once, listen for grants. Raises redis-py's errors."""
        await self._scripts.enrol(self.hosts)
        await self._wakes.start()
        await self._health.round()
        self._tasks = [
            asyncio.create_task(self._tend(), name="gpu-tend"),
            asyncio.create_task(self._health.run(), name="gpu-health"),
        ]

    async def close(self) -> None:
        """Give everything back and stop. Calls still running lose their slots. Safe to call twice."""
        for slot in list(self._held.values()):
            slot.lose("the worker stops")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for token in [*self._held, *self._waiters]:
            self._run_errand(self._release(token))
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._wakes.stop()

    # ------------------------------------------------------------------------------------------ slots

    @asynccontextmanager
    async def acquire(
        self,
        kind: Kind,
        *,
        priority: Lane | str = Lane.BATCH,
        job: str = "",
        hosts: Sequence[Host] | None = None,
        timeout_s: float = DEFAULT_WAIT_S,
    ) -> AsyncGenerator[Slot]:
        """Wait for a slot on one of ``hosts`` (default: any), and give it back at the end.

        Make the call inside ``slot.run``, and close it before the end. Raises ``ModelUnreachable`` when all hosts have
        been down for ``grace_s``, ``ModelBusy`` after ``timeout_s``, and ``SlotLost`` at the end when the slot was lost
        before: what was answered is void then.
        """
        for task in self._tasks:
            if task.done():
                task.result()  # a bug in a loop of ours ends the job loudly, not the slots silently
        token = f"{self._worker}-{secrets.token_hex(6)}"
        ask = Ask(token, kind, Lane(priority), self._worker, job, tuple(self.hosts if hosts is None else hosts))
        slot = await self._wait_for_slot(_Waiter(ask), timeout_s)
        self._held[token] = slot
        try:
            yield slot
        except BaseException:
            await self._give_back(slot)
            raise
        if not await self._give_back(slot):
            raise slot.loss()

    def suspect(self, host: str) -> None:
        """Have ``host`` checked now: a call to it has just failed. The caller does not wait for it."""
        self._run_errand(self._health.check_now(host))

    async def view(self) -> GpuView:
        """Return who holds what and who waits, on all workers."""
        return await read_gpu(self._redis, self._keys)

    # ------------------------------------------------------------------------------------------ steps

    async def _wait_for_slot(self, waiter: _Waiter, timeout_s: float) -> Slot:
        loop = asyncio.get_running_loop()
        began = loop.time()
        token = waiter.ask.token
        self._waiters[token] = waiter
        granted = False
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    asked_at = loop.time()
                    waiter.asking = self._run_errand(self._ask(waiter))
                    answer = await asyncio.shield(waiter.asking)
                    if answer.verdict == "granted":
                        break
                    await self._until_news(waiter, answer)
            granted = True
        except TimeoutError:
            msg = f"no {waiter.ask.kind} slot within {timeout_s:g} s: the GPU is busy; add a host to OLLAMA_BASE_URL"
            raise ModelBusy(msg) from None
        finally:
            del self._waiters[token]
            self._unserved.discard(token)
            if not granted:
                await self._errand(self._withdraw(waiter))
        wait_ms = round((loop.time() - began) * 1000)
        log.debug("gpu.slot_granted", host=answer.host, kind=waiter.ask.kind, wait_ms=wait_ms, token=token)
        is_confirmed = answer.left_s > self.timing.confirm_s
        if not is_confirmed:
            self._tend_soon.set()
        margin_s = self.timing.margin_s if is_confirmed else self.timing.confirm_s / UNCONFIRMED_MARGIN
        ends_at = asked_at + answer.left_s - margin_s
        return Slot(token=token, kind=waiter.ask.kind, host=answer.host, wait_ms=wait_ms, ends_at=ends_at)

    async def _ask(self, waiter: _Waiter) -> Answer:
        """Ask where the waiter stands, and in if it stands nowhere; a grant that is about to end is confirmed first.

        A silent Redis counts as waiting.
        """
        waiter.look.clear()
        try:
            answer = await self._scripts.check(waiter.ask) if waiter.ask.seq else Answer("gone")
            is_late = answer.verdict == "granted" and answer.left_s < self.timing.confirm_s / 2
            if answer.verdict == "gone" or is_late:
                answer = await self._scripts.acquire(waiter.ask)
                waiter.ask = replace(waiter.ask, seq=answer.seq)
        except (RedisError, OSError) as error:
            log.warning("gpu.redis_silent", step="acquire", error=str(error))
            return Answer("silent")
        return answer

    async def _until_news(self, waiter: _Waiter, answer: Answer) -> None:
        if answer.verdict == "unserved" or waiter.ask.token in self._unserved:
            names = ", ".join(repr(host.name) for host in waiter.ask.hosts)
            msg = f"no model host answers at {names}: start Ollama there, or set OLLAMA_BASE_URL or CHAT_MODEL=builtin"
            raise ModelUnreachable(msg)
        limit_s = REDIS_RETRY_S if answer.verdict == "silent" else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiter.look.wait(), limit_s)

    async def _give_back(self, slot: Slot) -> bool:
        """Return whether the slot was ours to the end; while Redis is silent our own clock decides."""
        slot.close()
        self._held.pop(slot.token, None)
        was_ours = slot.is_ours
        verdict, slot.ended_ms = await self._errand(self._release(slot.token))
        if verdict == "silent":
            return was_ours
        return was_ours and verdict == "released"

    async def _withdraw(self, waiter: _Waiter) -> tuple[str, int]:
        """Stop waiting; a question still under way is let through first, or it would be granted after the end."""
        if waiter.asking is not None:
            await asyncio.wait({waiter.asking})
        return await self._release(waiter.ask.token)

    async def _release(self, token: str) -> tuple[str, int]:
        try:
            return await self._scripts.release(token)
        except (RedisError, OSError) as error:
            log.warning("gpu.redis_silent", step="release", error=str(error))
            return "silent", 0

    async def _errand(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what must be done even if the caller is cancelled meanwhile."""
        return await asyncio.shield(self._run_errand(work))

    def _run_errand(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    # ------------------------------------------------------------------------------------------ heartbeat

    def _wake(self, token: str) -> None:
        waiter = self._waiters.get(token)
        if waiter is not None:
            waiter.look.set()

    async def _tend(self) -> None:
        delay_s = self.timing.renew_s
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tend_soon.wait(), delay_s)
            self._tend_soon.clear()
            try:
                delay_s = await self._tend_once()
            except (RedisError, OSError) as error:
                log.warning("gpu.redis_silent", step="renew", error=str(error))
                delay_s = REDIS_RETRY_S

    async def _tend_once(self) -> float:
        """Renew, act on what Redis says, return the seconds until the next time."""
        held = dict(self._held)  # a verdict is on these: what was granted meanwhile is not known to it
        asked_at = asyncio.get_running_loop().time()
        due_ms, verdicts = await self._scripts.tend(self.hosts, list(held), list(self._waiters))
        ends_at = asked_at + self.timing.lease_s - self.timing.margin_s
        for token, verdict in verdicts.items():
            if token in held:
                self._note_held(held[token], verdict, ends_at)
            else:
                self._note_waiting(token, verdict)
        if self._waiters and due_ms >= 0:
            return min(self.timing.renew_s, due_ms / 1000 + LATE_S)
        return self.timing.renew_s

    def _note_held(self, slot: Slot, verdict: str, ends_at: float) -> None:
        if verdict == "held":
            slot.extend(ends_at)
        elif slot.token in self._held:
            why = "its host does not answer" if verdict == "cut" else "its lease ended"
            log.warning("gpu.slot_lost", host=slot.host, kind=slot.kind, token=slot.token, why=why)
            slot.lose(why)

    def _note_waiting(self, token: str, verdict: str) -> None:
        waiter = self._waiters.get(token)
        if waiter is not None and verdict != "waiting":
            if verdict == "unserved":
                self._unserved.add(token)
            waiter.look.set()
