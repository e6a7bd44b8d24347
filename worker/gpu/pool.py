"""Acquires, renews and releases slots; each worker has one pool.

A waiter asks once, then sleeps until a message on its worker's channel announces its grant (``wakes.py``). If the grant
is recent by the bound on Redis's time, it starts its call at once; otherwise it asks whether the grant still holds. The
next beat confirms the grant. Slots are released even when their job is cancelled, but never before their call is
closed. Beats renew all held slots and waiters (``producer/redis/lease.py``). They run on the event loop deliberately: a
blocked loop could not close its calls either, and so loses its slots. Next: ``slot.py``, ``scripts.py``, then
``worker/gpu/lua/_gpu.lua``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.contract import Lane
from producer.errors import ModelBusy
from producer.keys import Keys
from producer.redis.lease import keep
from producer.redis.raw_connection import end
from worker.gpu.health import EARLY_S, HealthRounds, Probe
from worker.gpu.hosts import Host, Kind
from worker.gpu.scripts import Ask, PoolScripts, Timing, note_silence
from worker.gpu.slot import Slot, Waiter
from worker.gpu.wakes import GIVE_WAY, WakeListener
from worker.telemetry import in_background, note_failure

DEFAULT_WAIT_S: Final = 600.0
"""Longer than any fair wait: a worker has few calls, and each takes a few seconds."""
CONFIRM_AFTER: Final = 20
"""Divisor of ``confirm_s``: the delay after which a beat confirms a grant."""
UNCONFIRMED_MARGIN: Final = 5
"""Divisor of ``confirm_s``: the margin before its end at which an unconfirmed call is cancelled."""
LATE_S: Final = 0.002
"""Delay after a lease's end before a waiter checks, since Redis counts whole ms."""
CLOSE_S: Final = 2.0
"""Time for calls to close their connections before their slots are released."""
STOPS: Final = "the worker stops"

T = TypeVar("T")

log = structlog.get_logger()


