"""Walks through the page by keyboard and judges each stop: WCAG 2.1.1, 2.1.2, 2.4.3, 2.4.7 and 2.4.11.

``walk.py`` walks, ``traps.py`` looks for a way out of a trap. A focus is visible if its outline is. Otherwise two
screenshots of the stop are compared, with and without the focus: if no pixel differs, the focus is invisible. Text
fields show a caret and are not compared.
"""

from __future__ import annotations

from typing import Final

from producer.contract.live import LivePath
from producer.contract.live import Stop as ListedStop
from producer.contract.live_shots import PATH_SHOT
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.live.check import MARGIN, Check, Found, Hand, Outcome, box_of
from worker.scan.live.listeners import CLICKS, KEYS, hears, types_of
from worker.scan.live.report import describe
from worker.scan.live.traps import moves_elsewhere, way_out
from worker.scan.live.walk import MAX_STOPS, Path, Stop, walk
from worker.scan.page import ScriptFailed

TRAP: Final = "live-trap"
KEYBOARD: Final = "live-keyboard"
ORDER: Final = "live-focus-order"
VISIBLE: Final = "live-focus-visible"
COVERED: Final = "live-focus-covered"
_AFTER_WALK_S: Final = 4.0
"""Reserved for the steps after the walk: traps, screenshots of stops, clickable elements."""
_MAX_COMPARED: Final = 40
_MAX_CLICKABLES: Final = 60
_MAX_NAMED: Final = 12
"""Maximum number of elements listed per rule."""
_PATH_HEIGHT: Final = 4_000
_LEAST_S: Final = 0.4


async def run(hand: Hand, outcome: Outcome) -> None:
    """Find what the keyboard cannot do, and record its path."""
    tabbables = int(await hand.ask("sightlineKeys.tabbables()"))
    path = Path()
    try:
        try:
            await walk(hand, path, until_left_s=_AFTER_WALK_S)
        finally:
            _judge_stops(path, outcome)
        await _judge_end(hand, path, tabbables, outcome)
        await _compare_pictures(hand, path, outcome)
        await _find_unpressable(hand, path, outcome)
        if path.end == "left":
            await _find_clickables(hand, outcome)
        await _draw(hand, path, outcome)
    finally:
        _bound(outcome)


def _bound(outcome: Outcome) -> None:
    """Keep the first findings of each rule, and count the others."""
    for rule in CHECK.rules:
        mine = [one for one in outcome.found if one.rule == rule]
        outcome.more[rule] = len(mine[_MAX_NAMED:])
        outcome.found = [one for one in outcome.found if one.rule != rule or one in mine[:_MAX_NAMED]]


async def _judge_end(hand: Hand, path: Path, tabbables: int, outcome: Outcome) -> None:
    ended = "the focus left the page after the last stop"
    if path.end == "limit":
        ended = outcome.left_out = f"the page has more than {MAX_STOPS} Tab stops: later ones were not checked"
    elif path.end == "time":
        ended = outcome.left_out = f"time ran out after {len(path.stops)} Tab stops"
    elif path.end == "nothing" and tabbables > len(path.stops) + len(path.dropped):
        left = tabbables - len(path.stops) - len(path.dropped)
        if await moves_elsewhere(hand, path):
            ended = outcome.left_out = f"Tab lost the focus: {left} more focusable elements were not checked"
        else:
            ended = "Tab does not move the focus"
            body = int(await hand.ask("sightlineLive.numberOf(document.body)"))
            why = f"Tab does not move the focus, though {left} more elements of the page are focusable"
            outcome.found.append(Found(TRAP, why, (body,), keys=("Tab", "Tab")))
    elif path.end == "repeats":
        cycle = [stop for stop in path.stops if stop.key in set(path.cycle)]
        key, pressed = await way_out(hand, path)
        names = ", ".join(f'"{stop.name}"' for stop in cycle[:4])
        ended = f"Tab only cycles through {names}; {key} leaves them" if key else f"the focus is trapped in {names}"
        if not key:
            why = f"The focus does not leave {names}; pressed: {', '.join(pressed)}"
            outcome.found.append(Found(TRAP, why, cycle[0].numbers, cycle[0].place, keys=pressed))
    outcome.path = LivePath(ended=ended)


