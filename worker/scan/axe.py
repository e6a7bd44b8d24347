"""Runs axe-core in every frame of a page and returns its raw report, which ``findings.py`` interprets.

Its program text is in ``axe_source.py``. It runs in an isolated world, frame by frame with ``axe.runPartial``,
cross-origin frames included, and is merged by ``axe.finishRun``; for honest pages this equals ``axe.run``
(https://github.com/dequelabs/axe-core/blob/develop/doc/run-partial.md). Frames that cannot be read and rules without
enough time are named, never silently left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, cast

from producer.contract import ScanRequest, Standard
from producer.contract.rules import LIVE_RULES
from producer.errors import InvalidJob
from worker.scan.axe_source import audit_script, shared_script
from worker.scan.cdp import CallFailed, CallTimedOut, JsonObject, Session
from worker.scan.deadline import Deadline
from worker.scan.page import Page, ScriptFailed, literal

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
"""Share of the remaining time reserved for merging, so that late frames do not cost the page its result."""
_LEAST_S: Final = 0.05
_NAME_LIMIT_S: Final = 0.5
_LOADED: Final = -1
_LOAD: Final = f"Object.hasOwn(globalThis, 'sightlineLoad') ? (sightlineLoad(), {_LOADED}) : window.length"
"""``_LOADED``, or the document's number of frames."""
_IS_ERROR_PAGE: Final = "location.protocol === 'chrome-error:'"


@dataclass(slots=True)
class AxeReport:
    """axe-core's raw report; ``unread_frames`` maps a frame's URL or selector to the reason why it was not read."""

    violations: list[JsonObject] = field(default_factory=list[JsonObject])
    incomplete: list[JsonObject] = field(default_factory=list[JsonObject])
    unread_frames: dict[str, str] = field(default_factory=dict[str, str])
    frame_ids: set[str] = field(default_factory=set[str])
    """Frames in the requested part of the page, readable or not."""
    rules_left_out: dict[str, None] = field(default_factory=dict[str, None])
    """Rules that timed out in some frame without a finding, in order."""
    rules_cut_short: dict[str, None] = field(default_factory=dict[str, None])
    """Rules that timed out after checking part of a frame's elements; their findings are kept."""
    worlds: list[World] = field(default_factory=list["World"])
    """The frames read, by number: a node's ``at`` identifies its frames and itself by ``ElementId``."""


@dataclass(frozen=True, slots=True)
class World:
    """Sightline's isolated world in one frame."""

    session: Session
    context: int


ElementId = tuple[int, int]
"""Number of the frame, number of the element in it."""


def tags_of(standard: Standard) -> list[str]:
    """Return axe-core's tags for a standard: a level includes those below and before it."""
    below = [tag for level in _LEVELS[: _DEPTH[standard]] for tag in level]
    return [*below, *_AAA] if standard == "wcag22aaa" else below


def options_for(request: ScanRequest) -> JsonObject:
    """Return axe-core's run options for the request."""
    return {
        "runOnly": {"type": "tag", "values": tags_of(request.standard)},
        "rules": {rule: {"enabled": True} for rule in request.enabled_rules if rule not in LIVE_RULES}
        | {rule: {"enabled": False} for rule in request.disabled_rules if rule not in LIVE_RULES},
        "resultTypes": ["violations", "incomplete"],
    }


def context_for(request: ScanRequest) -> JsonObject:
    """Return axe-core's context: the whole page unless the request includes or excludes parts of it."""
    context: JsonObject = {"exclude": [[selector] for selector in request.exclude]}
    if request.include:
        context["include"] = [[selector] for selector in request.include]
    return context


