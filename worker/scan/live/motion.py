"""Looks for what moves or changes by itself for longer than 5 s and cannot be stopped, and for flashes: 2.2.2, 2.3.1.

Reads running animations, videos without controls and animated GIFs, and watches what scripts change: for 1.1 s, and for
up to 6 s while something does or if there is a carousel. Anything on the page whose name contains pause, stop or hide
in one of fifteen languages counts as a control. Flashes are changes of an element's own colour or opacity; canvas,
videos and images are not measured. The top document only.
"""

from __future__ import annotations

import asyncio
import base64
import math
from typing import Any, Final
from urllib.parse import unquote

from worker.scan.cdp import CallFailed
from worker.scan.live.check import Check, Found, Hand, Outcome
from worker.scan.live.gif import plays_s

MOTION: Final = "live-motion"
FLASH: Final = "live-flash"
_SHORT_S: Final = 1.1
_LONG_S: Final = 6.0
_LONGEST_S: Final = 5.0
_MAX_PICTURE_BYTES: Final = 4_000_000
_CONTROL: Final = "nothing on the page is named pause, stop or hide"


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find what moves and flashes."""
    long_s = min(_LONG_S, hand.left_s() - 0.5)
    read = await hand.ask(f"sightlineMotion.look({_SHORT_S * 1000:.0f}, {long_s * 1000:.0f})", limit_s=_LONG_S + 1)
    for one in read["flashing"]:
        why = f"It flashes {one['perSecond']} times per second"
        measured = {"flashes": f"{one['perSecond']} per second"}
        outcome.found.append(Found(FLASH, why, (int(one["number"]),), measured=measured))
    for one in read["moving"]:
        why = f"It {one['how']}, and {_CONTROL}"
        outcome.found.append(Found(MOTION, why, (int(one["number"]),)))
    outcome.more[MOTION] = read["count"] - len(read["moving"])
    if read["isRestless"] and long_s < _LONG_S:
        outcome.left_out = f"what changes by itself was watched for {max(long_s, 0):.1f} s only"
    await _find_pictures(hand, outcome)


async def _find_pictures(hand: Hand, outcome: Outcome) -> None:
    """Find GIFs that play for longer than 5 s."""
    pictures: list[dict[str, Any]] = await hand.ask(f"sightlineMotion.pictures({_MAX_PICTURE_BYTES})")
    if not pictures or await hand.ask("sightlineMotion.canStop()"):
        return
    known: dict[str, float] = {}
    for one in pictures:
        url = str(one["url"])
        if url not in known:
            data = await _bytes_of(hand, url)
            if not data:
                outcome.left_out = outcome.left_out or "not all animated pictures could be read"
            known[url] = await asyncio.to_thread(plays_s, data)
        if known[url] > _LONGEST_S:
            lasts = "without end" if math.isinf(known[url]) else f"for {known[url]:.0f} s"
            why = f"The picture plays {lasts} by itself, and {_CONTROL}"
            outcome.found.append(Found(MOTION, why, (int(one["number"]),), measured={"plays": lasts}))


def data_of(url: str) -> bytes:
    """Return the bytes of a ``data:`` address in base64, as leniently as browsers read it; empty for any other.

    Browsers show a picture without the padding at its end, and with it written as ``%3D``
    (https://infra.spec.whatwg.org/#forgiving-base64-decode).
    """
    head, _, data = url.partition(",")
    if not head.rstrip().lower().endswith("base64") or len(data) > _MAX_PICTURE_BYTES:
        return b""
    letters = "".join(unquote(data).split()).rstrip("=")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4))
    except ValueError:
        return b""


async def _bytes_of(hand: Hand, url: str) -> bytes:
    """Return an image that the page has loaded; empty if the browser no longer has it."""
    if url.startswith("data:"):
        return data_of(url)
    session = hand.page.session
    try:
        tree = await session.call("Page.getFrameTree", {}, timeout_s=max(0.05, min(1.0, hand.left_s())))
        asked = {"frameId": tree["frameTree"]["frame"]["id"], "url": url}
        read = await session.call("Page.getResourceContent", asked, timeout_s=max(0.05, min(1.0, hand.left_s())))
    except CallFailed:
        return b""
    data = str(read["content"])
    return base64.b64decode(data) if read["base64Encoded"] and len(data) <= _MAX_PICTURE_BYTES else b""


CHECK: Final = Check(
    name="motion",
    rules=(MOTION, FLASH),
    needs="1.1 s without input, or 6 s if something changes by itself; no time on a page without scripts",
    most_s=8.0,
    proves="something moves by itself for longer than 5 s and nothing stops it, or it flashes",
    run=run,
)
