"""Code shared by the three layout checks: text damaged by a change, with screenshots before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from worker.scan.cdp import JsonObject
from worker.scan.emulation import window_metrics
from worker.scan.live.check import Found, Hand, box_of

PICTURED: Final = 3
"""Elements of a finding that are shown."""
_RESIZE_LIMIT_S: Final = 2.0


async def set_window(hand: Hand, width: int, height: int) -> None:
    """Resize the window to that many CSS pixels and wait for the layout."""
    metrics = {**window_metrics(hand.request), "width": width, "height": height}
    metrics = {name: metrics[name] for name in ("width", "height", "deviceScaleFactor", "mobile")}
    await hand.page.session.call("Emulation.setDeviceMetricsOverride", metrics, timeout_s=_RESIZE_LIMIT_S)
    await hand.ask("sightlineLive.drawn()")


async def reset_window(hand: Hand) -> None:
    """Restore the window of the request."""
    metrics = window_metrics(hand.request)
    await hand.page.session.call("Emulation.setDeviceMetricsOverride", metrics, timeout_s=_RESIZE_LIMIT_S)
    await hand.ask("sightlineLive.drawn()")


def damage(rule: str, found: Sequence[JsonObject], *, at: str) -> list[Found]:
    """Return findings about texts that are damaged ``at`` some size or spacing."""
    return [Found(rule, _why(one, at), (int(one["number"]),), measured=_measured(one)) for one in found]


def _why(one: JsonObject, at: str) -> str:
    said = f'"{one["text"]}"'
    match one["kind"]:
        case "cut":
            return f"{at}, {said} is cut off {one['way']}: {one['by']} px of it are hidden"
        case "overlap":
            return f'{at}, {said} is drawn over "{one["over"]}"'
        case _:
            return f"{at}, {said} reaches {one['by']} px beyond the window, which then scrolls in two directions"


def _measured(one: JsonObject) -> dict[str, str]:
    room = {"room": f"{one['room']} px"} if "room" in one else {}
    return {"hidden" if one["kind"] != "overlap" else "overlap": f"{one['by']} px", **room}


async def add_pictures(hand: Hand, found: Sequence[Found], *, after: str) -> None:
    """Take screenshots of the first elements in their current state."""
    for one in found[:PICTURED]:
        if hand.takes_pictures and (taken := await _of(hand, one)):
            one.after = (after, taken)


async def add_earlier_pictures(hand: Hand, found: Sequence[Found], *, before: str) -> None:
    """Take screenshots of the same elements once the page is restored."""
    for one in found[:PICTURED]:
        if one.after and (taken := await _of(hand, one)):
            one.before = (before, taken)


async def _of(hand: Hand, one: Found) -> bytes:
    return await hand.picture(box_of(await hand.ask(f"sightlineLive.box({one.numbers[-1]})")))
