"""Asks the browser which events an element, its ancestors, the document and the window listen to.

The browser lists only listeners of the JavaScript world in which an object was looked up, so each is looked up in the
page's own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject
from worker.scan.live.check import Hand

CLICKS: Final = frozenset({"click", "mousedown", "mouseup", "pointerdown", "pointerup", "touchstart", "dblclick"})
KEYS: Final = frozenset({"keydown", "keypress", "keyup"})
WINDOW: Final = "window"
_LIMIT_S: Final = 1.0


async def types_of(hand: Hand, expression: str, *, frame: int = 0) -> set[str]:
    """Return the types of events that a node has listeners for; none if it is gone.

    ``expression`` names it in the isolated world; ``WINDOW`` is the top window. Raises ``CallTimedOut``, since it is
    unknown what a busy page listens to.
    """
    session = hand.worlds[frame].session
    limit_s = max(0.05, min(_LIMIT_S, hand.left_s()))

    async def call(method: str, **params: object) -> JsonObject:
        return await session.call(method, params, timeout_s=limit_s)

    try:
        if expression == WINDOW:
            theirs = (await call("Runtime.evaluate", expression="window"))["result"]
        else:
            context = hand.worlds[frame].context
            ours = await hand.page.evaluate(session, context, expression, timeout_s=limit_s, by_value=False)
            if not ours:
                return set()
            node = (await call("DOM.describeNode", objectId=ours))["node"]
            theirs = (await call("DOM.resolveNode", backendNodeId=node["backendNodeId"]))["object"]
            session.post("Runtime.releaseObject", {"objectId": ours})
        read = await call("DOMDebugger.getEventListeners", objectId=theirs["objectId"])
        session.post("Runtime.releaseObject", {"objectId": theirs["objectId"]})
    except CallTimedOut:
        raise
    except CallFailed:
        return set()
    return {str(one["type"]) for one in read["listeners"]}


async def hears(hand: Hand, number: int, types: Collection[str], *, frame: int = 0) -> bool:
    """Whether the element, one of its ancestors, the document or the window listens to one of ``types``."""
    count = int(await hand.ask(f"sightlineKeys.ancestors({number})", frame=frame))
    places = [f"sightlineKeys.ancestor({number}, {i})" for i in range(count)]
    for place in (*places, "document", *([WINDOW] if frame == 0 else [])):
        if await types_of(hand, place, frame=frame) & set(types):
            return True
    return False
