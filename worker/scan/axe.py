"""Runs axe-core in every frame of a page and returns its raw report; what that means is in ``findings.py``.

axe-core is shipped with its licence and checked against its SHA-256 before it is used. It runs in an isolated world,
frame by frame with ``axe.runPartial``, cross-origin frames included, and is merged by ``axe.finishRun``; for honest
pages this equals ``axe.run`` (https://github.com/dequelabs/axe-core/blob/develop/doc/run-partial.md). A frame that
cannot be read is named, never left out in silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from producer.contract import ScanRequest, Standard
from producer.errors import InvalidJob, ScanFailed
from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject, Session
from worker.scan.page import Page, ScriptFailed, literal

_FOLDER: Final = Path(__file__).parent
_LEVELS: Final = (("wcag2a",), ("wcag2aa",), ("wcag21a", "wcag21aa"), ("wcag22a", "wcag22aa"), ("best-practice",))
_DEPTH: Final[dict[Standard, int]] = {
    "wcag2a": 1,
    "wcag2aa": 2,
    "wcag21aa": 3,
    "wcag22aa": 4,
    "wcag22aaa": 4,
    "best-practice": 5,
}
_AAA: Final = ("wcag2aaa", "wcag21aaa", "wcag22aaa")
_MERGE_SHARE: Final = 0.3
"""Of the time left for frames, kept for merging what was read: late frames must not cost the page its result."""
_LEAST_S: Final = 0.05
_LOADED: Final = -1
_LOAD: Final = f"Object.hasOwn(globalThis, 'sightlineLoad') ? (sightlineLoad(), {_LOADED}) : window.length"
"""``_LOADED``, or how many frames the document has."""
_IS_ERROR_PAGE: Final = "location.protocol === 'chrome-error:'"


@dataclass(frozen=True, slots=True)
class AxeSource:
    """axe-core's program text and version, checked."""

    text: str
    version: str


@dataclass(slots=True)
class AxeReport:
    """axe-core's raw answer; ``unread_frames`` maps a frame's URL or selector to why it was not read."""

    violations: list[JsonObject] = field(default_factory=list[JsonObject])
    incomplete: list[JsonObject] = field(default_factory=list[JsonObject])
    unread_frames: dict[str, str] = field(default_factory=dict[str, str])
    frame_ids: set[str] = field(default_factory=set[str])
    """Frames in the part of the page that was asked for, whether they could be read or not."""


@cache
def load_axe(folder: Path = _FOLDER / "vendor" / "axe-core") -> AxeSource:
    """Return axe-core as shipped; raise ``ScanFailed`` when the file is not the one its VERSION file names."""
    first, second = (folder / "VERSION").read_text(encoding="utf-8").splitlines()[:2]
    expected, content = second.split()[1], (folder / "axe.min.js").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        msg = f"{str(folder / 'axe.min.js')!r} has SHA-256 {found}: expected {expected}; reinstall sightline"
        raise ScanFailed(msg)
    return AxeSource(content.decode(), first.split()[1])


@cache
def script(name: str) -> str:
    """Return one of our in-page scripts."""
    return (_FOLDER / "js" / f"{name}.js").read_text(encoding="utf-8")


@cache
def audit_script() -> str:
    """Return the script that loads axe-core in our world of one document; evaluated again it does nothing."""
    return f"if (!Object.hasOwn(globalThis, 'axe')) {{{load_axe().text}\n{script('media')}}}\n{script('audit')}"


@cache
def shared_script() -> str:
    """Return the script that makes ``audit_script`` callable, for all documents of a process at once.

    Given to a session once, it costs a page with fifty frames one transfer instead of fifty; a page without frames is
    better off with ``audit_script``, as V8 then reads the text once.
    """
    return f"globalThis.sightlineLoad = () => {{ {audit_script()} }};"


def tags_of(standard: Standard) -> list[str]:
    """Return axe-core's tags for a standard: a level includes those below and before it."""
    below = [tag for level in _LEVELS[: _DEPTH[standard]] for tag in level]
    return [*below, *_AAA] if standard == "wcag22aaa" else below


def options_for(request: ScanRequest) -> JsonObject:
    """Return axe-core's run options for the request."""
    return {
        "runOnly": {"type": "tag", "values": tags_of(request.standard)},
        "rules": {rule: {"enabled": True} for rule in request.enabled_rules}
        | {rule: {"enabled": False} for rule in request.disabled_rules},
        "resultTypes": ["violations", "incomplete"],
        "ancestry": True,
    }


def context_for(request: ScanRequest) -> JsonObject:
    """Return axe-core's context: the whole page unless the request includes or excludes parts of it."""
    context: JsonObject = {"exclude": [[selector] for selector in request.exclude]}
    if request.include:
        context["include"] = [[selector] for selector in request.include]
    return context


