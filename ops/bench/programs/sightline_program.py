"""Runs Sightline: ``StreamWorker`` and ``Client`` as anyone would use them."""

from __future__ import annotations

from typing import Any

from measure import AT_ONCE, hold, main, note_mark, note_started

from producer.client.client import Client
from producer.settings import ClientSettings
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


async def _held(ctx: dict[Any, Any], whose: str) -> None:
    del ctx
    await hold(whose)


class _Sightline:
    def work(self, url: str) -> None:
        async def started(ctx: dict[Any, Any]) -> None:
            del ctx
            await note_started(url)

        configure_logging(level="warning", form="json")
        StreamWorker(
            [func(_noop, name="noop"), func(_mark, name="mark"), func(_held, name="hold")],
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

    async def close(self) -> None:
        await self.client.close()


if __name__ == "__main__":
    main(_Sightline())
