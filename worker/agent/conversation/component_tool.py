"""The tool ``list_components``: component barriers, those to fix first at the top, each with a scan.

The scan is the first that found it or, if that record was pruned, the latest that has it.
"""

from __future__ import annotations

from typing import Final

from producer.contract import JsonObject
from worker.agent.conversation.components import find_components
from worker.agent.conversation.history_tools import ToolResult, fit, site_filter
from worker.agent.conversation.tool_args import ListComponents
from worker.agent.conversation.user_words import Asker
from worker.agent.prompts import clip
from worker.memory.dates import parse_when, time_of
from worker.memory.history.barriers import BarrierRecord
from worker.memory.history.history import History, ScanFilter

MAX_GROUPS: Final = 5


class Components:
    """Answers ``list_components`` from the history."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def list_components(self, args: ListComponents, asker: Asker) -> ToolResult:
        """Return the matching component barriers. Raises ``ValueError`` for an invalid site or time."""
        since_ms = parse_when(args.since, now_ms=asker.now_ms) if args.since else None
        found = await find_components(self._history, args, site_filter(args.site, asker), since_ms=since_ms)
        listed = [await self._entry(one) for one in found.barriers[: args.limit]]
        document: JsonObject = {"component_barriers": len(found.barriers), "mended": args.mended, "components": listed}
        if since_ms is not None:
            document["since"] = time_of(since_ms)
        if found.has_more:
            document["more_than"] = len(found.barriers)
        told = fit(document, "components", of=len(found.barriers))
        return ToolResult(told.document, tuple(scan for scan in told.scans if scan))

    async def _entry(self, one: BarrierRecord) -> JsonObject:
        first = ScanFilter(component=one.issue_id, begun_by_ms=one.since_ms)
        scans = await self._history.find(first, limit=1) or await self._history.find(
            ScanFilter(component=one.issue_id), limit=1
        )
        entry: JsonObject = {
            "id": one.issue_id,
            "name": clip(one.name, 200),
            "rule": one.rule,
            "impact": one.impact.value if one.impact else None,
            "site": one.host,
            "since": time_of(one.since_ms),
            "pages": one.pages,
            "elements": one.elements,
            "groups": [clip(name, 60) for name in one.groups if name][:MAX_GROUPS],
            "scan": scans[0].scan_id if scans else "",
        }
        if one.returned_ms:
            entry["first_seen"] = time_of(one.first_ms)
        return entry | ({"mended_on": time_of(one.mended_ms)} if one.is_mended else {})
