"""Runs arq in a separate environment, with its defaults except for the number of concurrent jobs."""

from __future__ import annotations

from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, func
from measure import AT_ONCE, hold, main, note_mark, note_started, one_by_one, take_nap


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


class _Arq:
    def work(self, url: str) -> None:
        async def started(ctx: dict[Any, Any]) -> None:
            del ctx
            await note_started(url)

        functions = [func(_noop, name="noop"), func(_mark, name="mark"), func(_nap, name="nap")]
        functions.append(func(_held, name="hold"))
        settings = RedisSettings.from_dsn(url)
        Worker(functions, redis_settings=settings, max_jobs=AT_ONCE, on_startup=started).run()

    async def open(self, url: str) -> None:
        self.pool = await create_pool(RedisSettings.from_dsn(url))

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        await self.pool.enqueue_job(kind, **arguments)

    async def enqueue_many(self, count: int) -> None:
        await one_by_one(self, count)

    async def close(self) -> None:
        await self.pool.aclose()


if __name__ == "__main__":
    main(_Arq())
