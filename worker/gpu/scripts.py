"""Typed calls of the pool's Lua scripts. All are idempotent: without a reply, call again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.contract import Lane
from producer.keys import Keys
from producer.redis.backoff import Backoff
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, Script, as_text, load_script, run_script
from worker.gpu.hosts import Host, Kind

ACQUIRE: Final = load_script("worker.gpu", "gpu_acquire")
CHECK: Final = load_script("worker.gpu", "gpu_check")
RELEASE: Final = load_script("worker.gpu", "gpu_release")
TEND: Final = load_script("worker.gpu", "gpu_tend")
PROBE: Final = load_script("worker.gpu", "gpu_probe")
HEALTH: Final = load_script("worker.gpu", "gpu_health")

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 1.0

log = structlog.get_logger()


def new_backoff() -> Backoff:
    """Return the back-off for retries while Redis does not reply."""
    return Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)


def note_silence(step: str, error: Exception) -> None:
    """Log that Redis did not reply."""
    log.warning("gpu.redis_silent", step=step, error=str(error))


@dataclass(frozen=True, slots=True)
class Timing:
    """The pool's durations in seconds; all workers of an environment should use the same.

    ``margin_s``: how long before a lease's end a holder that could not renew cancels its call, so that it is closed in
    time. ``grace_s``: how long a call waits while all its hosts are down. ``stale_s``: a host that no worker has named
    for this long is removed. ``kept_s``: how long the keys outlive the last worker. ``reply_s``: how long a call
    waits for Redis's reply.
    """

    lease_s: float = 6.0
    renew_s: float = 2.0
    margin_s: float = 1.0
    confirm_s: float = 1.0
    grace_s: float = 10.0
    probe_s: float = 5.0
    probe_down_s: float = 1.0
    stale_s: float = 30.0
    kept_s: float = 60.0
    reply_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that requests a slot; ``seq`` is its order of arrival, 0 before it has one.

    A batch call that ``gives_way`` may be asked to release its slot for an interactive call.
    """

    token: str
    kind: Kind
    priority: Lane
    worker: str
    job: str
    hosts: tuple[Host, ...]
    seq: int = 0
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an ask: ``granted`` on ``host``, ``waiting``, ``gone``, or ``unserved`` (all hosts are down).

    ``left_s`` is the remaining time of the lease; 0 unless granted.
    """

    verdict: str
    host: str = ""
    seq: int = 0
    left_s: float = 0.0


@dataclass(slots=True)
class RedisClock:
    """Bounds Redis's time, given the latest time in a reply and the local loop time (s) of that request."""

    _asked_at: float = 0.0
    _ms: int = 0

    def note(self, asked_at: float, ms: int) -> None:
        """Record that Redis's time was ``ms`` at some moment after ``asked_at``."""
        self._asked_at, self._ms = asked_at, ms

    def age_s(self, ms: int, *, now: float) -> float | None:
        """Return how long ago ``ms`` was at most; None if that is unknown, or Redis's clock was set meanwhile."""
        age_s = now - self._asked_at - (ms - self._ms) / 1000
        return age_s if self._ms and age_s >= 0 else None


