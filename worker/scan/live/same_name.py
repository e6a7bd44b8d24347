"""Looks for neighbouring links of the same name in one context that lead to different pages of a site: WCAG 2.4.4.

Words between two links distinguish them for readers, and so does ``aria-describedby``. Pages are distinguished by their
address without the fragment; none is requested.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Found, Hand, Outcome

RULE: Final = "live-same-name"


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find each link with the name of the preceding one but another address."""
    read = await hand.ask("sightlineLinks.look()")
    outcome.found += [
        Found(
            RULE,
            f'"{one["name"]}" leads to {one["target"]}, and the preceding link of the same name to {one["other"]}',
            (int(one["number"]),),
            measured={"leads to": one["target"], "the preceding link": one["other"]},
        )
        for one in read["found"]
    ]
    outcome.more[RULE] = read["count"] - len(outcome.found)


CHECK: Final = Check(
    name="same-name",
    rules=(RULE,),
    needs="the addresses of links",
    most_s=2.0,
    proves="neighbouring links of the same name lead to different pages of a site",
    run=run,
)
