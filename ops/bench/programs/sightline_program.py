"""Runs Sightline: ``StreamWorker`` and ``Client`` as anyone would use them."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from measure import AT_ONCE, hold, main, note_mark, note_started, take_nap

from producer.client.client import Client
from producer.settings import ClientSettings
from worker.cli.processes import keep_processes
from worker.queue.arq_pool import StreamPool
from worker.queue.worker import StreamWorker, func
from worker.telemetry import configure_logging

ENVIRONMENT = "bench"


async def _noop(ctx: dict[Any, Any], n: int) -> int:
    del ctx
    return n


async def _mark(ctx: dict[Any, Any], sent_at: float) -> None:
    del ctx
    await note_mark(sent_at)


async def _nap(ctx: dict[Any, Any]) -> None:
    del ctx
    await take_nap()


async def _held(ctx: dict[Any, Any], whose: str) -> None:
    del ctx
    await hold(whose)


FUNCTIONS: dict[str, Any] = {"noop": _noop, "mark": _mark, "nap": _nap, "hold": _held}


class _Sightline:
    def work(self, url: str) -> None:
        async def started(ctx: dict[Any, Any]) -> None:
            del ctx
            await note_started(url)

        configure_logging(level="warning", form="json")
        StreamWorker(
            [func(function, name=kind) for kind, function in FUNCTIONS.items()],
            environment=ENVIRONMENT,
            redis_pool=StreamPool.from_url(url),
            max_jobs=AT_ONCE,
            on_startup=started,
        ).run()

    async def open(self, url: str) -> None:
        self.client = Client(ClientSettings(redis_url=url, environment=ENVIRONMENT))

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        await self.client.submit(kind, arguments)

    async def enqueue_many(self, count: int) -> None:
        async for _ in self.client.submit_many("noop", ({"n": n} for n in range(count))):
            pass

    async def enqueue_first(self, kind: str, **arguments: Any) -> None:
        await self.client.submit(kind, arguments, lane="interactive")

    async def enqueue_batch(self, count: int) -> None:
        async for _ in self.client.submit_many("noop", ({"n": n} for n in range(count)), lane="batch"):
            pass

    async def close(self) -> None:
        await self.client.close()


def work_cores(url: str, count: int) -> int:
    """Run a worker process per core, as ``sightline worker --processes`` does."""
    return keep_processes(partial(work_one, url), count)


def work_one(url: str, number: int) -> int:
    """Run one of them."""
    del number
    _Sightline().work(url)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "work_cores":
        sys.exit(work_cores(sys.argv[2], int(sys.argv[3])))
    main(_Sightline())
