"""The producers: batches of scans, conversations, cancellations, all acknowledged durably and noted in the journal.

A call that failed is made again with the same ids until it is answered, as any careful producer would: what the first
try wrote must not be written twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from journal import Journal

from producer.client.client import Client
from producer.contract import JobState
from producer.errors import NotDurable, QueueFull, RedisUnreachable, RedisUnsuitable, WaitTimeout

T = TypeVar("T")

AGAIN_S: Final = 0.3
OUTSTANDING: Final = 20
"""Jobs under way at once: enough to keep every worker busy, few enough to see the end of."""
THREADS: Final = 3
QUESTIONS: Final = ("Which page has the worst barriers?", "What is wrong with it?", "How many images lack a text?")
PASSING: Final = (RedisUnreachable, RedisUnsuitable, QueueFull, NotDurable, WaitTimeout)
"""Errors of a moment; any other ends the run, and the run is a failure."""


class Crowd:
    """Submits until told to stop, then sees every job to its end."""

    def __init__(self, client: Client, journal: Journal, urls: list[str], *, seed: int) -> None:
        self._client = client
        self._journal = journal
        self._urls = urls
        self._dice = random.Random(seed)  # noqa: S311  a plan, not a secret
        self._room = asyncio.Semaphore(OUTSTANDING)
        self._endings: set[asyncio.Task[None]] = set()
        self.tries_again = 0

    async def run(self, *, seconds: float) -> None:
        """Submit for ``seconds``; what is begun then is finished."""
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as producers:
            producers.create_task(self._submit_batches(until))
            for number in range(THREADS):
                producers.create_task(self._converse(f"talk-{number}", until))

    async def all_ended(self) -> None:
        """Return when every job submitted has ended."""
        while self._endings:
            await asyncio.gather(*self._endings)

    # ------------------------------------------------------------------------------------------ producers

    async def _submit_batches(self, until: float) -> None:
        number = 0
        while _now() < until:
            number += 1
            batch = f"batch-{number}"
            for place in range(self._dice.randint(2, 8)):
                await self._submit_scan(f"{batch}-{place}", batch)
            await self._surely(lambda batch=batch: self._client.seal_batch(batch))
            self._journal.note("sealed", batch=batch)

    async def _submit_scan(self, job_id: str, batch: str) -> None:
        payload = {"url": self._dice.choice(self._urls), "assess": self._dice.random() < 0.5}  # noqa: PLR2004  half
        is_cancelled = self._dice.random() < 0.05  # noqa: PLR2004  one in twenty
        await self._room.acquire()
        await self._surely(
            lambda: self._client.submit("scan", payload, job_id=job_id, batch=batch, durable=True),
        )
        self._journal.note("acknowledged", job_id=job_id, kind="scan", batch=batch)
        self._see_to_its_end(job_id)
        if is_cancelled:
            state = await self._surely(lambda: self._client.cancel(job_id))
            self._journal.note("cancelled", job_id=job_id, is_over=state is JobState.CANCELLED)

    async def _converse(self, thread: str, until: float) -> None:
        turn = 0
        while _now() < until:
            turn += 1
            job_id = f"{thread}-{turn}"
            payload = {"question": self._dice.choice(QUESTIONS), "thread_id": thread, "use_cache": False}
            await self._surely(lambda j=job_id, p=payload: self._client.submit("query", p, job_id=j, durable=True))
            self._journal.note("acknowledged", job_id=job_id, kind="query", batch="", thread=thread)
            await self._surely(lambda j=job_id: self._client.wait(j, timeout_s=60))

    # ------------------------------------------------------------------------------------------ steps

    def _see_to_its_end(self, job_id: str) -> None:
        async def see() -> None:
            await self._surely(lambda: self._client.wait(job_id, timeout_s=60))
            self._room.release()

        task = asyncio.create_task(see())
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _surely(self, act: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await act()
            except PASSING:
                self.tries_again += 1
                await asyncio.sleep(AGAIN_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
