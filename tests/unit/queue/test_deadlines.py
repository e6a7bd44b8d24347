from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from worker.queue.run import Deadlines, Run, StopReason

DEADLINE_S = 60


class Named(Run):
    """A run that says when it is stopped."""

    def __init__(self, name: str, timeout_s: float, on_stop: Callable[[str], None]) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, (), {}, timeout_s)
        self.name, self.on_stop = name, on_stop

    def stop(self, reason: StopReason) -> None:
        assert reason is StopReason.TIMEOUT
        self.on_stop(self.name)


async def test_runs_are_stopped_when_they_are_due_whatever_their_length(monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    stopped: list[str] = []
    all_due = asyncio.Event()

    def stop(run: str) -> None:
        stopped.append(run)
        if len(stopped) == 4:
            all_due.set()

    deadlines = Deadlines()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", partial(float, loop.time()))  # all begin at once, on a busy machine too
        deadlines.begin(Named("long", 0.09, stop))
        deadlines.begin(Named("short", 0.03, stop))
        deadlines.begin(Named("also short", 0.03, stop))
        deadlines.begin(Named("shortest", 0.001, stop))

    async with asyncio.timeout(DEADLINE_S):
        await all_due.wait()

    assert stopped == ["shortest", "short", "also short", "long"]


async def test_a_run_that_ended_in_time_is_left_alone_and_the_next_one_is_not():
    due = asyncio.Event()
    stopped: list[str] = []

    def stop(run: str) -> None:
        stopped.append(run)
        due.set()

    deadlines = Deadlines()

    ended = Named("ended", 0.01, stop)
    deadlines.begin(ended)
    deadlines.end(ended)
    deadlines.end(ended)
    deadlines.begin(Named("late", 0.01, stop))
    async with asyncio.timeout(DEADLINE_S):
        await due.wait()
    due.clear()
    deadlines.begin(Named("later", 0.01, stop))
    async with asyncio.timeout(DEADLINE_S):
        await due.wait()

    assert stopped == ["late", "later"]
    assert deadlines._waiting == {}