def _judge_stops(path: Path, outcome: Outcome) -> None:
    for one in path.dropped.values():
        if one.is_asked:
            why = f'"{one.name}" loses the focus as soon as it receives it'
            # WCAG's failure F55 is one of both criteria.
            outcome.found += [Found(rule, why, (one.number,), keys=("Tab",)) for rule in (KEYBOARD, VISIBLE)]
    for number, stop in enumerate(path.stops, start=1):
        facts = stop.facts
        if not facts["isAsked"]:
            continue
        if facts["cover"] and len(stop.place) == 1:
            why = f"Tab stop {number} is covered by {facts['cover']}"
            outcome.found.append(Found(COVERED, why, stop.numbers, stop.place, keys=("Tab",) * number))
        if facts["back"]:
            why = f'From "{facts["before"]}" the focus moves back to "{stop.name}", stop {number}, by {facts["back"]}'
            outcome.found.append(Found(ORDER, why, stop.numbers, stop.place, keys=("Tab",) * number))


async def _compare_pictures(hand: Hand, path: Path, outcome: Outcome) -> None:
    """Compare the stops whose outline may be invisible, with and without the focus."""
    doubtful = [
        (number, stop)
        for number, stop in enumerate(path.stops, start=1)
        if not stop.facts["outline"]
        and not stop.facts["writes"]
        and stop.facts["isAsked"]
        and not stop.facts["isFrame"]
    ]
    for number, stop in doubtful[:_MAX_COMPARED]:
        if hand.left_s() < _AFTER_WALK_S / 2:
            outcome.left_out = outcome.left_out or f"time ran out before the focus of Tab stop {number} was checked"
            return
        await _compare(hand, number, stop, outcome)
    if len(doubtful) > _MAX_COMPARED:
        outcome.left_out = outcome.left_out or f"only {_MAX_COMPARED} Tab stops were checked for a visible focus"


async def _compare(hand: Hand, number: int, stop: Stop, outcome: Outcome) -> None:
    frame, element = stop.place[-1], stop.numbers[-1]
    there = await hand.ask(f"sightlineKeys.focusOn({element})", frame=frame)
    if not there["isThere"]:
        return
    clip = _clip(stop, there)
    focused = await _shot(hand, clip) if clip else b""
    await hand.ask("sightlineKeys.leave()", frame=frame)
    plain = await _shot(hand, clip) if clip else b""
    if focused != plain or await _is_shown_elsewhere(hand, frame, element, is_seen=clip is not None):
        return
    why = f"Tab stop {number} looks the same with and without the focus"
    found = Found(VISIBLE, why, stop.numbers, stop.place, keys=("Tab",) * number)
    if focused and plain and hand.takes_pictures:
        found.before, found.after = ("Without the focus", plain), ("With the focus", focused)
        hand.count_picture()
    outcome.found.append(found)


async def _is_shown_elsewhere(hand: Hand, frame: int, element: int, *, is_seen: bool) -> bool:
    """Whether the window differs with the focus and without, and not because the page moves by itself."""
    plain = await _shot(hand, None)
    await hand.ask(f"sightlineKeys.focusOn({element})", frame=frame)
    first = await _shot(hand, None)
    again = await _shot(hand, None) if first != plain else first
    await hand.ask("sightlineKeys.leave()", frame=frame)
    return first != plain and (first == again or not is_seen)


def _clip(stop: Stop, there: JsonObject) -> JsonObject | None:
    """Return the visible area of the stop, in the page's pixels; None if there is none."""
    left, top, width, height = box_of(there["box"]) if len(stop.place) == 1 else stop.box
    if width < 2 or height < 2 or left + width <= 0 or top + height <= 0:  # noqa: PLR2004  pixels
        return None
    x, y = max(0.0, left - MARGIN), max(0.0, top - MARGIN)
    size = {"width": min(left + width + MARGIN - x, 1_200), "height": min(top + height + MARGIN - y, 600)}
    return {"x": x, "y": y, **size, "scale": 1}


