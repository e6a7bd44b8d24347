"""Gives text the spacing of WCAG 1.4.12 and looks for text that is then cut off or overlaps. The top document only."""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Hand, Outcome
from worker.scan.live.layout import add_earlier_pictures, add_pictures, damage

RULE: Final = "live-spacing"


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the texts that are damaged by more space between lines, letters and words."""
    await hand.ask("sightlineText.remember()")
    try:
        await hand.ask("sightlineText.space(true), sightlineLive.drawn()")
        read = await hand.ask("sightlineText.damaged(false)")
        found = damage(RULE, read["found"], at="With more spacing")
        outcome.found += found
        outcome.more[RULE] = read["count"] - len(found)
        await add_pictures(hand, found, after="With the spacing of WCAG 1.4.12")
    finally:
        await hand.ask("sightlineText.space(false), sightlineLive.drawn()")
    await add_earlier_pictures(hand, found, before="With the page's own spacing")


CHECK: Final = Check(
    name="spacing",
    rules=(RULE,),
    needs="an added style sheet in the page",
    most_s=3.0,
    proves="text is lost with line height 1.5, letter spacing 0.12 em and word spacing 0.16 em",
    run=run,
    disturbs="layout",
)
