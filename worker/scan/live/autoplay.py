"""Looks for media that play by themselves with sound for longer than 3 s and cannot be stopped: WCAG 1.4.2.

The browser of a scan plays nothing before a key is pressed, so media that would play count as playing. Controls are
those of the player, and any on the page whose name contains pause, stop or mute in one of fifteen languages.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Found, Hand, Outcome

RULE: Final = "live-autoplay"
_LOOK_S: Final = 2.0
"""Time to wait for the length of media."""


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find the media that nothing stops."""
    read = await hand.ask(f"sightlineMedia.look({_LOOK_S * 1000:.0f})", limit_s=_LOOK_S + 1)
    outcome.found += [
        Found(
            RULE,
            "It plays by itself, with sound, and nothing on the page is named pause, stop or mute",
            (int(one["number"]),),
            measured={"plays for": one["seconds"] if one["seconds"][0].isalpha() else f"{one['seconds']} s"},
        )
        for one in read["found"]
    ]
    outcome.more[RULE] = read["count"] - len(outcome.found)


CHECK: Final = Check(
    name="autoplay",
    rules=(RULE,),
    needs="media whose length is known within 2 s",
    most_s=3.0,
    proves="sound starts by itself, lasts longer than 3 s, and has no control",
    run=run,
)
