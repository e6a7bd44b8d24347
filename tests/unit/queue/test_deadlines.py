from __future__ import annotations

import asyncio

from worker.queue.deadlines import Deadlines

DEADLINE_S = 10


async def test_runs_are_stopped_when_they_are_due_whatever_their_length():
    stopped: list[object] = []
    all_due = asyncio.Event()

    def stop(run: object) -> None:
        stopped.append(run)
        if len(stopped) == 4:
            all_due.set()

    deadlines = Deadlines(stop)
    deadlines.begin("long", 0.09)
    deadlines.begin("short", 0.03)
    deadlines.begin("also short", 0.03)
    deadlines.begin("shortest", 0.001)

    async with asyncio.timeout(DEADLINE_S):
        await all_due.wait()

    assert stopped == ["shortest", "short", "also short", "long"]


async def test_a_run_that_ended_in_time_is_left_alone_and_the_next_one_is_not():
    due = asyncio.Event()
    stopped: list[object] = []

    def stop(run: object) -> None:
        stopped.append(run)
        due.set()

    deadlines = Deadlines(stop)

    deadlines.begin("ended", 0.01)
    deadlines.end("ended", 0.01)
    deadlines.end("ended", 0.01)
    deadlines.begin("late", 0.01)
    async with asyncio.timeout(DEADLINE_S):
        await due.wait()
    due.clear()
    deadlines.begin("later", 0.01)
    async with asyncio.timeout(DEADLINE_S):
        await due.wait()

    assert stopped == ["late", "later"]
    assert deadlines._waiting == {}
