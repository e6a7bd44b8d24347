"""Takes screenshots of a page and of failing elements, on request, after axe-core has finished.

Pure functions choose the elements and margins; the total size is bounded. A page that cannot be drawn is still scanned.
The browser draws an area that has several of them once, without loss, and ``js/crops.js`` cuts it: each drawing takes
three frames, 50 ms. Storage of the screenshots: ``producer/keys.py``, ``shot``.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple

from producer.contract import PAGE_SHOT, Finding, NamedElement, ScanRequest, Viewport
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.page import Page, ScriptFailed, literal

MAX_HEIGHT: Final = 16_384
"""Chromium's maximum height of a screenshot; taller pages are cut there."""
MAX_CROPS: Final = 60
CROPS_PER_FINDING: Final = 3
MARGIN: Final = 12
"""Margin around an element in pixels, since its surroundings help to recognise it."""
MAX_CROP: Final = (1_280, 600)
MAX_PAGE_BYTES: Final = 1_500_000
MAX_ALL_BYTES: Final = 4_000_000
"""Maximum bytes of screenshots per scan."""
JUDGED_SIDE: Final = 448
"""Longer side in pixels of an image for a model: most models read no more."""
LEAST_JUDGED: Final = 24
MAX_JUDGED_BYTES: Final = 60_000
LIMIT_S: Final = 15.0
MAX_AREA: Final = 2_500_000
"""Most pixels of an area that is drawn once and cut: a million takes 60 ms, and 4 MB in the page's process."""
_QUALITY: Final = 80
_SMALLER: Final = ((60, 0.5), (50, 0.25))
"""Quality and scale of a page's screenshot that is too large, tried until it is small enough."""


class Box(NamedTuple):
    """A rectangle in the page's pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(slots=True)
class Pictures:
    """JPEGs: ``shots`` by ``PAGE_SHOT`` or node fingerprint; ``missing`` says in words what is missing."""

    shots: dict[str, bytes]
    missing: str = ""

    def add(self, name: str, shot: bytes) -> None:
        """Add the screenshot of an element, or the page's, as far as the sizes allow."""
        size = len(shot) + sum(map(len, self.shots.values()))
        if name == PAGE_SHOT and len(shot) > MAX_PAGE_BYTES:
            smallest = f"even at {_SMALLER[-1][1]:.0%} of its size"
            self.missing = f"the page's screenshot is larger than {MAX_PAGE_BYTES:,} bytes {smallest}"
        elif name != PAGE_SHOT and size > MAX_ALL_BYTES:
            self.missing = f"only {MAX_ALL_BYTES:,} bytes of screenshots are kept per scan"
        else:
            self.shots[name] = shot


def crop_of(box: Sequence[int], page: Box) -> Box | None:
    """Return the clip of an element: its box with a margin, cut to the page; None if it is not visible."""
    left, top, width, height = box
    if width <= 0 or height <= 0:
        return None
    x, y = max(left - MARGIN, page.left), max(top - MARGIN, page.top)
    right = min(left + width + MARGIN, page.left + page.width, x + MAX_CROP[0])
    bottom = min(top + height + MARGIN, page.top + page.height, y + MAX_CROP[1])
    is_outside = left >= right or top >= bottom or left + width <= x or top + height <= y
    return None if is_outside else Box(x, y, right - x, bottom - y)


def crops_wanted(findings: Iterable[Finding], page: Box) -> dict[str, Box]:
    """Return the crops by node fingerprint: the first few visible nodes of each finding, worst finding first.

    Nodes in frames have no box and no crop.
    """
    wanted: dict[str, Box] = {}
    for finding in findings:
        boxes = ((node.fingerprint, node.box) for node in finding.nodes)
        crops = ((name, crop) for name, box in boxes if box and (crop := crop_of(box, page)))
        wanted.update(pair for pair, _ in zip(crops, range(CROPS_PER_FINDING), strict=False))
    return dict(list(wanted.items())[:MAX_CROPS])


def areas_of(boxes: Iterable[Box]) -> list[tuple[Box, list[Box]]]:
    """Return areas to draw, each with the different boxes in it; those of earlier boxes first."""
    ranked = {box: rank for rank, box in enumerate(dict.fromkeys(boxes))}
    areas: list[tuple[Box, list[Box]]] = []
    for box in sorted(ranked, key=lambda box: (box.top, -box.height)):
        joined = around(areas[-1][0], box) if areas else box
        if areas and joined.width * joined.height <= MAX_AREA:
            areas[-1] = joined, [*areas[-1][1], box]
        else:
            areas.append((box, [box]))
    return sorted(areas, key=lambda area: min(ranked[box] for box in area[1]))


def around(one: Box, other: Box) -> Box:
    """Return the smallest box that has both in it."""
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(one.left + one.width, other.left + other.width)
    return Box(left, top, right - left, max(one.top + one.height, other.top + other.height) - top)


