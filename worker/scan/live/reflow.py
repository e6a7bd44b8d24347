"""Shows the page in a window 320 CSS pixels wide and looks for text that does not fit: WCAG 1.4.10.

Finds text beyond the window's edge on a page that then scrolls in two directions, and text that is cut off or overlaps
only there. Tables, images, maps, code, toolbars and scrollable boxes are left out, and so are pages in vertical
writing. The top document only.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Hand, Outcome
from worker.scan.live.layout import add_earlier_pictures, add_pictures, damage, reset_window, set_window

RULE: Final = "live-reflow"
_WIDTH: Final = 320
_HEIGHT: Final = 512
_AT: Final = "In a window 320 px wide"


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the texts that do not fit into 320 pixels."""
    await hand.ask("sightlineText.remember()")
    try:
        await set_window(hand, _WIDTH, _HEIGHT)
        read = await hand.ask("sightlineText.narrow()")
        found = damage(RULE, read["found"], at=_AT)
        outcome.found += found
        outcome.more[RULE] = read["count"] - len(found)
        await add_pictures(hand, found, after=_AT)
    finally:
        await reset_window(hand)
    await add_earlier_pictures(hand, found, before="In the window of the scan")


CHECK: Final = Check(
    name="reflow",
    rules=(RULE,),
    needs="the page in a window 320 CSS pixels wide",
    most_s=3.0,
    proves="text needs scrolling in two directions, or is lost, at a zoom of 400 %",
    run=run,
    disturbs="layout",
)
