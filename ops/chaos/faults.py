"""Applies the plan's faults to the stage: one coroutine per fault, found by its name."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from journal import Journal
from plan import Strike
from redis.exceptions import RedisError
from servers import plain
from stage import Stage, WorkerProcess

from producer.contract import Lane
from tests.support.processes_of import descendants

SLOW_S: Final = 0.15
CLOCK_WRONG_S: Final = 3600.0
"""At most, either way."""
REDIS_CLOCKS_S: Final = (-3600.0, -10.0, 0.0, 10.0, 3600.0)
"""Offsets of Redis' clock: an hour or 10 s, ahead or behind, and none."""
CUTS_A_SECOND: Final = 20
OLLAMA_FAULTS: Final = (
    {"name": "drop"},
    {"name": "half_line"},
    {"name": "stall"},
    {"name": "no_done"},
    {"name": "nonsense"},
    {"name": "mid_error"},
    {"name": "silence"},
    {"name": "status", "status": 503, "text": "server busy"},
    {"name": "status", "status": 500, "text": "runner died"},
    {"name": "load", "seconds": 4.0},
)
GARBAGE: Final[tuple[dict[Any, Any], ...]] = (
    {"kind": "scan", "payload": "{not json"},
    {"kind": "scan", "payload": '{"url": 7}'},
    {"kind": "nothing", "payload": "{}"},
    {b"\xff\xfe": b"\x00" * 5_000},
    {"payload": '{"url":"http://127.0.0.1/"}'},
    {"kind": "scan", "v": "x", "payload": '{"url":"ftp://x"}'},
)


class Faults:
    """Applies faults to a stage; ``done`` counts those that took effect."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        self.done: Counter[str] = Counter()
        self._stage = stage
        self._journal = journal
        self._redis_clock_s = 0.0
        self._acts: dict[str, Callable[[Strike], Awaitable[bool]]] = {
            "worker_killed": self._signal(signal.SIGKILL),
            "worker_terminated": self._signal(signal.SIGTERM),
            "worker_frozen": self._freeze,
            "redis_killed": self._kill_redis,
            "connections_reset": self._reset,
            "network_slow": self._slow_down,
            "ollama_killed": self._kill_ollama,
            "ollama_faults": self._spoil_answers,
            "browser_killed": self._kill_browser,
            "garbage_added": self._add_garbage,
            "clock_jumped": self._jump,
            "redis_clock_jumped": self._jump_redis,
            "redis_failed_over": self._fail_over,
            "connections_cut": self._cut,
        }

    async def run(self, plan: tuple[Strike, ...]) -> None:
        """Carry out the plan on schedule; return when all faults are over. An error of a fault ends it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as lasting:
            for strike in plan:
                await asyncio.sleep(max(0.0, began + strike.at_s - loop.time()))
                lasting.create_task(self._strike(strike))

    async def _strike(self, strike: Strike) -> None:
        if await self._acts[strike.fault](strike):
            self.done[strike.fault] += 1

    def _worker(self, strike: Strike) -> WorkerProcess:
        workers = self._stage.workers
        return workers[int(strike.draw * len(workers))]

    # ------------------------------------------------------------------------------------------ faults

    def _signal(self, what: signal.Signals) -> Callable[[Strike], Awaitable[bool]]:
        async def send(strike: Strike) -> bool:
            return self._worker(strike).send(what)

        return send

    async def _freeze(self, strike: Strike) -> bool:
        worker = self._worker(strike)
        pid = worker.pid
        has_struck = worker.send(signal.SIGSTOP)
        await asyncio.sleep(strike.lasts_s)
        if worker.pid == pid:
            worker.send(signal.SIGCONT)
        return has_struck

    async def _kill_redis(self, strike: Strike) -> bool:
        return await self._stage.servers.kill(away_s=strike.lasts_s)

    async def _fail_over(self, strike: Strike) -> bool:
        return await self._stage.servers.fail_over(behind_s=strike.lasts_s)

    async def _reset(self, _: Strike) -> bool:
        return self._stage.servers.reset() > 0

    async def _cut(self, strike: Strike) -> bool:
        """Drop one connection after another, 20 per second."""
        dice = random.Random(strike.draw)  # noqa: S311  a plan, not a secret
        for _ in range(int(strike.lasts_s * CUTS_A_SECOND)):
            self._stage.servers.cut_one(dice.random())
            await asyncio.sleep(1 / CUTS_A_SECOND)
        return True

    async def _slow_down(self, strike: Strike) -> bool:
        self._stage.servers.slow_down(SLOW_S * strike.draw)
        await asyncio.sleep(strike.lasts_s)
        self._stage.servers.slow_down(0.0)
        return True

    async def _jump_redis(self, strike: Strike) -> bool:
        """Change Redis's clock to a different offset."""
        others = [wrong_s for wrong_s in REDIS_CLOCKS_S if wrong_s != self._redis_clock_s]
        self._redis_clock_s = others[int(strike.draw * len(others))]
        return self._stage.servers.set_clock(wrong_s=self._redis_clock_s)

    async def _kill_ollama(self, strike: Strike) -> bool:
        await self._stage.ollama.kill()
        await asyncio.sleep(strike.lasts_s)
        await self._stage.ollama.start()
        return True

    async def _spoil_answers(self, strike: Strike) -> bool:
        begin = int(strike.draw * len(OLLAMA_FAULTS))
        faults = [OLLAMA_FAULTS[begin], OLLAMA_FAULTS[begin - 1]]
        return await asyncio.to_thread(_post, f"{self._stage.ollama.url}/stub/faults", {"faults": faults})

    async def _kill_browser(self, strike: Strike) -> bool:
        """Kill one worker's browser, or one of its pages."""
        pid = self._worker(strike).pid
        below = [] if pid is None else descendants(pid)
        if not below:
            return False
        try:
            os.kill(below[int(strike.draw * 997) % len(below)], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    async def _jump(self, strike: Strike) -> bool:
        """Set one worker's wall clock, ahead or behind."""
        self._worker(strike).set_clock(wrong_s=(strike.draw * 997 % 2 - 1) * CLOCK_WRONG_S)
        return True

    async def _add_garbage(self, strike: Strike) -> bool:
        fields = GARBAGE[int(strike.draw * len(GARBAGE))]
        lane = Lane.BATCH if strike.draw * 10 % 1 > 0.5 else Lane.INTERACTIVE  # noqa: PLR2004  even odds
        began = time.monotonic()
        primary = await self._stage.servers.primary()
        if primary is None:
            return False
        try:
            async with plain(primary) as redis:
                entry = await redis.xadd(self._stage.keys.lane(lane), fields)
        except (RedisError, OSError):
            return False  # Redis was down
        self._journal.note("garbage", entry=entry.decode(), lane=lane, began=began, at=time.monotonic())
        return True


def _post(url: str, body: dict[str, Any]) -> bool:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")  # noqa: S310  our own stub
    try:
        with urllib.request.urlopen(request, timeout=2):  # noqa: S310  our own stub
            return True
    except OSError:
        return False
