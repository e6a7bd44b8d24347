"""Looks for links of one name, side by side in one context, that lead to different pages of a site: WCAG 2.4.4.

Words between two links tell them apart for who reads on, and so does ``aria-describedby``. Pages are told apart by
their address without what follows ``#``; none is asked for.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Found, Hand, Outcome

RULE: Final = "live-same-name"


async def run(hand: Hand) -> Outcome:
    """Return each link that has the name of the one before it and another address."""
    read = await hand.ask("sightlineLinks.look()")
    found = [
        Found(
            RULE,
            f'"{one["name"]}" leads to {one["target"]}, and the link before it, of the same name, to {one["other"]}',
            (int(one["number"]),),
            measured={"leads to": one["target"], "the one before": one["other"]},
        )
        for one in read["found"]
    ]
    return Outcome(found, more={RULE: read["count"] - len(found)})


CHECK: Final = Check(
    name="same-name",
    rules=(RULE,),
    needs="the addresses of links",
    most_s=2.0,
    proves="neighbouring links of one name lead to different pages of a site",
    run=run,
)