class PoolScripts:
    """Runs the scripts of one worker on a dedicated connection from the client's pool, since grants are urgent."""

    def __init__(self, redis: Redis, keys: Keys, timing: Timing) -> None:
        self._redis = redis
        self._pipe = ScriptPipe(cast("ConnectionPool", redis.connection_pool))
        self._keys = keys
        self._pool_keys = keys.gpu_pool
        self.timing = timing
        self.clock = RedisClock()

    async def acquire(self, ask: Ask) -> Answer:
        """Request a slot, or return the status of an earlier request with the same token; confirms a grant."""
        about = (ask.token, ask.kind, ask.priority, ask.worker, ask.job, self._keys.gpu_wake(ask.worker))
        times = (*self._lease(), _ms(self.timing.grace_s))
        asked_at = asyncio.get_running_loop().time()
        reply = await self._run(ACQUIRE, [*about, _slots_json(ask.hosts), ask.seq, *times, int(ask.gives_way)])
        self.clock.note(asked_at, int(reply[3]))
        left_s = self.timing.lease_s if as_text(reply[0]) == "granted" else 0.0
        return Answer(as_text(reply[0]), as_text(reply[1]), int(reply[2]), left_s)

    async def check(self, ask: Ask) -> Answer:
        """Return the status of an ask without writing; confirm a grant with ``tend`` before it expires."""
        reply = await self._run(CHECK, [ask.token])
        left_s = min(int(reply[2]) / 1000, self.timing.lease_s)  # larger if Redis's clock was set back
        return Answer(as_text(reply[0]), as_text(reply[1]), ask.seq, left_s)

    async def release(self, token: str) -> tuple[str, int]:
        """Release a slot or stop waiting; returns ``released``, ``withdrawn`` or ``lost``, and Redis's time in ms."""
        reply = await self._run(RELEASE, [token, *self._lease()])
        return as_text(reply[0]), int(reply[1])

    async def enrol(self, hosts: Iterable[Host]) -> None:
        """Register the slots of ``hosts``. Waits for a slow Redis, since a worker's start is not urgent."""
        await run_script(self._redis, TEND, self._pool_keys, self._tend_args(hosts, (), (), enrol=True))

    async def tend(
        self, hosts: Iterable[Host], held: Sequence[str] = (), waiting: Sequence[str] = ()
    ) -> tuple[int, dict[str, str]]:
        """Renew held slots and waiters, and grant free slots.

        Returns the ms until the next lease ends (-1: none) and the status of each token.
        """
        asked_at = asyncio.get_running_loop().time()
        reply = await self._run(TEND, self._tend_args(hosts, held, waiting, enrol=False))
        self.clock.note(asked_at, int(reply[1]))
        return int(reply[0]), dict(zip([*held, *waiting], map(as_text, reply[2:]), strict=True))

    async def take_probes(self, hosts: Iterable[Host], *, early_s: float | None = None) -> frozenset[str]:
        """Claim due checks and return the hosts' names; with ``early_s``, hosts not checked for that long."""
        times = [_ms(self.timing.probe_s), _ms(self.timing.probe_down_s), -1 if early_s is None else _ms(early_s)]
        args: list[Arg] = [*times, *(host.name for host in hosts)]
        reply = await self._run(PROBE, args, keys=[self._keys.gpu_hosts])
        return frozenset(map(as_text, reply))

    async def report(self, host: str, *, reason: str) -> tuple[bool, int]:
        """Record a check, failed if ``reason`` is set; return whether the state changed, and failures in a row."""
        state = "down" if reason else "up"
        reply = await self._run(HEALTH, [host, state, reason, *self._lease(), _ms(self.timing.probe_down_s)])
        return int(reply[0]) == 1, int(reply[1])

    def _tend_args(
        self, hosts: Iterable[Host], held: Sequence[str], waiting: Sequence[str], *, enrol: bool
    ) -> list[Arg]:
        timing = self.timing
        limits = (_ms(timing.grace_s), _ms(timing.stale_s), _ms(timing.kept_s))
        return [*self._lease(), *limits, _slots_json(hosts), int(enrol), len(held), *held, *waiting]

    async def close(self) -> None:
        """Return the connection to its pool. Safe to call twice."""
        await self._pipe.close()

    async def _run(self, script: Script, args: Sequence[Arg], *, keys: Sequence[str] = ()) -> Any:
        """Run a script; raises ``TimeoutError``, an ``OSError``, after ``reply_s`` without a reply."""
        limit_s = self.timing.reply_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._pipe.call(script, keys or self._pool_keys, args)
        except TimeoutError:
            self._pipe.reset_if_stuck(limit_s=limit_s)
            raise

    def _lease(self) -> tuple[int, int]:
        return _ms(self.timing.lease_s), _ms(self.timing.confirm_s)


def _slots_json(hosts: Iterable[Host]) -> str:
    return json.dumps({host.name: {"chat": host.chat, "embed": host.embed} for host in hosts})


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
