"""The reading tools on the scan history: documents of plain values, small enough for a model's context.

Every list has the number of entries left out, and every count names its unit. Titles, addresses and markup are clipped
quotations from pages. Nothing is written, and the content of pages decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from pydantic import ValidationError

from producer.contract import JsonObject, ScanResult
from producer.contract.addresses import path_of, site_of
from producer.errors import InvalidJob
from producer.reports.failure_summary import summary_line
from worker.agent.conversation.components import find_components
from worker.agent.conversation.places import page_at, pages_at
from worker.agent.conversation.side_effects import SideEffect
from worker.agent.conversation.sums import counted, elements_of, sums
from worker.agent.conversation.tool_args import GetScan, ListComponents, Pages, SearchScans
from worker.agent.conversation.user_words import Asker
from worker.agent.prompts import clip
from worker.memory.dates import parse_until, parse_when, time_of
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import NEWEST, PageState, one_a_page
from worker.memory.history.scan_record import ScanRecord
from worker.memory.vectors.indexes import exact_tag

MAX_READ: Final = 1_000
"""Maximum records read for the sums over rules, at most a few MB per question."""
MAX_CHARS: Final = 5_000
"""Maximum size of a document: two fit into a small model's context beside the question."""
MAX_URL: Final = 300
MAX_BRIEF_RULES: Final = 8
"""Maximum size of a scan that is one of several."""
MAX_EXAMPLES: Final = 3
NEIGHBOURS: Final = 200
"""Records found by meaning, of which only the newest of each page are shown: earlier ones are alike."""
READ: Final = ("scanned", "partial")
"""Statuses of pages that were scanned, completely or in part."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One document, the ids of the scans it mentions, and the tool's side effect. ``text`` is its JSON."""

    document: JsonObject
    scans: tuple[str, ...]
    effect: SideEffect | None = None

    @property
    def text(self) -> str:
        """Return the document as input for the model."""
        return json.dumps(self.document, ensure_ascii=False)


