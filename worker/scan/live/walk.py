"""Walks through the page with real presses of Tab and reports how the walk ended.

A stop is an element that has the focus, in whichever frame or shadow tree. The walk is over when the focus leaves the
page, when it only repeats stops (a trap, or a dialog: ``traps.py`` finds out), or at its limits. It records the path,
which ``keyboard.py`` judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject
from worker.scan.journey.keys import key_events
from worker.scan.live.check import Box, Hand

MAX_STOPS: Final = 150
MAX_PARTS: Final = 40
"""Presses within one element whose inner stops no script sees: a player's controls, the parts of a date."""
_NO_STOP: Final = 2
"""Presses without a focus after which Tab counts as intercepted."""
TAB: Final = "Tab"
BACK: Final = "Shift+Tab"

Key = tuple[tuple[int, ...], tuple[int, ...]]
"""Frames and numbers of an element."""
Nowhere = Literal["out", "none"]
"""The browser's own part, or no element of the page."""
End = Literal["left", "repeats", "limit", "time", "nothing"]


@dataclass(frozen=True, slots=True)
class Stop:
    """One Tab stop: its position, and the page's data about it there."""

    place: tuple[int, ...]
    numbers: tuple[int, ...]
    facts: JsonObject
    box: Box

    @property
    def key(self) -> Key:
        """Its identity."""
        return self.place, self.numbers

    @property
    def name(self) -> str:
        """Its accessible name."""
        return str(self.facts["name"])


@dataclass(frozen=True, slots=True)
class Dropped:
    """An element of the top document that lost the focus as soon as it received it."""

    number: int
    name: str
    is_asked: bool


@dataclass(slots=True)
class Path:
    """The stops, and how the walk ended.

    ``cycle`` are the keys of the stops that it repeats, ``dropped`` the elements that lost the focus at once.
    """

    stops: list[Stop] = field(default_factory=list[Stop])
    end: End | None = None
    cycle: list[Key] = field(default_factory=list[Key])
    dropped: dict[int, Dropped] = field(default_factory=dict[int, Dropped])


async def focused(hand: Hand) -> Stop | Dropped | Nowhere:
    """Return the focused element, once the focus has settled."""
    facts = await hand.ask("sightlineKeys.stop()")
    if facts["isOut"]:
        return "out"
    if facts.get("isNone"):
        dropped = facts.get("dropped")
        return Dropped(int(dropped["number"]), dropped["name"], dropped["isAsked"]) if dropped else "none"
    place, numbers, is_asked = [0], [int(facts["number"])], facts["isAsked"]
    left, top = facts["box"][:2]
    if facts["isFrame"]:
        for frame in range(1, len(hand.worlds)):
            inner = await _focused_in(hand, frame)
            if not inner or inner["isOut"] or inner.get("isNone"):
                continue
            facts = inner
            place.append(frame)
            numbers.append(int(inner["number"]))
            left, top = left + inner["place"][0], top + inner["place"][1]
    _, _, width, height = facts["box"]
    # The page's own document says which part of it was asked for, frames included.
    return Stop(tuple(place), tuple(numbers), {**facts, "isAsked": is_asked}, (left, top, width, height))


async def _focused_in(hand: Hand, frame: int) -> Any:
    """Return the focused element of a frame; None if it has not the focus, or another document by now."""
    try:
        return await hand.ask("document.hasFocus() ? sightlineKeys.stop() : null", frame=frame)
    except CallTimedOut:
        raise
    except CallFailed:
        return None


async def step(hand: Hand, key: str = TAB) -> Stop | Dropped | Nowhere:
    """Press a key and return the element that then has the focus."""
    await hand.press(key_events(key))
    return await focused(hand)


async def walk(hand: Hand, path: Path, *, until_left_s: float) -> None:
    """Add the stops of Tab from the beginning of the page to ``path``; ``until_left_s`` is reserved for later."""
    await hand.ask("sightlineKeys.toStart()")
    steps = _Steps(path)
    while path.end is None:
        if hand.left_s() < until_left_s:
            path.end = "time"
        else:
            steps.take(await step(hand))


@dataclass(slots=True)
class _Steps:
    """Adds the stop reached by each press of Tab to a path, and detects its end."""

    path: Path
    _known: dict[Key, int] = field(default_factory=dict[Key, int])
    _nothing: int = 0
    _repeated: int = 0
    _parts: int = 0

    def take(self, found: Stop | Dropped | Nowhere) -> None:
        """Record one press; the path has an ``end`` after the last."""
        path = self.path
        if found == "out":
            path.end = "left"
        elif isinstance(found, Dropped) and found.number not in path.dropped and len(path.dropped) < MAX_STOPS:
            path.dropped[found.number] = found
            self._nothing = 0
        elif isinstance(found, Stop):
            self._nothing = 0
            self._stop(found)
        else:
            self._nothing += 1
            path.end = "nothing" if self._nothing >= _NO_STOP else None

    def _stop(self, found: Stop) -> None:
        path, known = self.path, self._known
        is_known = found.key in known
        if is_known and found.key == path.stops[-1].key and found.facts["hasParts"] and self._parts < MAX_PARTS:
            self._parts += 1
            return
        self._parts = 0
        if is_known:
            first = min(known[key] for key in (found.key, *path.cycle[:1]))
            path.cycle = [stop.key for stop in path.stops[first:]]
            self._repeated += 1
            path.end = "repeats" if self._repeated > len(path.cycle) + 1 else None
            return
        self._repeated, path.cycle = 0, []
        if len(path.stops) >= MAX_STOPS:
            path.end = "limit"
            return
        known[found.key] = len(path.stops)
        path.stops.append(found)