async def draw(
    page: Page,
    request: ScanRequest,
    findings: Sequence[Finding],
    judged: dict[str, Box],
    *,
    page_height: int,
    left_s: float,
) -> Pictures:
    """Return the screenshots that ``request`` wants, and the images to be ``judged``."""
    began, pictures = monotonic(), Pictures({})
    if request.screenshot:
        pictures = await take_pictures(
            page,
            findings,
            viewport=request.window,
            page_height=page_height,
            left_s=left_s,
            pixel_ratio=request.pixel_ratio,
        )
    left_s -= monotonic() - began
    await take_judged(page, judged, pictures, left_s=left_s, pixel_ratio=request.pixel_ratio)
    return pictures


async def take_pictures(
    page: Page,
    findings: Sequence[Finding],
    *,
    viewport: Viewport,
    page_height: int,
    left_s: float,
    pixel_ratio: float = 1.0,
) -> Pictures:
    """Return the page's screenshot and as many crops as time and size allow. Never raises because of the page.

    A CSS pixel is one image pixel, regardless of ``pixel_ratio``.
    """
    pictures = Pictures({})
    try:
        async with asyncio.timeout(min(LIMIT_S, left_s)):
            width = viewport.width if pixel_ratio == 1 else max(viewport.width, await _layout_width(page))
            whole = Box(0, 0, width, min(max(page_height, viewport.height), MAX_HEIGHT))
            wanted = {PAGE_SHOT: whole, **crops_wanted(findings, whole)}
            for area, boxes in areas_of(wanted.values()):
                taken = dict(zip(boxes, await _cut(page, area, boxes, pixel_ratio), strict=True))
                if whole in taken:
                    taken[whole] = await _shrunk(page, whole, taken[whole], pixel_ratio)
                for name, box in wanted.items():
                    if box in taken:
                        pictures.add(name, taken[box])
    except (CallFailed, ScriptFailed, TimeoutError) as error:
        pictures.missing = f"not all screenshots could be taken: {str(error) or 'there was no time left'}"
    return pictures


def judged_wanted(names: Iterable[NamedElement], *, most: int) -> dict[str, Box]:
    """Return the images whose text a model may judge, by node fingerprint: those large enough to be judged."""
    boxes = ((one.node.fingerprint, Box(*one.node.box)) for one in names if one.node.box)
    return dict([(name, box) for name, box in boxes if min(box.width, box.height) >= LEAST_JUDGED][:most])


async def take_judged(
    page: Page, wanted: dict[str, Box], pictures: Pictures, *, left_s: float, pixel_ratio: float = 1.0
) -> None:
    """Add the images for a model, scaled down to the size that it reads. Never raises because of the page."""
    try:
        async with asyncio.timeout(min(LIMIT_S, left_s)):
            for name, box in wanted.items():
                scale = min(1.0, JUDGED_SIDE / max(box.width, box.height)) / pixel_ratio
                shot = await _capture(page, box, quality=_QUALITY, scale=scale)
                if name not in pictures.shots and len(shot) <= MAX_JUDGED_BYTES:
                    pictures.shots[name] = shot
    except (CallFailed, TimeoutError):
        return  # these are judged by their words


async def _layout_width(page: Page) -> int:
    """Return the page's layout width: on a phone 980 pixels, unless it requests the window's width."""
    metrics = await page.session.call("Page.getLayoutMetrics", {}, timeout_s=LIMIT_S)
    return int(metrics["cssLayoutViewport"]["clientWidth"])


async def _cut(page: Page, area: Box, boxes: Sequence[Box], pixel_ratio: float) -> list[bytes]:
    """Return the screenshots of the boxes, which lie in the area."""
    if len(boxes) == 1:
        return [await _capture(page, area, quality=_QUALITY, scale=1 / pixel_ratio)]
    drawn = await _draw(page, area, {"format": "png"}, scale=1 / pixel_ratio)
    within = [box._replace(left=box.left - area.left, top=box.top - area.top) for box in boxes]
    world = await page.world(page.session, page.watch.frame_id, timeout_s=LIMIT_S)
    call = f"({script('crops').rstrip()})({literal(drawn)}, {literal(within)}, {_QUALITY / 100})"
    return [base64.b64decode(shot) for shot in await page.evaluate(page.session, world, call, timeout_s=LIMIT_S)]


async def _shrunk(page: Page, whole: Box, shot: bytes, pixel_ratio: float) -> bytes:
    """Return the page's screenshot, taken again and smaller as long as it is too large."""
    for quality, scale in _SMALLER:
        if len(shot) <= MAX_PAGE_BYTES:
            break
        shot = await _capture(page, whole, quality=quality, scale=scale / pixel_ratio)
    return shot


async def _capture(page: Page, box: Box, *, quality: int, scale: float) -> bytes:
    return base64.b64decode(await _draw(page, box, {"format": "jpeg", "quality": quality}, scale=scale))


async def _draw(page: Page, box: Box, form: JsonObject, *, scale: float) -> str:
    """Return a screenshot in base64."""
    clip: JsonObject = {"x": box.left, "y": box.top, "width": box.width, "height": box.height, "scale": scale}
    asked: JsonObject = {**form, "clip": clip, "captureBeyondViewport": True, "optimizeForSpeed": True}
    return str((await page.session.call("Page.captureScreenshot", asked, timeout_s=LIMIT_S))["data"])
