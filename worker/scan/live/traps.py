"""Tries to leave repeating stops as a person would: back, Escape, keys that the page mentions.

A link or button among the stops may say which keys to use, so those that stay on the page are pressed. If any of these
frees the focus, there is no trap (WCAG 2.1.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from worker.scan.journey.keys import key_events
from worker.scan.live.check import Hand
from worker.scan.live.walk import BACK, TAB, Dropped, Key, Nowhere, Path, Stop, focused, step

_MORE: Final = 1
"""Presses beyond one round of the stops."""
_FETCHED_BACK_S: Final = 0.1
"""Time for a script to fetch the focus back before the next press."""
_MAX_HELP: Final = 3
_NAMES: Final = {
    "ctrl": "Control",
    "strg": "Control",
    "control": "Control",
    "cmd": "Meta",
    "alt": "Alt",
    "shift": "Shift",
}


async def way_out(hand: Hand, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the key that moves the focus out, or '', and all keys pressed."""
    cycle = set(path.cycle)
    stops = [stop for stop in path.stops if stop.key in cycle]
    pressed = [TAB, BACK, "Escape"]
    if await _leaves(hand, cycle, BACK):
        return BACK, tuple(pressed)
    if await _opens(hand, cycle, "Escape"):
        return "Escape", tuple(pressed)
    for key in await _advised(hand, stops, pressed):
        if key not in pressed:
            pressed.append(key)
        if await _opens(hand, cycle, key):
            return key, tuple(pressed)
    return "", tuple(pressed)


async def moves_elsewhere(hand: Hand, path: Path) -> bool:
    """Whether Tab moves on from an element that the walk did not reach; true if no such element takes the focus."""
    reached = [stop.numbers[0] for stop in path.stops] + list(path.dropped)
    start = await hand.ask(f"sightlineKeys.focusUnreached({reached})")
    if start is None:
        return True
    found = await step(hand, TAB)
    return found == "out" or (isinstance(found, Stop) and found.key != ((0,), (int(start),)))


async def _leaves(hand: Hand, cycle: set[Key], key: str) -> bool:
    """Whether the key, pressed repeatedly, leaves the stops."""
    for _ in range(len(cycle) + _MORE):
        if await _is_free(hand, cycle, await step(hand, key)):
            return True
    return False


async def _opens(hand: Hand, cycle: set[Key], key: str) -> bool:
    """Whether the stops can be left after the key was pressed once."""
    await hand.press(key_events(key))
    found = await focused(hand)
    if isinstance(found, Stop) and await _is_free(hand, cycle, found):
        return True
    return await _leaves(hand, cycle, TAB)


async def _is_free(hand: Hand, cycle: set[Key], found: Stop | Dropped | Nowhere) -> bool:
    """Whether the focus is outside the stops, and a script does not fetch it back."""
    if found == "out":
        return True
    if isinstance(found, Stop) and found.key in cycle:
        return False
    await asyncio.sleep(_FETCHED_BACK_S)
    found = await focused(hand)
    return not isinstance(found, Stop) or found.key not in cycle


async def _advised(hand: Hand, stops: Sequence[Stop], pressed: list[str]) -> list[str]:
    keys = await _read(hand)
    helps = [
        stop for stop in stops if stop.place == (0,) and await hand.ask(f"sightlineKeys.isHelp({stop.numbers[0]})")
    ]
    for stop in helps[:_MAX_HELP]:
        if keys:
            break
        await hand.ask(f"sightlineKeys.focusOn({stop.numbers[0]})")
        await hand.press(key_events("Enter"))
        pressed.append(f"Enter on {stop.name!r}")
        keys = await _read(hand)
    return keys


async def _read(hand: Hand) -> list[str]:
    """Return the keys that the page's text names."""
    return keys_of(map(str, await hand.ask("sightlineLive.drawn().then(() => sightlineKeys.advised())")))


def keys_of(advice: Iterable[str]) -> list[str]:
    """Return the keys of advice such as ``ctrl+m`` and ``esc``, as ``key_events`` takes them."""
    keys: list[str] = []
    for said in advice:
        if not said.isascii():
            continue  # a letter of another script that counts as one of these if case is ignored
        *names, key = said.split("+")
        if key in {"esc", "escape"}:
            keys.append("Escape")
        else:
            keys.append("+".join([*dict.fromkeys(_NAMES[name] for name in names), key.upper()]))
    return list(dict.fromkeys(keys))
