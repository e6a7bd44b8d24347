"""Clients during the faults: they submit (not durably), query, wait, watch and cancel, in each form of client.

Unlike the crowd, they do not repeat a failed call. If it may have taken effect, its job's id is followed up; if it was
refused, it must have had no effect, and its id is not reused.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from calls import Calls, NeverReturned
from clients import Form
from journal import Journal

from producer.contract import JobState
from producer.errors import (
    InvalidJob,
    QueueFull,
    RedisUnreachable,
    RedisUnsuitable,
    Unconfirmed,
    UnknownJob,
    WaitTimeout,
)

T = TypeVar("T")

REPLY_S: Final = 30.0
"""Time limit of a call to Redis (producer/redis/raw_connection.py); cancelling looks first, then cancels."""
WAIT_S: Final = 15.0
ENDS_S: Final = 5.0
"""Extra time of a wait while Redis does not reply (producer/client/event_stream.py)."""
WATCH_S: Final = 4.0
PAUSE_S: Final = 0.5
PASSING: Final = (RedisUnreachable, RedisUnsuitable, QueueFull)
SHARES: Final = {"wait": 5, "watch": 2, "look": 2, "cancel": 2}


class Caller:
    """One client in one form."""

    def __init__(self, form: Form, calls: Calls, journal: Journal, urls: list[str], *, seed: int) -> None:
        self._form = form
        self._calls = calls
        self._journal = journal
        self._urls = urls
        self._dice = random.Random(f"{seed} {form.name}")  # noqa: S311  a plan, not a secret

    async def run(self, *, seconds: float) -> None:
        """Make calls for ``seconds``, then finish those that have begun."""
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            job_id = f"{self._form.name}-{number}"
            if await self._submit(job_id):
                await self._follow(job_id)
            await asyncio.sleep(PAUSE_S)

    async def _submit(self, job_id: str) -> bool:
        """Return whether the job is acknowledged, or found after a call in doubt."""
        url, began = self._dice.choice(self._urls), time.monotonic()
        is_doubtful = False
        while True:
            try:
                await self._made("submit", partial(self._form.submit, job_id, url), deadline_s=REPLY_S)
            except (Unconfirmed, NeverReturned):
                self._journal.note("doubted", job_id=job_id)
                is_doubtful = True
            except PASSING as error:
                if not is_doubtful:
                    self._journal.note("refused", job_id=job_id, why=type(error).__name__)
                    return False
            except InvalidJob:  # the command line refuses an id that there is
                if not is_doubtful:
                    raise
                break
            else:
                break
            if is_doubtful and await self._is_there(job_id):
                break
            await asyncio.sleep(PAUSE_S)
        self._note("acknowledged", began, job_id=job_id, kind="scan", batch="")
        return True

    async def _is_there(self, job_id: str) -> bool:
        try:
            await self._made("look", partial(self._form.look, job_id), deadline_s=REPLY_S)
        except (UnknownJob, NeverReturned, *PASSING):
            return False
        return True

    async def _follow(self, job_id: str) -> None:
        """Make one more call about the job, and record whether it ended."""
        form, began = self._form, time.monotonic()
        what = self._dice.choices(list(SHARES), list(SHARES.values()))[0]
        try:
            if what == "cancel":
                state = await self._made(what, partial(form.cancel, job_id), deadline_s=2 * REPLY_S)
                self._note("cancelled", began, job_id=job_id, is_over=state is JobState.CANCELLED)
            elif what == "wait":
                await self._made(what, partial(form.wait, job_id, timeout_s=WAIT_S), deadline_s=WAIT_S + ENDS_S)
            elif what == "watch":
                await self._made(what, partial(form.watch, job_id, seconds=WATCH_S), deadline_s=WATCH_S + ENDS_S)
            else:
                await self._made(what, partial(form.look, job_id), deadline_s=REPLY_S)
        except UnknownJob:
            self._journal.note("denied", job_id=job_id)
        except (WaitTimeout, NeverReturned, *PASSING):
            pass

    async def _made(self, what: str, act: Callable[[], Awaitable[T]], *, deadline_s: float) -> T:
        form = self._form
        return await self._calls.made(form.name, what, act, deadline_s=deadline_s, grace_s=form.grace_s)

    def _note(self, what: str, began: float, **facts: object) -> None:
        self._journal.note(what, began=began, at=time.monotonic(), **facts)