async def _shot(hand: Hand, clip: JsonObject | None) -> bytes:
    """Return a lossless screenshot of the clip, or of the whole window."""
    asked: JsonObject = {"format": "png"}
    if clip is not None:
        asked |= {"clip": clip, "captureBeyondViewport": True}
    return await hand.capture(asked)


async def _find_unpressable(hand: Hand, path: Path, outcome: Outcome) -> None:
    """Find stops that respond to clicks but to no key, and that the browser itself does not press."""
    for stop in path.stops:
        if stop.facts["isNative"] or not stop.facts["isAsked"]:
            continue
        if hand.left_s() < _LEAST_S:
            outcome.left_out = outcome.left_out or f"time ran out before {stop.name!r} was checked for keys"
            return
        frame, number = stop.place[-1], stop.numbers[-1]
        if not await types_of(hand, f"sightlineLive.kept({number})", frame=frame) & CLICKS:
            continue
        if not await hears(hand, number, KEYS, frame=frame):
            why = f'"{stop.name}" responds to clicks, but not to Enter or Space'
            outcome.found.append(Found(KEYBOARD, why, stop.numbers, stop.place, keys=("Enter", "Space")))


async def _find_clickables(hand: Hand, outcome: Outcome) -> None:
    """Find clickable elements that Tab does not reach."""
    for one in await hand.ask(f"sightlineKeys.clickables({_MAX_CLICKABLES})"):
        if hand.left_s() < _LEAST_S:
            outcome.left_out = outcome.left_out or "time ran out before all clickable elements were checked"
            return
        number = int(one["number"])
        if not one["isSure"] and not await types_of(hand, f"sightlineLive.kept({number})") & CLICKS:
            continue
        why = (
            f'"{one["name"]}" responds to clicks, but Tab does not reach it'
            if one["name"]
            else "It responds to clicks, but Tab does not reach it"
        )
        found = Found(KEYBOARD, why, (number,), keys=("Tab",))
        if taken := await hand.picture(box_of(one["box"])):
            found.after = ("It responds to clicks", taken)
        outcome.found.append(found)


async def _draw(hand: Hand, path: Path, outcome: Outcome) -> None:
    """List the stops, and take the screenshot on which their numbers are drawn."""
    listed: list[ListedStop] = []
    for stop in path.stops:
        left, top, width, height = (round(edge) for edge in stop.box)
        selector, box = await _selector_of(hand, stop), (left, top, width, height)
        listed.append(ListedStop(name=stop.name, selector=selector, box=box))
    size = None
    if hand.request.screenshot and listed and hand.left_s() > _LEAST_S:
        await hand.ask("sightlineKeys.leave()")
        width, height = await hand.ask("sightlineKeys.page()")
        size = (int(width), min(int(height), _PATH_HEIGHT))
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 0.5 / hand.request.pixel_ratio}
        try:
            asked: JsonObject = {"format": "jpeg", "quality": 60, "clip": clip, "captureBeyondViewport": True}
            outcome.shots[PATH_SHOT] = await hand.capture(asked)
        except CallFailed:
            size = None
    ended = outcome.path.ended if outcome.path else ""
    outcome.path = LivePath(stops=tuple(listed), ended=ended, size=size)


async def _selector_of(hand: Hand, stop: Stop) -> tuple[str | tuple[str, ...], ...]:
    """Return the stop's selector; empty without time for it, and if its frame has another document by now."""
    if hand.left_s() <= _LEAST_S:
        return ()
    try:
        named = await describe(hand, stop.place, stop.numbers)
    except (CallFailed, ScriptFailed):
        return ()
    return tuple(part if isinstance(part, str) else tuple(part) for part in named["target"])


CHECK: Final = Check(
    name="keyboard",
    rules=(TRAP, KEYBOARD, ORDER, VISIBLE, COVERED),
    needs="real Tab presses, frames and shadow trees included, and screenshots of the Tab stops",
    most_s=12.0,
    proves="the focus is trapped, misses an element, moves back, or is not visible",
    run=run,
    disturbs="use",
)