class LookUp:
    """Answers the reading tools from the history. ``result_of`` returns a job's result while it is kept."""

    def __init__(self, history: History, *, result_of: Callable[[str], Awaitable[str | bytes | None]]) -> None:
        self._history = history
        self._result_of = result_of

    async def search(self, args: SearchScans, asker: Asker) -> ToolResult:
        """Return the matching pages, and the totals over them.

        Raises ``ValueError`` for an invalid time, ``InvalidJob`` for a path that no page has.
        """
        if args.text:
            return await self._by_meaning(args, asker)
        if args.every:
            records = await self._history.find(await self.filter(args, asker), limit=args.limit + 1)
            return _listing([brief(one) for one in records[: args.limit]], more=len(records) > args.limit)
        components = await self._components(args, asker)
        looked_at = await self.pages(args, asker)
        pages = [page for page in looked_at if _has(page, args, components)]
        if args.order == "worst" and not args.rule:
            pages.sort(key=lambda page: page.harm, reverse=True)
        states = await self._states(pages[:MAX_READ])
        records = [_shown(some, args, components) for some in states]
        if args.order == "worst" and (args.rule or components is not None):
            records.sort(key=lambda one: elements_of(one, args, components), reverse=True)
        document = sums(pages, states, args, components)
        document |= _times(args, asker) | {"pages_looked_at": len(looked_at)}
        document["scans"] = [brief(one, args.rule) for one in records[: args.limit]]
        if not pages:
            document["looked_at"] = [{"scan": page.scan_id, "url": clip(page.url, MAX_URL)} for page in looked_at[:3]]
        told = fit(document, "scans", of=len(pages))
        return ToolResult(told.document, (*told.scans, *(page.scan_id for page in looked_at[:3] if not pages)))

    async def _states(self, pages: Sequence[PageState]) -> list[list[ScanRecord]]:
        """Return the records of each page's states, its worst one first; no entry for a page whose record is gone."""
        found = await self._history.get_many([scan for page in pages for scan in (page.scan_id, *page.others)])
        known = {record.scan_id: record for record in found}
        states = [[known[scan] for scan in (page.scan_id, *page.others) if scan in known] for page in pages]
        return [some for some in states if some]

    async def pages(self, args: Pages, asker: Asker) -> list[PageState]:
        """Return the newest readable state of each matching page, most recently seen first.

        Words that are the full path of a page select only that page: /page/3 is not /page/30.
        """
        wanted = await self.filter(args, asker)
        # A rule fixed since is still in older states of the page: only the newest is searched.
        found = one_a_page(await self._history.newest_of_pages(replace(wanted, rule=None, impact=None)))
        fitting = [page for page in found if fits(page, args)]
        path = args.words.rstrip("/")
        named = [
            page
            for page in fitting
            if args.words.startswith("/") and path_of(page.url).partition("?")[0].rstrip("/") == path
        ]
        return named or fitting

    async def _components(self, args: SearchScans, asker: Asker) -> frozenset[str] | None:
        """Return the ids of the requested component barriers; None if none is requested."""
        if not args.component:
            return None
        wanted = ListComponents(site=args.site, words=args.component)
        found = (await find_components(self._history, wanted, site_filter(args.site, asker))).barriers
        if not found:
            raise InvalidJob(
                f"no component barrier is called {args.component[:100]!r}: list_components has their names"
            )
        return frozenset(one.issue_id for one in found)

    async def filter(self, args: Pages, asker: Asker) -> ScanFilter:
        """Return the filter of scans; raises ``ValueError`` and ``InvalidJob``."""
        host = site_filter(args.site, asker)
        page = await pages_at(self._history, args.url, site=host) if args.url else None
        wanted = ScanFilter(page=page, host=host, group=args.group or None, status=READ)
        if not isinstance(args, SearchScans):
            return wanted
        return replace(
            wanted,
            rule=args.rule or None,
            impact=args.impact.value if args.impact else None,
            since_ms=parse_when(args.since, now_ms=asker.now_ms) if args.since else None,
            begun_by_ms=parse_until(args.until, now_ms=asker.now_ms) if args.until else None,
        )

    async def scan(self, args: GetScan, asker: Asker) -> ToolResult:
        """Return one scan in full; with examples of ``args.rule`` while the scan's result is kept."""
        record = await self._record(args, asker)
        findings = sorted(record.findings, key=lambda one: (-(one.impact.rank if one.impact else -1), -one.node_count))
        document = brief(record)
        del document["rules"]
        document.pop("rules_left_out", None)
        document["assessed"] = clip(record.summary)
        document["findings"] = [
            {
                "rule": one.rule,
                "impact": one.impact.value if one.impact else None,
                "criteria": list(one.criteria),
                "elements": one.node_count,
            }
            for one in findings
        ]
        if args.rule:
            document["examples"] = await self._examples(record.scan_id, args.rule)
        return fit(document, "findings", of=len(findings), scans=(record.scan_id,))

    async def record(self, scan_id: str, asker: Asker) -> ScanRecord:
        """Return one record; raises ``InvalidJob`` if there is none on the question's site."""
        record = await self._history.get(scan_id) if scan_id else None
        if record is None or (asker.site and record.host != asker.site):
            where = f" on the site {asker.site!r}" if asker.site else ""
            raise InvalidJob(f"there is no scan {scan_id[:140]!r}{where}: search_scans lists ids")
        return record

    async def _record(self, args: GetScan, asker: Asker) -> ScanRecord:
        if args.scan or not args.url:
            return await self.record(args.scan, asker)
        site = asker.site or None
        wanted = ScanFilter(page=await page_at(self._history, args.url, site=site), host=site)
        found = await self._history.find(replace(wanted, status=READ), limit=1) or await self._history.find(
            wanted, limit=1
        )
        if not found:
            msg = f"there is no scan of {args.url[:200]!r}: search_scans finds pages by words of their address"
            raise InvalidJob(msg)
        return found[0]

    async def _by_meaning(self, args: SearchScans, asker: Asker) -> ToolResult:
        wanted = await self.filter(args, asker)
        near = await self._history.search(args.text, wanted, limit=NEIGHBOURS, names=("page",))
        found = [one.record for one in near]
        if not args.every:
            found = await self._newest(found, wanted)
        pages = {record.page: record.scan_id for record in reversed(found)}
        scans = list(reversed(pages.values()))
        listed = await self._history.get_many(scans[: args.limit])
        return _listing([brief(one) for one in listed], more=len(scans) > args.limit)

    async def _newest(self, found: Sequence[ScanRecord], wanted: ScanFilter) -> list[ScanRecord]:
        """Return the records that are their page's newest: what an earlier one had may be fixed."""
        pages = tuple({record.page for record in found})
        if not pages:
            return []
        within = replace(wanted, page=pages, rule=None, impact=None)
        newest = await self._history.newest_of_pages(within, picked=NEWEST)
        current = {state.scan_id for state in newest}
        return [record for record in found if record.scan_id in current]

    async def _examples(self, scan_id: str, rule: str) -> list[JsonObject] | str:
        text = await self._result_of(scan_id)
        if text is None:
            return "no longer kept: examples are kept only for some days after a scan"
        try:
            result = ScanResult.model_validate_json(text)
        except ValidationError:
            return "not kept"
        nodes = [node for one in result.findings if one.rule == rule for node in one.nodes[:MAX_EXAMPLES]]
        return [{"markup": clip(node.snippet), "problem": clip(summary_line(node.failure_summary))} for node in nodes]


