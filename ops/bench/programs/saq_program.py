"""Runs SAQ in a separate environment, with its defaults except for concurrent jobs and tries."""
# pyright: reportMissingImports=false
# SAQ is not among the project's dependencies.

from __future__ import annotations

import asyncio
from typing import Any

from measure import AT_ONCE, hold, main, note_mark, note_started, one_by_one, take_nap
from saq import Queue, Worker


async def _noop(_: dict[str, Any], *, n: int) -> int:
    return n


async def _mark(_: dict[str, Any], *, sent_at: float) -> None:
    await note_mark(sent_at)


async def _nap(_: dict[str, Any]) -> None:
    await take_nap()


async def _held(_: dict[str, Any], *, whose: str) -> None:
    await hold(whose)


class _Saq:
    def work(self, url: str) -> None:
        async def started(_: dict[str, Any]) -> None:
            await note_started(url)

        async def run() -> None:
            queue = Queue.from_url(url)
            await queue.connect()
            functions = [("noop", _noop), ("mark", _mark), ("nap", _nap), ("hold", _held)]
            await Worker(queue, functions, concurrency=AT_ONCE, startup=started).start()

        asyncio.run(run())

    async def open(self, url: str) -> None:
        self.queue = Queue.from_url(url)
        await self.queue.connect()

    async def enqueue(self, kind: str, **arguments: Any) -> None:
        # By default SAQ tries a job only once, so a job whose worker died would never run again.
        await self.queue.enqueue(kind, **arguments, retries=3)

    async def enqueue_many(self, count: int) -> None:
        await one_by_one(self, count)

    async def close(self) -> None:
        await self.queue.disconnect()


if __name__ == "__main__":
    main(_Saq())