class AxeRun:
    """One run over one page. ``left_s`` tells how many seconds remain for it."""

    def __init__(
        self, page: Page, request: ScanRequest, *, left_s: Callable[[], float], frame_limit_s: float, max_frames: int
    ) -> None:
        self._page = page
        self._options = literal(options_for(request))
        self._context = literal(context_for(request))
        self._left_s = left_s
        self._frame_limit_s = frame_limit_s
        self._max_frames = max_frames
        self._frames = 0
        self._reserve_s = 0.0
        self._unread: dict[str, str] = {}
        self._reached: set[str] = set()
        self._shared: set[str] = set()

    async def run(self, *, max_nodes: int, with_boxes: bool) -> AxeReport:
        """Return the merged report.

        Raises ``ScriptFailed`` when axe-core fails in the top frame, ``CallTimedOut`` when it does not end in time,
        ``InvalidJob`` for a rule that does not exist.
        """
        top, session = self._page.watch.frame_id, self._page.session
        world = await self._load(session, top, self._left_s())
        call = f"sightlineAudit.reset(), sightlineAudit.runHere({self._context}, {self._options})"
        children = await self._children(session, world, self._context, self._left_s())
        try:
            await self._page.evaluate(session, world, call, timeout_s=self._left_s())
        except ScriptFailed as error:
            if "unknown rule" in str(error):
                raise InvalidJob(f"disabled_rules: {error}") from None
            raise
        self._reserve_s = self._left_s() * _MERGE_SHARE
        for child in children:
            for partial in await self._run_frame(child, (session, world)):
                await self._page.evaluate(
                    session, world, f"sightlineAudit.receive({partial})", timeout_s=self._left_s()
                )
        finish = f"sightlineAudit.finish({self._options}, {max_nodes}, {literal(with_boxes)})"
        answer = await self._page.evaluate(session, world, finish, timeout_s=self._left_s())
        raw = cast("dict[str, list[JsonObject]]", json.loads(answer))
        return AxeReport(raw["violations"], raw["incomplete"], self._unread, self._reached)

    async def _load(self, session: Session, frame_id: str, limit_s: float) -> int:
        """Return the frame's world with axe-core loaded in it."""
        world = await self._page.world(session, frame_id, timeout_s=limit_s)
        found = await self._page.evaluate(session, world, _LOAD, timeout_s=limit_s)
        if found > 0 and session.session_id not in self._shared:
            self._shared.add(session.session_id)
            await self._page.give_script(session, shared_script(), timeout_s=limit_s)
            found = await self._page.evaluate(session, world, _LOAD, timeout_s=limit_s)
        if found != _LOADED:
            await self._page.evaluate(session, world, audit_script(), timeout_s=limit_s, by_value=False)
        return world

    async def _children(self, session: Session, world: int, context: str, limit_s: float) -> list[JsonObject]:
        call = f"sightlineAudit.frames({context}, {self._options})"
        return cast("list[JsonObject]", await self._page.evaluate(session, world, call, timeout_s=limit_s))

    async def _run_frame(self, frame: JsonObject, parent: tuple[Session, int]) -> list[str]:
        """Return the JSON of the frame's part and of all below it, depth first; ``null`` for a part not read."""
        self._frames += 1
        refusal = f"only {self._max_frames} frames of a page are read" if self._frames > self._max_frames else ""
        if refusal or self._left_s() < self._reserve_s:
            self._unread[f"frame {self._frames}"] = refusal or "there was no time left for it"
            return ["null"]
        try:
            return await self._read_frame(frame, parent)
        except (CallFailed, ScriptFailed) as error:
            why = "it did not answer in time" if isinstance(error, CallTimedOut) else str(error)
            self._unread[str(frame["frameSelector"])] = why
            return ["null"]

    async def _read_frame(self, frame: JsonObject, parent: tuple[Session, int]) -> list[str]:
        limit_s = max(_LEAST_S, min(self._left_s() - self._reserve_s, self._frame_limit_s))
        frame_id = await self._frame_id(frame["frameSelector"], parent, limit_s)
        self._reached.add(frame_id)
        session = self._page.session_of(frame_id, parent[0])
        world = await self._page.world(session, frame_id, timeout_s=limit_s)
        if await self._page.evaluate(session, world, _IS_ERROR_PAGE, timeout_s=limit_s):
            # The browser's own page. Why the frame failed has been seen on the network.
            return ["null"]
        await self._load(session, frame_id, limit_s)
        context = literal(frame["frameContext"])
        children = await self._children(session, world, context, limit_s)
        call = f"sightlineAudit.run({context}, {self._options})"
        parts = [str(await self._page.evaluate(session, world, call, timeout_s=limit_s))]
        for child in children:
            parts += await self._run_frame(child, (session, world))
        return parts

    async def _frame_id(self, selector: Any, parent: tuple[Session, int], limit_s: float) -> str:
        session, world = parent
        call = f"sightlineAudit.frame({literal(selector)})"
        element = await self._page.evaluate(session, world, call, timeout_s=limit_s, by_value=False)
        if not element:
            msg = "the frame went away"
            raise ScriptFailed(msg)
        node = await session.call("DOM.describeNode", {"objectId": element}, timeout_s=limit_s)
        return str(node["node"]["frameId"])
