"""Runs streaQ in a separate environment, with its defaults except for the number of concurrent jobs."""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# streaQ is not among the project's dependencies.

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from measure import AT_ONCE, hold, main, note_mark, note_started, take_nap
from streaq import Worker

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1")


@asynccontextmanager
async def _lifespan() -> AsyncGenerator[None]:
    await note_started(URL)
    yield


worker = Worker(redis_url=URL, concurrency=AT_ONCE, lifespan=_lifespan)


@worker.task(name="noop")
async def _noop(n: int) -> int:
    return n


@worker.task(name="mark")
async def _mark(sent_at: float) -> None:
    await note_mark(sent_at)


@worker.task(name="nap")
async def _nap() -> None:
    await take_nap()


@worker.task(name="hold")
async def _held(whose: str) -> None:
    await hold(whose)


TASKS: dict[str, Any] = {"noop": _noop, "mark": _mark, "nap": _nap, "hold": _held}


class _Streaq:
    def work(self, url: str) -> None:
        del url
        worker.run_sync()

    async def open(self, url: str) -> None:
        del url
        await worker.__aenter__()

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        await TASKS[kind].enqueue(**arguments)

    async def enqueue_many(self, count: int) -> None:
        for start in range(0, count, 1_000):
            jobs = [TASKS["noop"].enqueue(n) for n in range(start, min(start + 1_000, count))]
            await worker.enqueue_many(jobs)

    async def close(self) -> None:
        await worker.__aexit__(None, None, None)


if __name__ == "__main__":
    main(_Streaq())
