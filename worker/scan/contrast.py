"""Measures contrast that axe-core leaves undecided (over images, gradients, overlaps) from the browser's rendering.

Each part of the page with such text is captured four times with the text painted differently (``js/contrast.js``); then
the images are compared (``js/pixels.js``): the colour of the letters after opacity and blending, against their
background. A text's shadow counts as background, as in axe-core.

It decides no finding: undecided ones still need review, with the ratio shown. Bounded, best effort, and free if nothing
is undecided. It runs with the page at rest (``rest.py``), after axe-core.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from producer.contract import MeasuredContrast, Viewport
from worker.scan.axe import AxeReport, ElementId, World
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.edges import Edges, area_around
from worker.scan.page import Page, ScriptFailed, literal

MAX_TEXTS: Final = 50
"""Maximum number of elements measured per page; reports give the total."""
MAX_VIEWS: Final = 8
"""Maximum number of parts of a page, each the size of the window."""
_SEEN: Final = "[visualViewport.width, visualViewport.height, visualViewport.scale * devicePixelRatio]"
LIMIT_S: Final = 15.0
_SHARE: Final = 0.5
"""Maximum share of the page's remaining time."""
_BACK_LIMIT_S: Final = 2.0
_CLEAR_TENTHS: Final = 1
"""Ratios closer to the threshold than this decide nothing."""
_NEEDED: Final = {"color-contrast": (4.5, 3.0), "color-contrast-enhanced": (7.0, 4.5)}
"""For text and for large text: WCAG 1.4.3 and 1.4.6."""
_BOLD: Final = 700
_LARGE_PT: Final = 18
_LARGE_BOLD_PT: Final = 14
_PAINTS: Final = ("plain", "clear", "fill", "mark")

Path = tuple[ElementId, ...]
"""An element, after the elements of the frames it is in."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one element as it stands in the window now; ``within`` are other texts' elements around it."""

    texts: tuple[Edges, ...]
    box: Edges
    window: Edges
    """The visible part of its document."""
    is_clear: bool
    """Whether its letters are translucent."""
    within: frozenset[ElementId]
    font_px: float
    weight: int

    @property
    def is_seen(self) -> bool:
        """Whether all of it is in its window."""
        return all(text.cut(self.window) == text for text in self.texts)


