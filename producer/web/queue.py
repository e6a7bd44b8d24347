"""The queue: lanes, workers, model slots, rates, dead letters, schedules."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from producer.redis.connection import redis_errors
from producer.stored.dead_letters import DeadLetter, DeadLetters
from producer.stored.schedules import Schedules
from producer.views.board import newest_batches, read_board
from producer.web.desk import Desk, Elsewhere, Shown

LETTERS: Final = 25
BATCHES: Final = 20


async def queue(desk: Desk, request: Request) -> Shown:
    """Show waiting and running jobs."""
    del request
    board = await read_board(desk.client)
    letters: list[DeadLetter] = []
    async for letter in DeadLetters(desk.client).newest_first():
        letters.append(letter)
        if len(letters) >= LETTERS:
            break
    with redis_errors(desk.client.settings, None):
        recent = await newest_batches(desk.client, limit=BATCHES)
    working = {one.batch_id for one in board.batches}
    schedules = Schedules(desk.client)
    facts = {
        "board": board,
        "letters": letters,
        "batches": [*board.batches, *(one for one in recent if one.batch_id not in working)],
        "schedules": await schedules.all(),
        "last_runs": await schedules.last_runs(),
        "controls": board.queue.controls,
    }
    return Shown("queue.html.jinja", "Queue", facts, ("board", "letters", "batches", "schedules"))


async def replay(desk: Desk, request: Request) -> Elsewhere:
    """Queue a dead letter's job again."""
    letters = DeadLetters(desk.client)
    await letters.replay(await letters.find(str(request.path_params["entry"])))
    return Elsewhere("/queue", {"done": "replayed"})


async def drop(desk: Desk, request: Request) -> Elsewhere:
    """Remove a dead letter."""
    letters = DeadLetters(desk.client)
    await letters.drop(await letters.find(str(request.path_params["entry"])))
    return Elsewhere("/queue", {"done": "dropped"})
