"""The measurements shared by all contenders' programs: ``python X_program.py COMMAND URL COUNT POLL_S``.

Runs in the contender's own environment, so it needs the standard library and redis-py only. Times are
``time.monotonic``, one clock for all processes of a machine. Workers record their observations in Redis lists named
``bench:*``.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis

AT_ONCE: Final = 32
"""Jobs one worker runs at a time."""
WARM_UP: Final = 100
"""Jobs before those of ``submit``: one library connects when it is opened, another with its first job."""
GAP_S: Final = (0.01, 0.02)
"""Random pause before each job of ``pickup``, so that the worker is idle. POLL_S, the interval of a library that polls,
is added to the longest, so that jobs arrive at any point of it."""
NAP_S: Final = 0.1
NAPS_PER_S: Final = 160
"""Jobs of ``NAP_S`` that arrive at random during ``pickup_loaded``: half of ``AT_ONCE`` are busy on average."""
SETTLES_S: Final = 1.0
STARTED, MARKS, HOLDS = "bench:started", "bench:marks", "bench:holds:"

_redis: list[Redis] = []


Enqueue = Callable[..., Awaitable[None]]


class Program(Protocol):
    """One library's implementation."""

    def work(self, url: str) -> None:
        """Run one worker, ``AT_ONCE`` jobs at a time, until the process ends."""
        ...

    async def open(self, url: str) -> None:
        """Connect, and create whatever must exist before the first job."""
        ...

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        """Enqueue one job and return once Redis has it."""
        ...

    async def enqueue_many(self, count: int) -> None:
        """Enqueue ``count`` no-op jobs as fast as the library can."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Lanes(Program, Protocol):
    """A library with more than one lane."""

    async def enqueue_first(self, kind: str, **arguments: Any) -> None:
        """Enqueue one job in the lane that precedes."""
        ...

    async def enqueue_batch(self, count: int) -> None:
        """Enqueue ``count`` no-op jobs in a lane that others precede."""
        ...


# ---------------------------------------------------------------------------------------------- in the worker


async def note_started(url: str) -> None:
    """Record that the worker is about to take its first job."""
    _redis.append(Redis.from_url(url))
    await note(STARTED, time.monotonic())


async def note_mark(sent_at: float) -> None:
    """Record how long ago the job was sent; called first by each job."""
    await note(MARKS, time.monotonic() - sent_at)


async def take_nap() -> None:
    """Occupy one of the worker's ``AT_ONCE`` slots."""
    await asyncio.sleep(NAP_S)


async def hold(whose: str) -> None:
    """Record when this run began, and never return."""
    await note(HOLDS + whose, time.monotonic())
    await asyncio.Event().wait()


async def note(name: str, value: float) -> None:
    """Append to a list that the driver reads."""
    await _redis[0].rpush(name, value)  # pyright: ignore[reportGeneralTypeIssues]  # typed as sync


# ---------------------------------------------------------------------------------------------- in the producer


async def submit(program: Program, count: int) -> float:
    """Return the seconds to submit ``count`` jobs, one await per job, once connections and scripts are warm."""
    for n in range(min(count, WARM_UP)):
        await program.enqueue("noop", n=n)
    began = time.monotonic()
    for n in range(count):
        await program.enqueue("noop", n=n)
    return time.monotonic() - began


async def submit_many(program: Program, count: int) -> float:
    """Return the seconds to submit ``count`` jobs, as fast as the library can."""
    began = time.monotonic()
    await program.enqueue_many(count)
    return time.monotonic() - began


async def pickup(enqueue: Enqueue, count: int, url: str, *, gap_s: tuple[float, float]) -> list[float]:
    """Return the ms from enqueueing to the job's first line, for each of ``count`` jobs sent one by one."""
    waits: list[float] = []
    async with Redis.from_url(url) as redis:
        for _ in range(count):
            await asyncio.sleep(random.uniform(*gap_s))  # noqa: S311  a pause, not a secret
            await enqueue("mark", sent_at=time.monotonic())
            _, row = await redis.blpop([MARKS], timeout=30)  # pyright: ignore[reportGeneralTypeIssues]  # typed as sync
            waits.append(float(row) * 1000)
    return waits


async def pickup_loaded(program: Program, count: int, url: str, *, gap_s: tuple[float, float]) -> list[float]:
    """Return what ``pickup`` returns, while half of the worker's slots are busy."""

    async def load() -> None:
        while True:
            await asyncio.sleep(random.expovariate(NAPS_PER_S))
            await program.enqueue("nap")

    loading = asyncio.create_task(load())
    try:
        await asyncio.sleep(SETTLES_S)
        return await pickup(program.enqueue, count, url, gap_s=gap_s)
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


async def naps(program: Program, count: int) -> None:
    """Enqueue ``count`` jobs of ``NAP_S``."""
    for _ in range(count):
        await program.enqueue("nap")


async def one_by_one(program: Program, count: int) -> None:
    """Enqueue ``count`` no-op jobs, ``AT_ONCE`` calls at a time: for libraries without a bulk call."""
    left = iter(range(count))

    async def some() -> None:
        for n in left:
            await program.enqueue("noop", n=n)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def produce(program: Program, command: str, url: str, count: int, *, poll_s: float) -> Any:
    """Take one measurement and return it."""
    gap_s = (GAP_S[0], GAP_S[1] + poll_s)
    await program.open(url)
    try:
        match command:
            case "submit":
                return await submit(program, count)
            case "submit_many":
                return await submit_many(program, count)
            case "naps":
                return await naps(program, count)
            case "backlog":
                return await cast("Lanes", program).enqueue_batch(count)
            case "pickup_first":
                return await pickup(cast("Lanes", program).enqueue_first, count, url, gap_s=gap_s)
            case "pickup":
                return await pickup(program.enqueue, count, url, gap_s=gap_s)
            case "pickup_loaded":
                return await pickup_loaded(program, count, url, gap_s=gap_s)
            case _:
                return await program.enqueue("hold", whose=type(program).__name__.lower().strip("_"))
    finally:
        await program.close()


def main(program: Program) -> None:
    """Work, or measure and print the result as JSON."""
    command, url, *rest = sys.argv[1:]
    if command == "work":
        program.work(url)
        return
    count, poll_s = int(rest[0]), float(rest[1])
    print(json.dumps(asyncio.run(produce(program, command, url, count, poll_s=poll_s))))