def needed_of(rule: str, *, font_px: float, weight: int) -> float:
    """Return the ratio that the rule requires for text of this size, computed as in axe-core."""
    size_pt = -(-72 * font_px // 1) / 96
    is_large = size_pt >= (_LARGE_BOLD_PT if weight >= _BOLD else _LARGE_PT)
    return _NEEDED[rule][is_large]


def judge(lowest_tenths: int, highest_tenths: int, needed: float) -> MeasuredContrast:
    """Return the measurement; it decides only if all ratios are clearly on one side of ``needed``."""
    limit = round(needed * 10)
    is_under, is_over = highest_tenths + _CLEAR_TENTHS < limit, lowest_tenths >= limit + _CLEAR_TENTHS
    verdict = "fails" if is_under else "passes" if is_over else "undecided"
    return MeasuredContrast(lowest=lowest_tenths / 10, highest=highest_tenths / 10, needed=needed, verdict=verdict)


def choose(texts: Mapping[ElementId, Text], *, shown: ElementId | None) -> list[ElementId]:
    """Return the texts that can be captured together: in the window, without overlapping boxes.

    ``shown`` is the element scrolled to: if it is not in the window now, it never will be.
    """
    chosen: list[ElementId] = []
    for name, text in texts.items():
        others = ((other, texts[other]) for other in chosen)
        if (text.is_seen or name == shown) and not any(_are_in_the_way((name, text), other) for other in others):
            chosen.append(name)
    return chosen


def _are_in_the_way(one: tuple[ElementId, Text], other: tuple[ElementId, Text]) -> bool:
    for (name, text), (above, around) in ((one, other), (other, one)):
        if above in text.within:
            return text.is_clear
        if name not in around.within and any(not part.cut(around.box).is_empty for part in text.texts):
            return True
    return False


async def measure_contrast(
    page: Page,
    report: AxeReport,
    *,
    viewport: Viewport,
    may_scroll: bool,
    left_s: float,
    is_scaled: bool = False,
) -> None:
    """Add ``contrast`` to the nodes of ``report`` whose contrast is undecided; raises no error that the page can cause.

    ``may_scroll``: elements outside the window are scrolled into view, and the page is scrolled back. ``is_scaled``: a
    page pixel is not an image pixel, as on devices and with zoom.
    """
    found = [(rule["id"], node) for rule in report.incomplete if rule["id"] in _NEEDED for node in rule["nodes"]]
    if not found:
        return
    with contextlib.suppress(CallFailed, ScriptFailed, TimeoutError):
        async with asyncio.timeout(min(LIMIT_S, left_s * _SHARE)):
            measurement = _Measurement(page, report.worlds, viewport)
            if is_scaled:
                await measurement.see_scale()
            await measurement.run(found[:MAX_TEXTS], may_scroll=may_scroll)


class _Measurement:
    """The contrast measurement of one page."""

    def __init__(self, page: Page, worlds: Sequence[World], viewport: Viewport) -> None:
        self._page = page
        self._worlds = worlds
        self._window = Edges(0, 0, viewport.width, viewport.height)
        self._scale = 1.0
        self._touched: set[int] = set()
        self._unseen: set[ElementId] = set()
        """Attempts per element: a frame of another process may be drawn later than the page around it, so it gets
        two."""

    async def see_scale(self) -> None:
        """Determine the visible part of the page and its scale: a phone shrinks a page without a viewport."""
        width, height, self._scale = await self._ask(0, _SEEN)
        self._window = Edges(0, 0, width, height)

    async def run(self, found: Sequence[tuple[str, JsonObject]], *, may_scroll: bool) -> None:
        """Measure view by view; restores the page at the end."""
        paths: dict[ElementId, Path] = {node["at"][-1]: node["at"] for _, node in found}
        frames = {step[0] for path in paths.values() for step in path}
        try:
            await self._in_all(frames, f"{script('contrast')}; globalThis.sightlineRest?.hold()")
            self._touched = frames
            for _ in range(MAX_VIEWS if may_scroll else 1):
                if not paths:
                    break
                shown = next(iter(paths)) if may_scroll else None
                measured = await self._measure_view(paths, shown)
                for rule, node in found:
                    if pixels := measured.get(node["at"][-1]):
                        text, lowest, highest = pixels
                        needed = needed_of(rule, font_px=text.font_px, weight=text.weight)
                        node["contrast"] = judge(lowest, highest, needed)
                paths = {name: path for name, path in paths.items() if name not in measured}
        finally:
            back = "sightlineContrast.paintBack(), sightlineContrast.scrollBack()"
            await asyncio.shield(self._in_touched(back))

    async def _measure_view(
        self, paths: dict[ElementId, Path], shown: ElementId | None
    ) -> dict[ElementId, tuple[Text, int, int] | None]:
        """Return the finished texts with their measurement, or None if there is nothing to measure."""
        for frame, number in paths[shown] if shown else ():
            await self._ask(frame, f"sightlineContrast.show({number})")
        texts = await self._look(paths)
        done: dict[ElementId, tuple[Text, int, int] | None] = {name: None for name in paths if name not in texts}
        chosen = choose(texts, shown=shown)
        if not chosen:
            return done
        area = self._area_of(part for name in chosen for part in texts[name].texts)
        clip = {} if area == self._window else await self._clip(area)
        shots: dict[str, str] = {}
        try:
            for how in _PAINTS:
                if how != "plain":
                    await self._paint(chosen, how)
                shots[how] = await self._shot(clip)
        finally:
            await asyncio.shield(self._in_touched("sightlineContrast.paintBack()"))
        parts = [[part.cut(texts[name].window) for part in texts[name].texts] for name in chosen]
        boxes = [[part.moved(-area.left, -area.top).scaled(self._scale) for part in some] for some in parts]
        ratios = await self._ask(0, f"({script('pixels').rstrip()})({literal(shots)}, {literal(boxes)})")
        for name, pair in zip(chosen, ratios, strict=True):
            if pair or len(paths[name]) == 1 or name in self._unseen:
                done[name] = (texts[name], *pair) if pair else None
            self._unseen.add(name)
        return done

    async def _look(self, paths: dict[ElementId, Path]) -> dict[ElementId, Text]:
        """Return the measurable texts at their current positions."""
        windows = await self._windows({path[:-1] for path in paths.values()})
        by_frame: dict[int, list[int]] = {}
        for frame, number in paths:
            by_frame.setdefault(frame, []).append(number)
        texts: dict[ElementId, Text] = {}
        for frame, numbers in by_frame.items():
            seen = await self._ask(frame, f"sightlineContrast.look({numbers})")
            for number, one in zip(numbers, seen, strict=True):
                if one:
                    window = windows[paths[frame, number][:-1]]
                    texts[frame, number] = _read_text(one, frame, window)
        return {name: texts[name] for name in paths if name in texts}

    async def _windows(self, owners: set[Path]) -> dict[Path, tuple[Edges, Edges]]:
        """Return each document's position and visible part by the path of its frame elements."""
        windows: dict[Path, tuple[Edges, Edges]] = {(): (self._window, self._window)}
        for path in sorted((owner[: i + 1] for owner in owners for i in range(len(owner))), key=len):
            if path not in windows:
                place, seen = windows[path[:-1]]
                frame, number = path[-1]
                inner = Edges(*await self._ask(frame, f"sightlineContrast.frame({number})"))
                inner = inner.moved(place.left, place.top)
                windows[path] = (inner, inner.cut(seen))
        return windows

    def _area_of(self, texts: Iterable[Edges]) -> Edges:
        """Return the part of the window that has the texts; the whole window if pixels are scaled."""
        area = area_around(texts).cut(self._window)
        return self._window if self._scale != 1 or area.is_empty else area

    async def _paint(self, chosen: Sequence[ElementId], how: str) -> None:
        for frame in {frame for frame, _ in chosen}:
            numbers = [number for owner, number in chosen if owner == frame]
            await self._ask(frame, f"sightlineContrast.paint({numbers}, {literal(how)})")

    async def _clip(self, area: Edges) -> JsonObject:
        """Return the clip of a screenshot of that part of the window, in the document's pixels."""
        left, top = await self._ask(0, "[scrollX, scrollY]")
        size = {"width": area.right - area.left, "height": area.bottom - area.top, "scale": 1}
        return {"clip": {"x": area.left + left, "y": area.top + top, **size}}

    async def _shot(self, clip: JsonObject) -> str:
        asked = {"format": "png", "optimizeForSpeed": True, **clip}
        return str((await self._page.session.call("Page.captureScreenshot", asked, timeout_s=LIMIT_S))["data"])

    async def _in_touched(self, call: str) -> None:
        """Call a script in each changed document; failures are ignored."""
        calls = (self._ask(frame, call, limit_s=_BACK_LIMIT_S) for frame in self._touched)
        await asyncio.gather(*calls, return_exceptions=True)

    async def _in_all(self, frames: set[int], call: str) -> None:
        await asyncio.gather(*(self._ask(frame, call) for frame in frames))

    async def _ask(self, frame: int, call: str, *, limit_s: float = LIMIT_S) -> Any:
        world = self._worlds[frame]
        return await self._page.evaluate(world.session, world.context, call, timeout_s=limit_s)


def _read_text(found: JsonObject, frame: int, window: tuple[Edges, Edges]) -> Text:
    place, seen = window
    return Text(
        texts=tuple(Edges(*box).moved(place.left, place.top) for box in found["texts"]),
        box=Edges(*found["box"]).moved(place.left, place.top),
        window=seen,
        is_clear=found["is_clear"],
        within=frozenset((frame, number) for number in found["within"]),
        font_px=found["font_px"],
        weight=found["weight"],
    )
