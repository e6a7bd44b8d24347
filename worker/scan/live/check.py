"""The interface of a live check: its inputs and its result.

A check declares what it needs from the page, its time limit in seconds and what its findings prove; ``run`` performs
it and adds each finding to the outcome at once, so that those of a check that runs out of time are kept. All checks of
a page share one ``Hand``: they run one after the other on the loaded page, those that disturb it most last. Next:
``run.py``, then the checks.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from producer.contract import ScanRequest
from producer.contract.live import LivePath
from worker.scan.axe import World
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.page import Page, literal

MARGIN: Final = 16
"""Margin in pixels around an element in its screenshots, since outlines may be offset."""
MAX_PICTURE: Final = (640, 360)
MAX_PICTURES: Final = 24
"""Maximum for one page, all checks together."""
MAX_PICTURE_BYTES: Final = 1_000_000
ASK_LIMIT_S: Final = 3.0

Place = tuple[int, ...]
"""The frame of an element: numbers of worlds from the top document to it; ``(0,)`` is the top document."""
Box = tuple[float, float, float, float]
"""Left, top, width, height in the page's pixels."""


@dataclass(slots=True)
class Found:
    """One element that a rule asks to have reviewed, identified by numbers of the isolated worlds.

    ``numbers`` leads to it through the documents in ``place``: the number of each frame element, last its own.
    """

    rule: str
    why: str
    numbers: tuple[int, ...]
    place: Place = (0,)
    keys: tuple[str, ...] = ()
    measured: Mapping[str, str] = field(default_factory=dict[str, str])
    before: tuple[str, bytes] | None = None
    """A caption and the screenshot."""
    after: tuple[str, bytes] | None = None


@dataclass(slots=True)
class Outcome:
    """The findings of a check; ``more`` counts unlisted elements, ``left_out`` says what was not checked."""

    found: list[Found] = field(default_factory=list[Found])
    more: dict[str, int] = field(default_factory=dict[str, int])
    left_out: str = ""
    path: LivePath | None = None
    shots: dict[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``needs`` and ``proves`` are sentences for ``docs/live.md``; a test compares them."""

    name: str
    rules: tuple[str, ...]
    needs: str
    most_s: float
    proves: str
    run: Callable[[Hand, Outcome], Awaitable[None]]
    disturbs: Literal["nothing", "layout", "use"] = "nothing"


@dataclass(slots=True)
class _Taken:
    """The number of screenshots taken for one page."""

    pictures: int = 0


class Hand:
    """Access to the page for checks: queries its documents, takes screenshots, keeps the time."""

    def __init__(
        self,
        page: Page,
        worlds: Sequence[World],
        request: ScanRequest,
        *,
        left_s: Callable[[], float],
        mask: Callable[[], Awaitable[bool]],
        scripts: Sequence[str] = (),
    ) -> None:
        self.page = page
        self.worlds = worlds
        self.request = request
        self.left_s = left_s
        self._mask = mask
        self._loaded: set[tuple[int, str]] = set()
        self._scripts = tuple(scripts)
        self._taken = _Taken()

    def using(self, *scripts: str, left_s: Callable[[], float]) -> Hand:
        """Return access for one check, with its scripts and the seconds that it has left."""
        own = ("live", *scripts)
        hand = Hand(self.page, self.worlds, self.request, left_s=left_s, mask=self._mask, scripts=own)
        hand._loaded, hand._taken = self._loaded, self._taken
        return hand

    async def ask(self, call: str, *, frame: int = 0, limit_s: float = ASK_LIMIT_S) -> Any:
        """Return the value of an expression in a document, after loading the check's scripts.

        Raises ``CallFailed`` and ``ScriptFailed``.
        """
        world = self.worlds[frame]
        missing = [name for name in self._scripts if (frame, name) not in self._loaded]
        if missing:
            # Selectors of the request are about the page's own document.
            limits = f"sightlineLive.limit({literal(self.request.include)}, {literal(self.request.exclude)})"
            sources = [f"{script(name)};{limits}" if (frame, name) == (0, "live") else script(name) for name in missing]
            call = ";\n".join((*sources, call))
        limit_s = max(0.05, min(limit_s, self.left_s()))
        found = await self.page.evaluate(world.session, world.context, call, timeout_s=limit_s)
        self._loaded |= {(frame, name) for name in missing}
        return found

    async def press(self, events: Sequence[JsonObject]) -> None:
        """Send the events of a key to the page."""
        calls = [
            self.page.session.call(
                "Input.dispatchKeyEvent", event, timeout_s=max(0.05, min(ASK_LIMIT_S, self.left_s()))
            )
            for event in events
        ]
        await asyncio.gather(*calls)

    async def move_mouse(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        moved = {"type": "mouseMoved", "x": x, "y": y}
        await self.page.session.call("Input.dispatchMouseEvent", moved, timeout_s=max(0.05, min(1.0, self.left_s())))

    @property
    def takes_pictures(self) -> bool:
        """Whether screenshots were requested and more fit."""
        return self.request.screenshot and self._taken.pictures < MAX_PICTURES

    def count_picture(self) -> None:
        """Count a screenshot that a check took directly."""
        self._taken.pictures += 1

    async def picture(self, box: Box) -> bytes:
        """Return a JPEG of a part of the page with its surroundings; empty if none can be taken."""
        if not self.takes_pictures or box[2] < 1 or box[3] < 1:
            return b""
        self._taken.pictures += 1
        left, top = max(0.0, box[0] - MARGIN), max(0.0, box[1] - MARGIN)
        width = min(box[0] + box[2] + MARGIN - left, MAX_PICTURE[0])
        height = min(box[1] + box[3] + MARGIN - top, MAX_PICTURE[1])
        if width < 1 or height < 1:
            return b""
        clip: JsonObject = {
            "x": left,
            "y": top,
            "width": width,
            "height": height,
            "scale": 1 / self.request.pixel_ratio,
        }
        try:
            return await self.capture({"format": "jpeg", "quality": 70, "clip": clip, "captureBeyondViewport": True})
        except CallFailed:
            return b""

    async def capture(self, asked: JsonObject) -> bytes:
        """Return a screenshot without secrets; ``asked`` are the parameters of the browser's call.

        Raises ``CallFailed``. The page may have drawn a secret again since the last one.
        """
        if not await self._mask():
            msg = "no screenshot may be taken: a secret on the page could not be hidden"
            raise CallFailed(msg)
        limit_s = max(0.05, min(ASK_LIMIT_S, self.left_s()))
        asked = {"optimizeForSpeed": True, **asked}
        shot = await self.page.session.call("Page.captureScreenshot", asked, timeout_s=limit_s)
        return base64.b64decode(shot["data"])


def box_of(found: Sequence[float]) -> Box:
    """Return a script's position as a box."""
    left, top, width, height = found
    return (left, top, width, height)
