"""Presses single printable characters while nothing has the focus and looks for their effects: WCAG 2.1.4.

Only if the document, the window or the body listens to keys; first in groups, then one by one. A key has an effect if
the page handles it, or changes, scrolls or moves the focus right after it; on a page that changes by itself, only
handled keys count. A control whose name mentions shortcuts or the keyboard counts as the way to turn them off.
"""

from __future__ import annotations

import asyncio
from string import ascii_lowercase, digits
from typing import Final

from worker.scan.cdp import JsonObject
from worker.scan.live.check import Check, Found, Hand, Outcome
from worker.scan.live.listeners import KEYS, WINDOW, types_of

RULE: Final = "live-shortcut"
CHARACTERS: Final = f"{ascii_lowercase}{digits}/?+-.,*!#=;"
_HANDFUL: Final = 8
_MAX_FOUND: Final = 8
_PLACES: Final = (WINDOW, "document", "document.body", "document.documentElement")
_LEAST_S: Final = 0.3
_STILL_S: Final = 1.1
"""Clocks tick once a second."""
_HANDLED: Final = "is handled by the page"


def press_events(character: str) -> list[JsonObject]:
    """Return the events of typing one character."""
    upper = character.upper()
    number = ord(upper) if upper.isalnum() else 0
    code = f"Key{upper}" if upper.isalpha() else f"Digit{upper}" if upper.isdigit() else ""
    key: JsonObject = {"key": character, "code": code, "windowsVirtualKeyCode": number}
    return [{"type": "keyDown", "text": character, **key}, {"type": "keyUp", **key}]


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the characters that have an effect, as one finding of the page."""
    heard = [await types_of(hand, place) for place in _PLACES]
    if not set().union(*heard) & KEYS:
        return
    await hand.ask("sightlineKeys.leave().then(() => sightlineKeys.watchKeys())")
    is_restless = any([await _did(hand, "") for _ in range(2)])
    taken: dict[str, str] = {}
    for start in range(0, len(CHARACTERS), _HANDFUL):
        handful = CHARACTERS[start : start + _HANDFUL]
        if hand.left_s() < _LEAST_S:
            outcome.left_out = f"time ran out before {handful[0]!r} was pressed"
            break
        if await _did(hand, handful, is_restless=is_restless):
            said = {character: await _did(hand, character, is_restless=is_restless) for character in handful}
            taken |= {character: what for character, what in said.items() if what}
        if len(taken) >= _MAX_FOUND:
            break
    if set(taken.values()) - {_HANDLED} and not await _is_still(hand, outcome):
        taken = {character: what for character, what in taken.items() if what == _HANDLED}
    if taken and not await hand.ask("sightlineKeys.turnsOff()"):
        body = int(await hand.ask("sightlineLive.numberOf(document.body)"))
        keys = tuple(taken)
        why = f"Pressed where nothing has the focus, {_said(taken)}; no control of the page mentions shortcuts"
        outcome.found.append(Found(RULE, why, (body,), keys=keys))


async def _did(hand: Hand, characters: str, *, is_restless: bool = False, wait_s: float = 0) -> str:
    """Return what happened when the characters were typed, '' for nothing; without any, what happens by itself."""
    before = (await hand.ask("sightlineKeys.didKey()"))["at"]
    for character in characters:
        await hand.press(press_events(character))
    await asyncio.sleep(wait_s)
    did = await hand.ask("sightlineKeys.didKey()")
    if is_restless:
        return _HANDLED if did["prevented"] else ""
    if did["focus"]:
        return f"moves the focus to {did['focus']!r}"
    if did["prevented"]:
        return _HANDLED
    if did["at"] != before:
        return "scrolls the page"
    return "changes the page" if did["changed"] else ""


async def _is_still(hand: Hand, outcome: Outcome) -> bool:
    """Whether the page stays as it is without a key, for as long as a clock needs to tick."""
    if hand.left_s() < _STILL_S + _LEAST_S:
        outcome.left_out = outcome.left_out or "time ran out before it was certain that keys changed the page"
        return False
    return not await _did(hand, "", wait_s=_STILL_S)


def _said(taken: dict[str, str]) -> str:
    shown = [f"{character!r} {what}" for character, what in list(taken.items())[:_MAX_FOUND]]
    return ", ".join(shown)


CHECK: Final = Check(
    name="shortcuts",
    rules=(RULE,),
    needs="a key listener on the document, the window or the body",
    most_s=6.0,
    proves="a single-character shortcut works anywhere on the page",
    run=run,
    disturbs="use",
)
