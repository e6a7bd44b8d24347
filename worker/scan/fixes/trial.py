"""Tries changes on the page itself: loads it again, applies one change at a time, audits, and reverts it.

The page is loaded as in the scan, but ``engine.py`` blocks all writes. A change is applied while the page's scripts
run, so that a page that reverts it is detected. The whole page is judged: a change ``removes`` its barrier only if
nothing else fails afterwards. If something does, the page is audited once more without the change: failures that are
also there then were not caused by it. Everything is bounded by the deadline of the visit; changes that were not reached
say so. Next: ``rules.py``, ``js/fixes.js``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from producer.contract import JsonObject, public_url
from producer.contract.fixes import FixVerdict, TriedFix
from worker.scan.axe import AxeReport, World
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed
from worker.scan.findings import read_findings
from worker.scan.fixes.failures import Failure, Failures, path_of
from worker.scan.fixes.markup import diff_of
from worker.scan.fixes.rules import propose
from worker.scan.fixes.source import replacement_in
from worker.scan.fixes.wanted import MAX_PROPOSAL_BYTES, MOST_TRIED, NOTHING, Wanted
from worker.scan.page import Page, ScriptFailed, literal
from worker.scan.verdict import Unread
from worker.scan.visit import Visit

_CALL_LIMIT_S: Final = 5.0
_LEAST_LEFT_S: Final = 1.0
_REACTION_S: Final = 0.3
"""Time for a script of the page that checks the changed element by a timer, before the page is brought to rest."""
GONE: Final = "no element of this component failed when the page was loaded again"


@dataclass(frozen=True, slots=True)
class _Change:
    """A proposal for an element that is stored in the page under ``key``."""

    key: int
    wanted: Wanted
    failure: Failure
    markup: str
    is_title: bool


class Trial:
    """Tries changes on one page; ``run`` may be called once."""

    def __init__(self, page: Page, visit: Visit, *, url: str, left_s: Callable[[], float]) -> None:
        self._page = page
        self._visit = visit
        self._url = public_url(url)
        self._left_s = left_s
        self._before = Failures()
        self._source = ""

    async def run(self, wanted: Sequence[Wanted]) -> tuple[TriedFix, ...]:
        """Return the result of each; raises only errors of the browser."""
        try:
            report = await self._visit.open()
            changes = [change async for change in self._changes(report, wanted[:MOST_TRIED])]
        except Unread as end:
            return tuple(self._not_tried(one, f"the page could not be loaded again: {end.reason}") for one in wanted)
        except (CallFailed, ScriptFailed) as error:
            return tuple(self._not_tried(one, f"the page could not be loaded again: {error}") for one in wanted)
        tried = [change for change in changes if isinstance(change, TriedFix)]
        left = [change for change in changes if isinstance(change, _Change)]
        for number, change in enumerate(left):
            try:
                tried.append(await self._try(change))
            except (CallFailed, ScriptFailed, Unread) as error:
                why = f"the page could no longer be audited: {error}"
                return (*tried, *(self._not_tried(one.wanted, why) for one in left[number:]))
        return tuple(tried)

    # ------------------------------------------------------------------------------------------ proposing

    async def _changes(self, report: AxeReport, wanted: Sequence[Wanted]) -> AsyncIterator[TriedFix | _Change]:
        """Yield the changes to try, or why one cannot be tried."""
        self._before = Failures.of(report.violations, report.incomplete)
        await self._call(report.worlds[0], script("fixes"))
        self._source = await self._read_source()
        for key, one in enumerate(wanted):
            node = self._node_of(report, one)
            if node is None:
                yield self._not_tried(one, GONE)
                continue
            number = node["at"][0][1]
            call = f"sightlineFixes.hold({key}, sightlineAudit.element({number}), {literal(one.rule)})"
            facts = await self._call(report.worlds[0], call)
            markup = one.markup or propose(one.rule, facts)
            is_title = one.rule == "document-title" and facts["opening"].startswith("<head")
            if len(markup.encode("utf-8", "replace")) > MAX_PROPOSAL_BYTES:
                yield self._tried(one, "refused", why=f"it has more than {MAX_PROPOSAL_BYTES:,} bytes")
            elif not markup:
                yield self._not_tried(one, NOTHING)
            else:
                yield _Change(key, one, (one.rule, path_of(node)), markup, is_title)

    def _node_of(self, report: AxeReport, wanted: Wanted) -> JsonObject | None:
        """Return the reported element of the component: the one the proposal was made for, if it is there."""
        rule = next((rule for rule in report.violations if rule["id"] == wanted.rule), None)
        if rule is None:
            return None
        href = self._visit.href
        (finding,) = read_findings([rule], "violation", page=href)
        found = [
            raw
            for raw, node in zip(rule["nodes"], finding.nodes, strict=True)
            if node.issue_id == wanted.issue_id and len(raw["at"]) == 1
        ]
        return next((raw for raw in found if raw["html"] == wanted.snippet), found[0] if found else None)

    async def _read_source(self) -> str:
        """Return the page's source as it was served; '' if the browser no longer has it."""
        frame = self._page.watch.frame_id
        document = self._page.watch.document
        try:
            given = {"frameId": frame, "url": document.url if document else ""}
            read = await self._page.session.call("Page.getResourceContent", given, timeout_s=_CALL_LIMIT_S)
        except CallFailed:
            return ""
        return "" if read.get("base64Encoded") else str(read.get("content", ""))

    # ------------------------------------------------------------------------------------------ trying

    async def _try(self, change: _Change) -> TriedFix:
        if self._left_s() < _LEAST_LEFT_S:
            return self._not_tried(change.wanted, "there was no time left for it")
        top = await self._top()
        await self._page.thaw(timeout_s=_CALL_LIMIT_S)
        call = f"sightlineFixes.apply({change.key}, {literal(change.markup)}, {literal(change.is_title)})"
        applied = {name: _encodable(value) for name, value in (await self._call(top, call)).items()}
        if why := applied.get("failed"):
            return self._failed(change.wanted, str(why))
        try:
            return await self._judge(change, applied)
        finally:
            await self._call(await self._top(), f"sightlineFixes.undo({change.key})")

    def _failed(self, wanted: Wanted, why: str) -> TriedFix:
        if why == "gone":
            return self._not_tried(wanted, "a script of the page removed the element")
        return self._tried(wanted, "refused", why=why.removeprefix("refused: "))

    async def _judge(self, change: _Change, applied: JsonObject) -> TriedFix:
        wanted = change.wanted
        if applied["outside"]:
            return self._tried(wanted, "refused", why="other parts of the page changed with it at once")
        if not applied["is_changed"]:
            return self._tried(wanted, "no_effect", why="it changes nothing")
        if not self._visit.is_static:
            await asyncio.sleep(_REACTION_S)
        after = await self._failures()
        if not await self._call(await self._top(), f"sightlineFixes.isStill({change.key})"):
            return self._tried(wanted, "no_effect", why="a script of the page reverted the change")
        if not self._before.is_removed_in(after, change.failure):
            return self._tried(wanted, "no_effect", why="the rule still fails, or can no longer decide")
        if (added := self._before.added_in(after)) and (added := await self._added(change, after)):
            return self._tried(wanted, "adds_others", why=f"new failures: {', '.join(added)}")
        before, text = str(applied["before"]), str(applied["after"])
        diff = diff_of(before, text)
        return self._tried(wanted, "removes", diff=diff, replacement=replacement_in(self._source, before, text))

    async def _added(self, change: _Change, after: Failures) -> list[str]:
        """Return the failures caused by the change, using another audit without it."""
        await self._page.thaw(timeout_s=_CALL_LIMIT_S)
        await self._call(await self._top(), f"sightlineFixes.undo({change.key})")
        without = await self._failures()
        return sorted(set(self._before.added_in(after)) & set(without.added_in(after)))

    async def _failures(self) -> Failures:
        report = await self._visit.audit_again()
        return Failures.of(report.violations, report.incomplete)

    async def _top(self) -> World:
        page = self._page
        return World(page.session, await page.world(page.session, page.watch.frame_id, timeout_s=_CALL_LIMIT_S))

    async def _call(self, world: World, call: str) -> Any:
        return await self._page.evaluate(world.session, world.context, call, timeout_s=_CALL_LIMIT_S)

    # ------------------------------------------------------------------------------------------ results

    def _not_tried(self, wanted: Wanted, why: str) -> TriedFix:
        return self._tried(wanted, "not_tried", why=why)

    def _tried(self, wanted: Wanted, verdict: FixVerdict, **more: Any) -> TriedFix:
        about = {"issue_id": wanted.issue_id, "rule": wanted.rule, "by": wanted.by, "url": self._url}
        return TriedFix(**about, verdict=verdict, **more)


def _encodable(value: object) -> Any:
    """Return a text without halves of surrogate pairs, which pages have and cuts leave; any other value unchanged."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
