"""What the keyboard check presses and whom it believes, without a browser."""

from __future__ import annotations

from typing import Any, cast

import pytest

from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.live import keyboard
from worker.scan.live.check import Hand, Outcome
from worker.scan.live.listeners import types_of
from worker.scan.live.traps import keys_of
from worker.scan.live.walk import Path, Stop


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        (["esc", "escape"], ["Escape"]),
        (["ctrl+m", "strg+m"], ["Control+M"]),
        (["ctrl+" * 10_000 + "m"], ["Control+M"]),
        (["\u017fhift+a", "f6"], ["F6"]),
    ],
)
def test_advice_is_read_as_keys_with_each_modifier_once(said: list[str], keys: list[str]) -> None:
    assert keys_of(said) == keys


class Busy:
    """A page that answers no call, or refuses it."""

    session_id = "busy"

    def __init__(self, error: Exception) -> None:
        self.session = self.page = self
        self.worlds = [self]
        self.context = 1
        self.error = error

    def left_s(self) -> float:
        return 0.1

    async def evaluate(self, *_: Any, **__: Any) -> str:
        raise self.error


async def test_a_page_that_is_too_busy_to_answer_is_not_said_to_listen_to_nothing() -> None:
    gone = await types_of(cast("Hand", Busy(CallFailed("gone"))), "document")
    with pytest.raises(CallTimedOut):
        await types_of(cast("Hand", Busy(CallTimedOut("busy"))), "document")

    assert gone == set()


async def test_a_stop_whose_keys_there_was_no_time_to_look_for_is_named() -> None:
    stop = Stop((0,), (1,), {"name": "Dead", "isNative": False, "isAsked": True}, (0, 0, 9, 9))
    outcome = Outcome()

    await keyboard._find_unpressable(cast("Hand", Busy(CallTimedOut("busy"))), Path([stop]), outcome)

    assert outcome.left_out == "time ran out before 'Dead' was checked for keys"
