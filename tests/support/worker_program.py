"""A worker process for crash tests: ``python -m tests.support.worker_program URL ENVIRONMENT [option=value …]``.

Options: ``die=<point>`` (SIGKILLs itself there, once per process), ``lease=<s>``, ``max_jobs=<n>``, ``grace=<s>``,
``heartbeat=<s>`` between two, ``block=<s>`` of a blocking read. Every run of a job is recorded in the list
``<prefix>runs`` as ``<job id> <pid>``, so that a test can count them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from arq.worker import func

from producer.contract import FunctionResult
from producer.keys import Keys
from worker.queue import lane_reader, upkeep
from worker.queue.arq_pool import StreamPool
from worker.queue.executor import Executor
from worker.queue.outcome import Commit, CounterWrite, HashWrite
from worker.queue.stream import JobStream
from worker.queue.worker import StreamWorker
from worker.telemetry import configure_logging


def die() -> None:
    """SIGKILL this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(owner: type, method: str, *, when: Callable[[Any], Any] = bool) -> None:
    """End this process after ``owner.method``, once ``when`` is true of its result."""
    original = getattr(owner, method)

    async def last(self: object, *args: Any, **kwargs: Any) -> Any:
        answer = await original(self, *args, **kwargs)
        if when(answer):
            die()
        return answer

    setattr(owner, method, last)


def die_before(owner: type, method: str) -> None:
    """End this process before ``owner.method`` begins."""

    def never(*_: object, **__: object) -> None:
        die()

    setattr(owner, method, never)


DEATHS = {
    "in-claim": lambda: die_after(JobStream, "claim"),
    "in-reclaim": lambda: die_after(JobStream, "reclaim", when=itemgetter(1)),
    "in-blocking-read": lambda: die_before(lane_reader.LaneReader, "_decoded"),
    "before-start": lambda: die_before(JobStream, "start"),
    "after-start": lambda: die_before(Executor, "_carry"),
    "in-run": lambda: die_before(Running, "go_on"),
    "before-commit": lambda: die_before(Executor, "_commit"),
    "after-commit": lambda: die_after(JobStream, "finish"),
}


class Running:
    """A running job; a class, so that the option ``die`` can name a point in it."""

    async def go_on(self) -> None:
        """Continue; a point for ``die``."""


async def quick(ctx: dict[Any, Any], n: int = 0) -> Commit:
    await note(ctx)
    await Running().go_on()
    return recorded(ctx, n)


async def held(ctx: dict[Any, Any]) -> Commit:
    """Runs until ``<prefix>release`` is set."""
    await note(ctx)
    while not await ctx["redis"].exists(f"{ctx['prefix']}release"):  # noqa: ASYNC110  a key has no event to await
        await asyncio.sleep(0.02)
    return recorded(ctx, f"done by {os.getpid()}")


def recorded(ctx: dict[Any, Any], value: Any) -> Commit:
    """Return a result with a history document that names its writer; count such writes."""
    keys: Keys = ctx["keys"]
    by = HashWrite(keys.scan(ctx["job_id"]), {"by": os.getpid()})
    return Commit(FunctionResult(value=value), writes=(by, CounterWrite(keys.site("history"), {"writes": 1})))


async def held_by_file(ctx: dict[Any, Any], path: str) -> str:
    """Runs until the file exists, without using Redis."""
    await note(ctx)
    while not Path(path).exists():  # noqa: ASYNC110, ASYNC240  a file has no event to await
        await asyncio.sleep(0.02)
    return f"done by {os.getpid()}"


async def held_then_writes(ctx: dict[Any, Any], path: str) -> str:
    """Like ``held_by_file``, but writes to Redis at the end."""
    await held_by_file(ctx, path)
    await ctx["redis"].rpush(f"{ctx['prefix']}written", str(ctx["job_id"]))
    return f"written by {os.getpid()}"


async def busy(ctx: dict[Any, Any], path: str) -> str:
    """Blocks the event loop until the file exists, as a slow regular expression would."""
    await note(ctx)
    while not Path(path).exists():  # noqa: ASYNC240  blocking is the point
        looked_at = time.monotonic()
        while time.monotonic() < looked_at + 0.1:
            pass
    return "done"


async def slow(ctx: dict[Any, Any]) -> str:
    """Takes as long as a slow page."""
    await note(ctx)
    await asyncio.sleep(3)
    return "done"


async def noop(ctx: dict[Any, Any]) -> None:
    """Ends at once and records nothing."""


async def suicide(ctx: dict[Any, Any]) -> None:
    await note(ctx)
    die()


async def note(ctx: dict[Any, Any]) -> None:
    await ctx["redis"].rpush(f"{ctx['prefix']}runs", f"{ctx['job_id']} {os.getpid()}")


def main(url: str, environment: str, *pairs: str) -> None:
    options = dict(pair.split("=", 1) for pair in pairs)
    configure_logging(level="info", form="console")
    if "heartbeat" in options:
        setattr(upkeep, "HEARTBEAT_EVERY_S", float(options["heartbeat"]))  # noqa: B010  Final, but for tests
    if "block" in options:
        setattr(lane_reader, "BLOCK_MS", int(options["block"]) * 1000)  # noqa: B010  Final, but for tests
    if options.get("die"):
        DEATHS[options["die"]]()
    worker = StreamWorker(
        [func(f, max_tries=3) for f in (quick, held, held_by_file, held_then_writes, busy, slow, noop, suicide)],
        environment=environment,
        lease_s=float(options.get("lease", "1.5")),
        max_jobs=int(options.get("max_jobs", "4")),
        job_completion_wait=int(options.get("grace", "0")),
        redis_pool=StreamPool.from_url(url),
        ctx={"prefix": Keys(environment).prefix, "keys": Keys(environment)},
        poll_delay=0.1,
    )
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
