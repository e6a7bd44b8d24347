"""Moves the pointer over elements that may show content, and tests that content: WCAG 1.4.13.

It must stay while the pointer moves onto it and, if it covers other text, disappear when Escape is pressed. The
browser's own tooltips (``title``) are left out, as WCAG leaves them out. The top document only.
"""

from __future__ import annotations

from typing import Final

from worker.scan.cdp import JsonObject
from worker.scan.journey.keys import key_events
from worker.scan.live.check import Check, Found, Hand, Outcome, box_of

RULE: Final = "live-hover"
_MAX_TRIGGERS: Final = 20
_STEPS: Final = 6
"""Positions of the pointer on its way from the hovered element to the content that appeared."""
_AWAY: Final = (0.0, 0.0)
_LEAST_S: Final = 0.4


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find content that appears on hover and violates 1.4.13."""
    triggers: list[int] = await hand.ask(f"sightlineHover.triggers({_MAX_TRIGGERS})")
    seen: set[int] = set()
    for trigger in triggers:
        if hand.left_s() < _LEAST_S:
            outcome.left_out = "time ran out before all elements that may show content on hover were tested"
            break
        shown = await _hover(hand, trigger)
        if shown is None or shown["number"] in seen:
            continue
        seen.add(shown["number"])
        why = await _fault(hand, trigger, shown)
        if why:
            name = await hand.ask(f"sightlineHover.name({trigger})")
            found = Found(RULE, f'Hovering over "{name}" shows "{shown["text"]}": {why}', (int(shown["number"]),))
            found.after = await _picture(hand, trigger)
            outcome.found.append(found)
    if triggers:
        await hand.move_mouse(*_AWAY)


async def _hover(hand: Hand, trigger: int) -> JsonObject | None:
    """Move the pointer over the element; return what has appeared."""
    await hand.move_mouse(*_AWAY)
    x, y = await hand.ask(f"sightlineHover.show({trigger})")
    await hand.ask("sightlineHover.remember()")
    await hand.move_mouse(x, y)
    shown: JsonObject | None = await hand.ask(f"sightlineHover.appeared({trigger})")
    return {**shown, "from": (x, y)} if shown else None


async def _fault(hand: Hand, trigger: int, shown: JsonObject) -> str:
    (x, y), (to_x, to_y) = shown["from"], shown["at"]
    for step in range(1, _STEPS + 1):
        share = step / _STEPS
        await hand.move_mouse(x + (to_x - x) * share, y + (to_y - y) * share)
    if not await hand.ask(f"sightlineHover.isThere({shown['number']})"):
        return "it disappears when the pointer moves onto it"
    if not shown["covers"]:
        return ""
    again = await _hover(hand, trigger)  # may be another element: some pages create one per hover
    if again is None:
        return ""
    await hand.press(key_events("Escape"))
    if await hand.ask(f"sightlineHover.isThere({again['number']})"):
        return "it covers other text, and Escape does not close it"
    return ""


async def _picture(hand: Hand, trigger: int) -> tuple[str, bytes] | None:
    shown = await _hover(hand, trigger)
    taken = await hand.picture(box_of(shown["box"])) if shown else b""
    return ("On hover", taken) if taken else None


CHECK: Final = Check(
    name="hover",
    rules=(RULE,),
    needs="the pointer over elements that may show content, and Escape",
    most_s=4.0,
    proves="content shown on hover disappears before it can be read, or cannot be closed",
    run=run,
    disturbs="use",
)
