"""The producers: batches of scans, conversations, cancellations, all acknowledged durably and recorded in the journal.

A failed call is repeated with the same ids until it succeeds, as a careful producer would: nothing may be written
twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from calls import Calls, NeverReturned
from journal import Journal

from producer.client.client import Client
from producer.contract import JobState, JsonObject
from producer.errors import NotDurable, QueueFull, RedisUnreachable, RedisUnsuitable, WaitTimeout

T = TypeVar("T")

AGAIN_S: Final = 0.3
OUTSTANDING: Final = 20
"""Jobs under way at once: enough to keep every worker busy, few enough to see the end of."""
THREADS: Final = 3
QUESTIONS: Final = ("Which page has the worst barriers?", "What is wrong with it?", "How many images lack a text?")
PASSING: Final = (RedisUnreachable, RedisUnsuitable, QueueFull, NotDurable, WaitTimeout, NeverReturned)
"""Temporary errors, and errors that the auditor reports; any other error fails the run."""
REPLY_S: Final = 30.0
"""Time limit of a call to Redis; a durable one may first ask for Redis's persistence settings."""
WAIT_S: Final = 60.0
ENDS_S: Final = 5.0


class Crowd:
    """Submits until stopped, then waits for every job to end."""

    def __init__(self, client: Client, calls: Calls, journal: Journal, urls: list[str], *, seed: int) -> None:
        self._client = client
        self._calls = calls
        self._journal = journal
        self._urls = urls
        self._dice = random.Random(seed)  # noqa: S311  a plan, not a secret
        self._room = asyncio.Semaphore(OUTSTANDING)
        self.endings: set[asyncio.Task[None]] = set()
        """Each waits for the end of a job."""
        self.errors: list[BaseException] = []
        """Unexpected ones of these waits."""

    async def run(self, *, seconds: float) -> None:
        """Submit for ``seconds``, then finish the calls that have begun."""
        until = _now() + seconds
        async with asyncio.TaskGroup() as producers:
            producers.create_task(self._submit_batches(until))
            for number in range(THREADS):
                producers.create_task(self._converse(f"talk-{number}", until))

    # ------------------------------------------------------------------------------------------ producers

    async def _submit_batches(self, until: float) -> None:
        number = 0
        while _now() < until:
            number += 1
            batch = f"batch-{number}"
            for place in range(self._dice.randint(2, 8)):
                await self._submit_scan(f"{batch}-{place}", batch)
            began = _now()
            await self._surely("seal", lambda batch=batch: self._client.seal_batch(batch), deadline_s=2 * REPLY_S)
            self._journal.note("sealed", batch=batch, began=began, at=_now())

    async def _submit_scan(self, job_id: str, batch: str) -> None:
        payload = {"url": self._dice.choice(self._urls), "assess": self._dice.random() < 0.5}  # noqa: PLR2004  half
        is_cancelled = self._dice.random() < 0.05  # noqa: PLR2004  one in twenty
        await self._room.acquire()
        await self._submit_durably("scan", payload, job_id=job_id, batch=batch)
        self._journal.note("acknowledged", job_id=job_id, kind="scan", batch=batch)
        self._see_to_its_end(job_id)
        if is_cancelled:
            began = _now()
            state = await self._surely("cancel", lambda: self._client.cancel(job_id), deadline_s=2 * REPLY_S)
            is_over = state is JobState.CANCELLED
            self._journal.note("cancelled", job_id=job_id, is_over=is_over, began=began, at=_now())

    async def _converse(self, thread: str, until: float) -> None:
        turn = 0
        while _now() < until:
            turn += 1
            job_id = f"{thread}-{turn}"
            payload = {"question": self._dice.choice(QUESTIONS), "thread_id": thread, "use_cache": False}
            await self._submit_durably("query", payload, job_id=job_id)
            self._journal.note("acknowledged", job_id=job_id, kind="query", batch="", thread=thread)
            await self._wait(job_id)

    # ------------------------------------------------------------------------------------------ steps

    def _see_to_its_end(self, job_id: str) -> None:
        async def see() -> None:
            await self._wait(job_id)
            self._room.release()

        task = asyncio.create_task(see())
        self.endings.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self.endings.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    async def _submit_durably(self, kind: str, payload: JsonObject, *, job_id: str, batch: str | None = None) -> None:
        submit = partial(self._client.submit, kind, payload, job_id=job_id, batch=batch, durable=True)
        await self._surely("durable submit", submit, deadline_s=2 * REPLY_S)

    async def _wait(self, job_id: str) -> None:
        wait = partial(self._client.wait, job_id, timeout_s=WAIT_S)
        await self._surely("wait", wait, deadline_s=WAIT_S + ENDS_S)

    async def _surely(self, what: str, act: Callable[[], Awaitable[T]], *, deadline_s: float) -> T:
        while True:
            try:
                return await self._calls.made("crowd", what, act, deadline_s=deadline_s)
            except PASSING:
                await asyncio.sleep(AGAIN_S)


def _now() -> float:
    return time.monotonic()