def brief(record: ScanRecord, rule: str = "") -> JsonObject:
    """Return a short form of a record: ``since`` is when the page was first seen in this state, ``seen`` when last.

    A requested ``rule`` comes first.
    """
    rules = sorted(record.findings, key=lambda one: (one.rule != rule, -one.node_count))
    return {
        "scan": record.scan_id,
        "url": clip(record.url, MAX_URL),
        **({"state": record.page_state} if record.page_state else {}),
        "title": clip(record.title, 120),
        "group": clip(record.group, 120),
        "status": record.status,
        "seen": time_of(record.last_seen_ms),
        "since": time_of(record.at_ms),
        "barriers": counted(record.barriers),
        "rules": {one.rule: one.node_count for one in rules[:MAX_BRIEF_RULES]},
        **({"rules_left_out": len(rules) - MAX_BRIEF_RULES} if len(rules) > MAX_BRIEF_RULES else {}),
    }


def fit(
    document: JsonObject, name: str, *, of: int, scans: tuple[str, ...] | None = None, then: Sequence[str] = ()
) -> ToolResult:
    """Return ``document`` with as much of its list ``name`` as fits; ``left_out`` counts the rest of ``of`` entries.

    If it still does not fit, the lists ``then`` are shortened, the first one first, which ``shortened`` says.
    """
    entries = cast("list[JsonObject]", document[name])
    others = {one: cast("list[JsonObject]", document[one]) for one in then}
    while True:
        document["left_out"] = of - len(entries)
        if len(json.dumps(document, ensure_ascii=False)) <= MAX_CHARS:
            break
        if entries:
            entries.pop()
        elif longer := next((one for one in then if others[one]), None):
            others[longer].pop()
            document["shortened"] = sorted({*cast("list[str]", document.get("shortened", [])), longer})
        else:
            break
    return ToolResult(document, tuple(str(one["scan"]) for one in entries) if scans is None else scans)


def site_filter(site: str, asker: Asker) -> str | None:
    """Return the site, None for all; raises ``ValueError`` for a site that the question excludes."""
    host = site_of(site if "://" in site else f"//{site.strip().lower()}")
    if asker.site and host not in {"", asker.site}:
        raise ValueError(f"the question is limited to the site {asker.site!r}, and {host[:100]!r} is another")
    return asker.site or host or None


def fits(page: PageState, args: Pages) -> bool:
    """Return whether the page has the requested words in its address, title or group."""
    named = f"{page.url} {page.title} {page.group}".casefold()
    return all(word in named for word in args.words.casefold().split())


def _shown(states: Sequence[ScanRecord], args: SearchScans, components: frozenset[str] | None) -> ScanRecord:
    """Return the state of a page to show: that with the most of what is asked for, else its worst one."""
    if not args.rule and args.impact is None and components is None:
        return states[0]
    return max(states, key=lambda one: elements_of(one, args, components))


def _has(page: PageState, args: SearchScans, components: frozenset[str] | None) -> bool:
    has_rule = not args.rule or exact_tag(args.rule) in page.rules
    if components is not None and not components & page.components:
        return False
    return has_rule and (args.impact is None or args.impact.value in page.impacts)


def _times(args: SearchScans, asker: Asker) -> JsonObject:
    given = (("since", args.since, parse_when), ("as_of", args.until, parse_until))
    return {name: time_of(parse(text, now_ms=asker.now_ms)) for name, text, parse in given if text}


def _listing(scans: Iterable[JsonObject], *, more: bool) -> ToolResult:
    listed = list(scans)
    told = fit({"scans": listed}, "scans", of=len(listed))
    return ToolResult({**told.document, "there_are_more": more}, told.scans)
