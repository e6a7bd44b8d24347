"""The measurements shared by all contenders' programs: ``python X_program.py COMMAND URL [COUNT]``.

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
from typing import Any, Final, Protocol

from redis.asyncio import Redis

AT_ONCE: Final = 32
"""Jobs one worker runs at a time."""
WARM_UP: Final = 100
"""Jobs before those of ``submit``: one library connects when it is opened, another with its first job."""
GAP_S: Final = (0.01, 0.02)
SLOW_GAP_S: Final = (0.01, 0.51)
"""Random pause before each job of ``pickup``, so that the worker is idle; longer for a library that polls every half
second, so that jobs arrive at any point of its interval."""
STARTED, MARKS, HOLDS = "bench:started", "bench:marks", "bench:holds:"

_redis: list[Redis] = []


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


# ---------------------------------------------------------------------------------------------- in the worker


async def note_started(url: str) -> None:
    """Record that the worker is about to take its first job."""
    _redis.append(Redis.from_url(url))
    await note(STARTED, time.monotonic())


async def note_mark(sent_at: float) -> None:
    """Record how long ago the job was sent; called first by each job."""
    await note(MARKS, time.monotonic() - sent_at)


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


async def pickup(program: Program, count: int, url: str, *, gap_s: tuple[float, float]) -> list[float]:
    """Return the ms from enqueueing to the job's first line, for each of ``count`` jobs sent to an idle worker."""
    waits: list[float] = []
    async with Redis.from_url(url) as redis:
        for _ in range(count):
            await asyncio.sleep(random.uniform(*gap_s))  # noqa: S311  a pause, not a secret
            await program.enqueue("mark", sent_at=time.monotonic())
            _, row = await redis.blpop([MARKS], timeout=30)  # pyright: ignore[reportGeneralTypeIssues]  # typed as sync
            waits.append(float(row) * 1000)
    return waits


async def one_by_one(program: Program, count: int) -> None:
    """Enqueue ``count`` no-op jobs, ``AT_ONCE`` calls at a time: for libraries without a bulk call."""
    left = iter(range(count))

    async def some() -> None:
        for n in left:
            await program.enqueue("noop", n=n)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def produce(program: Program, command: str, url: str, count: int) -> Any:
    """Take one measurement and return it."""
    await program.open(url)
    try:
        match command:
            case "submit":
                return await submit(program, count)
            case "submit_many":
                return await submit_many(program, count)
            case "pickup":
                return await pickup(program, count, url, gap_s=GAP_S)
            case "pickup_slowly":
                return await pickup(program, count, url, gap_s=SLOW_GAP_S)
            case _:
                return await program.enqueue("hold", whose=type(program).__name__.lower().strip("_"))
    finally:
        await program.close()


def main(program: Program) -> None:
    """Work, or measure and print the result as JSON."""
    command, url, *rest = sys.argv[1:]
    if command == "work":
        program.work(url)
    else:
        print(json.dumps(asyncio.run(produce(program, command, url, int(rest[0]) if rest else 1))))
