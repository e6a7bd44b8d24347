"""Records every call of a client in the journal, before it is made and when it has ended, to find late or hung ones.

A call that has not ended a minute after its deadline is abandoned, so that the run can end and report it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from journal import Journal

from producer.errors import SightlineError

T = TypeVar("T")

GRACE_S: Final = 10.0
"""For a loaded machine: the harness, its proxies, the workers and their browsers share two cores with whatever else
runs there, and a call that ends in its time may be noted so much later."""
CLI_GRACE_S: Final = 20.0
"""The same for a program, which must start and end too."""
GIVEN_UP_S: Final = 60.0
NEVER: Final = "never returned"
DONE: Final = "done"


class NeverReturned(Exception):
    """A call was abandoned: an error in the called program."""


@dataclass
class CallFigures:
    """Figures about one kind of call."""

    deadline_s: float
    outcomes: Counter[str] = field(default_factory=Counter[str])
    longest_s: float = 0.0


class Calls:
    """Makes calls for clients and records them from ``begin`` to ``end``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers = itertools.count(1)

    async def made(
        self, client: str, what: str, act: Callable[[], Awaitable[T]], *, deadline_s: float, grace_s: float = GRACE_S
    ) -> T:
        """Return what ``act`` returns, or raise what it raises; raises ``NeverReturned``."""
        number = next(self._numbers)
        self._journal.note(
            "called", call=number, client=client, kind=what, deadline_s=deadline_s, limit_s=deadline_s + grace_s
        )
        began, outcome = time.monotonic(), NEVER
        try:
            async with asyncio.timeout(deadline_s + grace_s + GIVEN_UP_S):
                result = await act()
            outcome = DONE
        except SightlineError as error:
            outcome = type(error).__name__
            raise
        except TimeoutError:
            raise NeverReturned(f"{client}: {what}") from None
        else:
            return result
        finally:
            self._journal.note("returned", call=number, took_s=time.monotonic() - began, outcome=outcome)


def late_calls(journal: Journal) -> list[str]:
    """Return each call that ended after its deadline and grace, or never."""
    returned = {fact["call"]: fact for fact in journal.facts("returned")}
    wrong: list[str] = []
    for call in journal.facts("called"):
        end = returned.get(call["call"])
        name = f"call {call['call']}, {call['client']} {call['kind']}"
        if end is None or end["outcome"] == NEVER:
            wrong.append(f"{name}: never returned")
        elif end["took_s"] > call["limit_s"]:
            wrong.append(f"{name}: {end['took_s']:.1f} s for {call['deadline_s']:.0f} s ({end['outcome']})")
    return wrong


def call_figures(journal: Journal) -> dict[tuple[str, str], CallFigures]:
    """Return the figures of each client's kinds of call."""
    called = {fact["call"]: fact for fact in journal.facts("called")}
    figures: dict[tuple[str, str], CallFigures] = {}
    for end in journal.facts("returned"):
        call = called[end["call"]]
        key = (call["client"], call["kind"])
        seen = figures.setdefault(key, CallFigures(call["deadline_s"]))
        seen.outcomes[end["outcome"]] += 1
        seen.longest_s = max(seen.longest_s, end["took_s"])
    return figures
