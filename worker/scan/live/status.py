"""Looks for messages that a step of a journey caused and that no live region announces: WCAG 4.1.3.

``journey/messages.py`` compares the page before and after each step. A message is a short text that appeared without a
change of the page or of the focus. This check lists those that are still shown. Without steps there are none.
"""

from __future__ import annotations

from typing import Final

from worker.scan.live.check import Check, Found, Hand, Outcome

RULE: Final = "live-status-message"


async def run(hand: Hand, outcome: Outcome) -> None:
    """List the messages of the journey's steps."""
    if not hand.request.steps:
        return
    read = await hand.ask("sightlineStatus.look()")
    outcome.found += [
        Found(
            RULE,
            f'"{one["text"]}" appeared after {one["step"]}, but no live region announces it',
            (int(one["number"]),),
            measured={"text": one["text"], "after": one["step"]},
        )
        for one in read["found"]
    ]
    outcome.more[RULE] = read["count"] - len(outcome.found)


CHECK: Final = Check(
    name="status",
    rules=(RULE,),
    needs="the texts before and after each step of a journey",
    most_s=2.0,
    proves="a step shows a message that no live region announces",
    run=run,
)
