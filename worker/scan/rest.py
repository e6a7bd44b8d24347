"""Brings a page to rest before the audit: scrolls through it once, finishes its animations, stops its scripts.

Content that loads or appears on scrolling is part of the page; an image in the middle of a fade-in is not meant to be
read. Finite animations are finished, endless ones are stopped where they show most, and from then on no timer of the
page runs. Everything is bounded and best effort: a page that cannot be brought to rest is audited as it is. The script
in a document is ``js/rest.js``; ``load.py`` waits for the page to load.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed, JsonObject, Session
from worker.scan.page import Page, ScriptFailed, literal

_MAX_STEPS: Final = 60
"""Steps of scrolling through one document, each three quarters of a window high and one frame long."""
_ROUNDS: Final = 4
"""Rounds of scrolling: a page that has grown or is long is scrolled further, but a feed grows without end."""
_SCROLL_LIMIT_S: Final = 6.0
_STARTED_LIMIT_S: Final = 2.5
"""Timeout of loading triggered by one round of scrolling."""
_REST_LIMIT_S: Final = 1.5
"""Timeout of scripts that change styles gradually, and of changing frames."""
_STYLE_QUIET_MS: Final = 150
_LOOK_EVERY_S: Final = 0.05
_ASK_LIMIT_S: Final = 2.0
_FRAME_ASK_LIMIT_S: Final = 0.5
_MAX_FRAMES_ASKED: Final = 100
"""As many as are read (``settings.py``)."""
_MAX_FRAMES_SCROLLED: Final = 10
_SHARE: Final = 0.2
"""Maximum share of the page's remaining time for each of the two."""

_CHANGES: Final = "the page kept changing while it was scrolled: the content further down was not scanned"
_CUT: Final = "the page, or a part of it, is too long or busy to be scrolled through: what comes later was not scanned"

_Frame = tuple[Session, str]