class GpuPool:
    """The slots of ``hosts``, shared by all workers of the environment through Redis.

    ``worker`` is the unique name of this process. ``probe`` checks one host's health; without it no host is ever
    unhealthy. The caller owns the Redis client, which must reconnect by itself. Call ``open`` before use and ``close``
    afterwards.
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
        self._waiters: dict[str, Waiter] = {}
        self._held: dict[str, Slot] = {}
        self._soon = asyncio.Event()
        self._wakes = WakeListener(redis, keys.gpu_wake(self._worker), on_wake=self._wake, on_ready=self._soon.set)
        self._health = HealthRounds(
            self._scripts, self.hosts, probe, redis=redis, keys=keys, every_s=self.timing.probe_down_s
        )
        self._is_closing = False
        self._is_idle = asyncio.Event()
        self._errands: set[asyncio.Task[Any]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Register the hosts, check them once, listen for grants. Raises redis-py's errors."""
        await self._scripts.enrol(self.hosts)
        await self._wakes.start()
        await self._health.check(self.hosts)
        beats = keep(
            self._beat,
            every_s=self.timing.renew_s,
            soon=self._soon,
            on_silent=partial(note_silence, "renew"),
            on_error=partial(note_failure, "gpu-tend"),
        )
        rounds = in_background(self._health.run, name="gpu-health", again_s=self.timing.probe_s)
        self._tasks = [asyncio.create_task(beats, name="gpu-tend"), rounds]

    async def close(self) -> None:
        """Cancel running and waiting calls, release all slots and stop. Safe to call twice."""
        self._is_closing = True
        for slot in list(self._held.values()):
            slot.lose(STOPS)
        for waiter in self._waiters.values():
            waiter.look.set()
        self._note_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._is_idle.wait()
        await end(*self._tasks)
        self._tasks = []
        for token in [*self._held, *self._waiters]:
            self._run_errand(self._release(token))
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._wakes.stop()
        await self._scripts.close()

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
        gives_way: bool = False,
    ) -> AsyncGenerator[Slot]:
        """Acquire a slot on one of ``hosts`` (default: any) and release it when the body ends.

        Make the call inside ``slot.run`` and close it before the body ends. A batch call that ``gives_way`` may lose
        its slot to an interactive call (``slot.yielded``). Raises ``ModelUnreachable`` when all hosts have been down
        for ``grace_s``, ``ModelBusy`` after ``timeout_s`` or when the pool closes, and ``SlotLost`` when the body ends
        after the slot was lost: discard its answer.
        """
        token = f"{self._worker}-{secrets.token_hex(6)}"
        on = self.hosts if hosts is None else tuple(hosts)
        ask = Ask(token, kind, Lane(priority), self._worker, job, on, gives_way=gives_way)
        waiter = Waiter(ask, self._scripts)
        slot = await self._wait_for_slot(waiter, timeout_s)
        self._held[token] = slot
        if waiter.is_asked:
            slot.yield_slot()
        try:
            yield slot
        except BaseException:
            await self._end(slot)
            raise
        if not await self._end(slot):
            raise slot.loss()

    def suspect(self, host: str) -> None:
        """Trigger a check of ``host`` after a failed call, without waiting for it."""
        suspects = [known for known in self.hosts if known.name == host]
        self._run_errand(self._health.check(suspects, early_s=EARLY_S))

    # ------------------------------------------------------------------------------------------ steps

    async def _wait_for_slot(self, waiter: Waiter, timeout_s: float) -> Slot:
        loop = asyncio.get_running_loop()
        began = loop.time()
        token = waiter.ask.token
        self._waiters[token] = waiter
        granted = False
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._check_open()
                    asked_at = loop.time()
                    answer = waiter.take_heard()
                    if answer is None:
                        waiter.asking = self._run_errand(waiter.request())
                        answer = await asyncio.shield(waiter.asking)
                        self._check_open()
                    if answer.verdict == "granted":
                        break
                    await waiter.until_news(answer)
            granted = True
        except TimeoutError:
            msg = f"no {waiter.ask.kind} slot within {timeout_s:g} s: the GPU is busy; add a host to OLLAMA_BASE_URL"
            raise ModelBusy(msg) from None
        finally:
            if not granted:
                await self._errand(self._withdraw(waiter))
            del self._waiters[token]
            self._note_idle()
        wait_ms = round((loop.time() - began) * 1000)
        log.debug("gpu.slot_granted", host=answer.host, kind=waiter.ask.kind, wait_ms=wait_ms, token=token)
        is_confirmed = answer.left_s > self.timing.confirm_s
        if not is_confirmed:  # slightly later: the call itself has priority
            loop.call_later(self.timing.confirm_s / CONFIRM_AFTER, self._soon.set)
        margin_s = self.timing.margin_s if is_confirmed else self.timing.confirm_s / UNCONFIRMED_MARGIN
        ends_at = asked_at + answer.left_s - margin_s
        return Slot(token=token, kind=waiter.ask.kind, host=answer.host, wait_ms=wait_ms, ends_at=ends_at)

    async def _beat(self) -> float | None:
        """Renew and apply Redis's reply; return the seconds until the next beat, None for the default."""
        held = dict(self._held)  # the reply covers only these, not slots granted in the meantime
        asked_at = asyncio.get_running_loop().time()
        due_ms, verdicts = await self._scripts.tend(self.hosts, list(held), list(self._waiters))
        for token, verdict in verdicts.items():
            if token in held:
                self._note_held(held[token], verdict, asked_at + self.timing.lease_s - self.timing.margin_s)
            elif verdict != "waiting" and (waiter := self._waiters.get(token)):
                waiter.is_unserved = verdict == "unserved"
                waiter.look.set()
        # As soon as the next lease ends, so that a dead holder's slot is not idle.
        is_early = self._waiters and 0 <= due_ms < self.timing.renew_s * 1000
        return due_ms / 1000 + LATE_S if is_early else None

    def _note_held(self, slot: Slot, verdict: str, ends_at: float) -> None:
        if verdict == "held":
            slot.extend(ends_at)
        elif slot.token in self._held:
            why = "its host does not answer" if verdict == "cut" else "its lease ended"
            log.warning("gpu.slot_lost", host=slot.host, kind=slot.kind, token=slot.token, why=why)
            slot.lose(why)

    def _check_open(self) -> None:
        if self._is_closing:
            msg = f"slots are no longer granted: {STOPS}"
            raise ModelBusy(msg)

    async def _end(self, slot: Slot) -> bool:
        """Release the slot and return whether it was held throughout; without a reply, the local clock decides."""
        self._held.pop(slot.token, None)
        self._note_idle()
        was_held = slot.is_held
        verdict, slot.ended_ms = await self._errand(self._release(slot.token))
        if verdict == "lost":
            slot.lose("its lease ended")
        return was_held and verdict in {"released", "silent"}

    async def _withdraw(self, waiter: Waiter) -> tuple[str, int]:
        """Stop waiting, after any request still in flight: otherwise it could be granted afterwards."""
        if waiter.asking is not None:
            await asyncio.wait({waiter.asking})
        return await self._release(waiter.ask.token)

    async def _release(self, token: str) -> tuple[str, int]:
        try:
            return await self._scripts.release(token)
        except (RedisError, OSError) as error:
            note_silence("release", error)
            return "silent", 0

    async def _errand(self, work: Coroutine[Any, Any, T]) -> T:
        """Complete ``work`` even if the caller is cancelled in the meantime."""
        return await asyncio.shield(self._run_errand(work))

    def _run_errand(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    def _wake(self, message: str) -> None:
        if message.startswith(GIVE_WAY):
            token = message.removeprefix(GIVE_WAY)
            if token in self._held:
                self._held[token].yield_slot()
            elif token in self._waiters:  # granted, but not notified yet
                self._waiters[token].is_asked = True
            return
        granted_ms, _, rest = message.partition(" ")
        token, _, host = rest.partition(" ")
        waiter = self._waiters.get(token)
        if waiter is not None and granted_ms.isdecimal():
            waiter.hear(host, int(granted_ms))

    def _note_idle(self) -> None:
        if self._held or self._waiters:
            self._is_idle.clear()
        else:
            self._is_idle.set()
