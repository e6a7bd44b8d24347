"""Runs a program written for arq on Sightline, with two lines changed; no result is kept."""

from __future__ import annotations

from typing import Any

from arq.connections import RedisSettings
from arq.worker import func
from measure import AT_ONCE, main, note_started, one_by_one

from worker.queue.arq_pool import create_pool
from worker.queue.arq_worker import ArqWorker

ENVIRONMENT = "bench"


async def _noop(ctx: dict[Any, Any], n: int) -> int:
    del ctx
    return n


class _Switched:
    def work(self, url: str) -> None:
        async def started(ctx: dict[Any, Any]) -> None:
            del ctx
            await note_started(url)

        ArqWorker(
            [func(_noop, name="noop")],
            environment=ENVIRONMENT,
            redis_settings=RedisSettings.from_dsn(url),
            max_jobs=AT_ONCE,
            keep_result=0,
            on_startup=started,
        ).run()

    async def open(self, url: str) -> None:
        self.pool = await create_pool(RedisSettings.from_dsn(url), environment=ENVIRONMENT)

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        await self.pool.enqueue_job(kind, **arguments)

    async def enqueue_many(self, count: int) -> None:
        await one_by_one(self, count)

    async def close(self) -> None:
        await self.pool.aclose()


if __name__ == "__main__":
    main(_Switched())