class Rest:
    """Brings one page to rest.

    ``quiet_ms`` is the time for which network and document must be still after scrolling, ``frame_limit_s`` the longest
    wait for a frame that scrolling has begun to load.
    """

    def __init__(self, page: Page, *, quiet_ms: int, frame_limit_s: float) -> None:
        self._page = page
        self._frame_limit_s = frame_limit_s
        self._quiet_ms = quiet_ms
        self._prepared: set[tuple[str, int]] = set()

    async def scroll(self, *, left_s: float) -> str:
        """Scroll through the page and its frames, wait for triggered loading, and scroll back.

        Returns why it stopped before the end, or ''.
        """
        end_s, frames_left_s = time.monotonic() + min(_SCROLL_LIMIT_S, left_s * _SHARE), left_s * _SHARE
        watch = self._page.watch
        navigations, is_touched, is_cut = watch.navigations, False, False
        for _ in range(_ROUNDS):
            begun_s, known = time.monotonic(), frozenset(watch.inflight)
            steps, is_cut = await self._scroll_all(end_s)
            is_touched = is_touched or steps > 0
            waited_s = await self._wait_for_frames(frames_left_s)
            end_s, frames_left_s = end_s + waited_s, frames_left_s - waited_s
            if not waited_s and not (steps and (is_cut or await self._has_changed(begun_s, known))):
                break
            await self._wait_for_started(known, min(end_s, time.monotonic() + _STARTED_LIMIT_S))
            if watch.navigations != navigations or time.monotonic() >= end_s:
                break
        if watch.navigations != navigations:
            return ""
        if is_touched and any(await self._ask_all("sightlineRest.restore()", await self._frames())):
            return _CHANGES
        return _CUT if is_cut else ""

    async def wait_for_frames(self, *, left_s: float) -> None:
        """Wait for frames' documents without scrolling."""
        await self._wait_for_frames(left_s * _SHARE)

    async def settle(self, *, left_s: float) -> None:
        """Finish animations and stop the page's scripts."""
        await self._page.thaw(timeout_s=_ASK_LIMIT_S)
        end_s = time.monotonic() + min(_REST_LIMIT_S, left_s * _SHARE)
        while True:
            frames = await self._frames()
            found = await self._ask_all("sightlineRest.finish()", frames)
            finished = sum(int(one["finished"]) for one in found if one)
            is_styled = any(one["styled_ms"] < _STYLE_QUIET_MS for one in found if one)
            # The limit of waiting for the page itself has already been decided.
            is_changing = any(one["still_ms"] < _STYLE_QUIET_MS for one in found[1:] if one)
            if not (finished or is_styled or is_changing) or time.monotonic() >= end_s:
                break
            if finished:
                await self._ask(self._top, "sightlineRest.drawn()")
            else:
                await asyncio.sleep(_LOOK_EVERY_S)
        if any(one["may_freeze"] for one in found if one):
            await self._page.freeze(timeout_s=_ASK_LIMIT_S)
            await self._ask_all("globalThis.sightlineFrozen = true, sightlineRest.finish()", await self._frames())

    # ------------------------------------------------------------------------------------------ scrolling

    async def _scroll_all(self, end_s: float) -> tuple[int, bool]:
        """Scroll on through each document; return the number of steps, and whether any was cut short."""
        top = await self._ask(self._top, "sightlineRest.survey()")
        if not top:
            return 0, True  # it is busy
        steps, is_cut = await self._scroll_one(self._top, end_s) if top["is_worth_scrolling"] else (0, False)
        frames = (await self._frames())[1:] if top["frames"] else []
        surveys = await self._ask_all("sightlineRest.survey()", frames)
        worth = [frame for frame, found in zip(frames, surveys, strict=True) if found and found["is_worth_scrolling"]]
        is_cut = is_cut or len(worth) > _MAX_FRAMES_SCROLLED
        for session, frame_id in worth[:_MAX_FRAMES_SCROLLED]:
            if time.monotonic() >= end_s:
                return steps, True
            await self._bring_into_view(session, frame_id)
            more, is_one_cut = await self._scroll_one((session, frame_id), end_s)
            steps, is_cut = steps + more, is_cut or is_one_cut
        return steps, is_cut

    async def _scroll_one(self, frame: _Frame, end_s: float) -> tuple[int, bool]:
        limit_s = max(0.0, end_s - time.monotonic())
        call = f"sightlineRest.scroll({_MAX_STEPS}, {literal(round(limit_s * 1000))})"
        if found := await self._ask(frame, call, limit_s=limit_s + _FRAME_ASK_LIMIT_S):
            return int(found["steps"]), bool(found["is_cut"])
        is_over = time.monotonic() >= end_s  # it was busy with a step, and stays where it is until it is scrolled back
        return int(is_over), is_over

    async def _bring_into_view(self, session: Session, frame_id: str) -> None:
        """Scroll the frame into view, so that it is drawn and its observers fire."""
        for owner in (session, self._page.session):
            with contextlib.suppress(CallFailed):
                found = await owner.call("DOM.getFrameOwner", {"frameId": frame_id}, timeout_s=_FRAME_ASK_LIMIT_S)
                node = {"backendNodeId": found["backendNodeId"]}
                await owner.call("DOM.scrollIntoViewIfNeeded", node, timeout_s=_FRAME_ASK_LIMIT_S)
                return

    async def _has_changed(self, begun_s: float, known: frozenset[str]) -> bool:
        # Asked first: after the document's reply, everything that observers have started since the last step is known.
        found = await self._ask_all("sightlineRest.changes()", await self._frames())
        watch = self._page.watch
        if watch.inflight.keys() - known or watch.last_network_s >= begun_s:
            return True
        return any(one["still_ms"] < (time.monotonic() - begun_s) * 1000 for one in found if one)

    async def _wait_for_started(self, known: frozenset[str], end_s: float) -> None:
        """Wait until requests started after ``known`` have ended and the document is quiet."""
        watch = self._page.watch
        while time.monotonic() < end_s:
            found = await self._ask_all("sightlineRest.changes()", await self._frames())
            still_ms = min((one["still_ms"] for one in found if one), default=0.0)
            network_ms = (time.monotonic() - watch.last_network_s) * 1000
            if not watch.inflight.keys() - known and min(still_ms, network_ms) >= self._quiet_ms:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _wait_for_frames(self, left_s: float) -> float:
        """Wait for documents of frames requested less than ``frame_limit_s`` ago; returns the seconds waited.

        A lazy frame does not delay the page's load event, and without its document there is nothing to audit.
        """
        start_s = time.monotonic()

        def due() -> list[float]:
            frames = (one for one in self._page.watch.inflight.values() if one.kind == "Document")
            ends = (one.began_s + self._frame_limit_s for one in frames if one.frame_id != self._page.watch.frame_id)
            return [end_s for end_s in ends if end_s > time.monotonic()]

        if not (ends := due()) or left_s <= 0:
            return 0.0
        await self._page.until(lambda: not due(), timeout_s=min(left_s, max(ends) - start_s))
        return time.monotonic() - start_s

    # ------------------------------------------------------------------------------------------ asking

    @property
    def _top(self) -> _Frame:
        return self._page.session, self._page.watch.frame_id

    async def _frames(self) -> list[_Frame]:
        """Return the page's own document, then its frames."""
        if not self._page.watch.has_frames:
            return [self._top]
        sessions = self._page.sessions
        calls = (session.call("Page.getFrameTree", timeout_s=_FRAME_ASK_LIMIT_S) for session in sessions)
        trees = await asyncio.gather(*calls, return_exceptions=True)
        found = [
            (session, frame_id)
            for session, tree in zip(sessions, trees, strict=True)
            if not isinstance(tree, BaseException)  # the process is busy or gone
            for frame_id in _frame_ids(tree["frameTree"])
        ]
        return [self._top, *(frame for frame in found if frame != self._top)][: _MAX_FRAMES_ASKED + 1]

    async def _ask_all(self, call: str, frames: list[_Frame]) -> list[Any]:
        limits = (_ASK_LIMIT_S if frame == self._top else _FRAME_ASK_LIMIT_S for frame in frames)
        return await asyncio.gather(
            *(self._ask(frame, call, limit_s=limit) for frame, limit in zip(frames, limits, strict=True))
        )

    async def _ask(self, frame: _Frame, call: str, *, limit_s: float = _ASK_LIMIT_S) -> Any:
        """Return the answer of a document; None if it is busy, gone or inaccessible."""
        session, frame_id = frame
        with contextlib.suppress(CallFailed, ScriptFailed):
            world = await self._page.world(session, frame_id, timeout_s=limit_s)
            name = (session.session_id, world)
            call = call if name in self._prepared else f"{script('rest')}; {call}"
            found = await self._page.evaluate(session, world, call, timeout_s=limit_s)
            self._prepared.add(name)
            return found
        return None


def _frame_ids(tree: JsonObject) -> Iterator[str]:
    """Yield the ids in the tree, depth first; it may be deeper than Python's stack."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        yield str(one["frame"]["id"])
        waiting += reversed(one.get("childFrames", ()))
