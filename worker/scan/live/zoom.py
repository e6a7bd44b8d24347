"""Zooms the page to 200 % and looks for text that is then cut off or overlaps: WCAG 1.4.4.

A browser's zoom halves the window in CSS pixels, so the page is shown in a window half as large. Text that its own box
cuts off at any size counts too; text in a box that scrolls, ends in an ellipsis or is moved by a transform (a carousel)
does not. The top document only.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Hand, Outcome
from worker.scan.live.layout import PICTURED, add_earlier_pictures, add_pictures, damage, reset_window, set_window

RULE: Final = "live-zoom"
_LEAST_WIDTH: Final = 640
"""Narrower windows are those of phones, whose zoom works differently."""


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the texts that are damaged at 200 %."""
    window = hand.request.window
    if window.width < _LEAST_WIDTH:
        return
    await hand.ask("sightlineText.remember()")
    try:
        await set_window(hand, window.width // 2, window.height // 2)
        read = await hand.ask("sightlineText.damaged(true)")
        found = damage(RULE, read["found"], at="At 200 %")
        outcome.found += found
        outcome.more[RULE] = read["count"] - len(found)
        await add_pictures(hand, found, after="At 200 %")
    finally:
        await reset_window(hand)
    await add_earlier_pictures(hand, found[:PICTURED], before="At 100 %")


CHECK: Final = Check(
    name="zoom",
    rules=(RULE,),
    needs="the page in a window half as large",
    most_s=3.0,
    proves="text that is readable at 100 % is cut off or overlaps at 200 %",
    run=run,
    disturbs="layout",
)