class AxeRun:
    """One run over one page, within ``deadline``: rules end by it, and merging their findings may use its overtime.

    The script (``js/audit.js``) names an element by frame and number; ``_worlds`` has the frame at that number, the top
    frame at 0, and ``_names`` the names known so far.
    """

    def __init__(
        self, page: Page, request: ScanRequest, *, deadline: Deadline, frame_limit_s: float, max_frames: int
    ) -> None:
        self._page = page
        self._options = literal(options_for(request))
        self._context = literal(context_for(request))
        self._deadline = deadline
        self._frame_limit_s = frame_limit_s
        self._max_frames = max_frames
        self._max_nodes = 0
        self._frames = 0
        self._reserve_s = 0.0
        self._shared: set[str] = set()
        self._names: dict[ElementId, JsonObject] = {}
        self._report = AxeReport()
        self._worlds = self._report.worlds

    async def run(self, *, max_nodes: int, with_boxes: bool) -> AxeReport:
        """Return the merged report.

        Raises ``ScriptFailed`` if axe-core fails in the top frame, ``CallTimedOut`` if it takes too long,
        ``InvalidJob`` for an unknown rule.
        """
        self._max_nodes = max_nodes
        session = self._page.session
        world = await self._load(session, self._page.watch.frame_id, self._deadline.left_s)
        top = World(session, world)
        self._worlds.append(top)
        call = f"sightlineAudit.reset(), sightlineAudit.runHere({self._context}, {self._options}, {self._left_ms})"
        try:
            part = await self._evaluate(top, call, self._deadline.left_s)
        except ScriptFailed as error:
            if "unknown rule" in str(error):
                raise InvalidJob(f"disabled_rules: {error}") from None
            raise
        self._note_late_rules(part)
        self._reserve_s = self._deadline.left_s * _MERGE_SHARE
        for i, context in enumerate(part["frames"]):
            for partial in await self._run_frame(i, context, top):
                await self._evaluate(top, f"sightlineAudit.receive({partial})")
        finish = f"sightlineAudit.finish({self._options}, {max_nodes}, {literal(with_boxes)}, {self._left_ms})"
        raw = cast("JsonObject", json.loads(await self._evaluate(top, finish)))
        self._learn(0, raw["names"])
        self._report.violations, self._report.incomplete = raw["violations"], raw["incomplete"]
        await self._name_elements()
        return self._report

    @property
    def _left_ms(self) -> int:
        return round(self._deadline.left_s * 1000)

    async def _evaluate(self, world: World, call: str, limit_s: float | None = None) -> Any:
        limit_s = limit_s or self._deadline.overtime_s
        return await self._page.evaluate(world.session, world.context, call, timeout_s=limit_s)

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

    async def _run_frame(self, number: int, context: JsonObject, parent: World) -> list[str]:
        """Return the JSON of the parent's frame ``number`` and its descendants, depth first; ``null`` if unread.

        ``context`` is the part that axe-core examines.
        """
        self._frames += 1
        refusal = f"only {self._max_frames} frames of a page are read" if self._frames > self._max_frames else ""
        if refusal or self._deadline.left_s < self._reserve_s:
            self._report.unread_frames[f"frame {self._frames}"] = refusal or "there was no time left for it"
            return ["null"]
        try:
            return await self._read_frame(number, context, parent)
        except (CallFailed, ScriptFailed) as error:
            why = "it did not answer in time" if isinstance(error, CallTimedOut) else str(error)
            self._report.unread_frames[await self._name_frame(number, parent)] = why
            return ["null"]

    async def _read_frame(self, number: int, context: JsonObject, parent: World) -> list[str]:
        limit_s = max(_LEAST_S, min(self._deadline.left_s - self._reserve_s, self._frame_limit_s))
        frame_id = await self._frame_id(number, parent, limit_s)
        self._report.frame_ids.add(frame_id)
        if (unread := self._page.watch.unread.get(frame_id)) is not None and unread.is_dead:
            return ["null"]
        session = self._page.session_of(frame_id, parent.session)
        world = await self._page.world(session, frame_id, timeout_s=limit_s)
        if await self._page.evaluate(session, world, _IS_ERROR_PAGE, timeout_s=limit_s):
            # The browser's own error page; the network events have the reason.
            return ["null"]
        frame = World(session, await self._load(session, frame_id, limit_s))
        index = len(self._worlds)
        self._worlds.append(frame)
        given = f"{literal(context)}, {self._options}, {round(limit_s * 1000)}, {self._max_nodes}"
        part = await self._evaluate(frame, f"sightlineAudit.run({index}, {given})", limit_s)
        self._note_late_rules(part)
        self._learn(index, part["names"])
        parts = [str(part["partial"])]
        for i, child in enumerate(part["frames"]):
            parts += await self._run_frame(i, child, frame)
        return parts

    async def _frame_id(self, number: int, parent: World, limit_s: float) -> str:
        element = await self._page.evaluate(
            parent.session, parent.context, f"sightlineAudit.frame({number})", timeout_s=limit_s, by_value=False
        )
        node = await parent.session.call("DOM.describeNode", {"objectId": element}, timeout_s=limit_s)
        if "frameId" not in node["node"]:
            msg = "the frame is gone"
            raise ScriptFailed(msg)
        return str(node["node"]["frameId"])

    async def _name_frame(self, number: int, parent: World) -> str:
        """Return the frame's selector in its parent."""
        try:
            return str(await self._evaluate(parent, f"sightlineAudit.frameName({number})", _NAME_LIMIT_S))
        except (CallFailed, ScriptFailed):
            return f"frame {self._frames}"

    def _note_late_rules(self, part: JsonObject) -> None:
        self._report.rules_left_out |= dict.fromkeys(part["leftOut"])
        self._report.rules_cut_short |= dict.fromkeys(part["cutShort"])

    def _learn(self, frame: int, names: list[tuple[int, JsonObject]]) -> None:
        self._names |= {(frame, number): name for number, name in names}

    async def _name_elements(self) -> None:
        """Add the nodes' selectors; nodes whose frame is gone are left out."""
        rules = [*self._report.violations, *self._report.incomplete]
        wanted: dict[int, set[int]] = {}
        for frame, number in (step for rule in rules for node in rule["nodes"] for step in node["target"]):
            if (frame, number) not in self._names:
                wanted.setdefault(frame, set()).add(number)
        for frame, numbers in wanted.items():
            call = f"sightlineAudit.names({sorted(numbers)}, {self._left_ms})"
            try:
                self._learn(frame, await self._evaluate(self._worlds[frame], call))
            except (CallFailed, ScriptFailed) as error:
                self._report.unread_frames[f"frame {frame}"] = f"it went away before its elements were named: {error}"
        for rule in rules:
            rule["nodes"] = [named for node in rule["nodes"] if (named := self._named(node))]

    def _named(self, node: JsonObject) -> JsonObject | None:
        steps = tuple((frame, number) for frame, number in node["target"])
        names = [self._names.get(step) for step in steps]
        if None in names:
            return None
        parts = {part: [name[part] for name in names if name] for part in ("target", "ancestry", "place")}
        return {**node, **parts, "at": steps}
