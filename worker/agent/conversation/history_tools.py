"""What the reading tools tell of the scan history: documents of plain values, small enough for a model's context.

Every list says how many entries were left out of it, and every count says what it counts. Titles, addresses and markup
are quotations from pages, clipped. Nothing here is written, and nothing is decided by a page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from pydantic import ValidationError

from producer.contract import IMPACTS, Counts, JsonObject, ScanResult
from producer.contract.addresses import host_of, page_ids, path_of
from producer.errors import InvalidJob
from producer.reports.plain_text import summary_line
from worker.agent.conversation.tool_args import GetScan, Pages, SearchScans
from worker.agent.conversation.user_words import Asker
from worker.agent.prompts import clip
from worker.memory.dates import parse_when, time_of
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import MAX_PAGES, PageState
from worker.memory.history.scan_record import ScanRecord
from worker.memory.vectors.indexes import exact_tag

MAX_READ: Final = 1_000
"""Records read for the sums over rules: one question costs Redis a few MB at most."""
MAX_CHARS: Final = 5_000
"""Of one document: two fit into a small model's context beside the question."""
MAX_URL: Final = 300
MAX_RULES: Final = 20
MAX_BRIEF_RULES: Final = 8
"""Of a scan that is one of several."""
MAX_EXAMPLES: Final = 3
NEIGHBOURS: Final = 40
READ: Final = ("scanned", "partial")
"""Statuses of pages that were read, whole or in part."""


@dataclass(frozen=True, slots=True)
class Told:
    """One document, and the ids of the scans it speaks of. ``text`` is its JSON."""

    document: JsonObject
    scans: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the document as the model gets it."""
        return json.dumps(self.document, ensure_ascii=False)


class LookUp:
    """Answers the reading tools from the history. ``result_of`` gives a job's result while it is kept."""

    def __init__(self, history: History, *, result_of: Callable[[str], Awaitable[str | bytes | None]]) -> None:
        self._history = history
        self._result_of = result_of

    async def search(self, args: SearchScans, asker: Asker) -> Told:
        """Return the pages that fit, and the sums over them. Raises ``ValueError`` for a time that is none."""
        if args.text:
            return await self._by_meaning(args, asker)
        if args.every:
            records = await self._history.find(_filter(args, asker, READ), limit=args.limit + 1)
            return _listing([brief(one) for one in records[: args.limit]], more=len(records) > args.limit)
        pages = await self.pages(args, asker)
        if args.order == "worst":
            pages.sort(key=lambda page: page.harm, reverse=True)
        records = await self._history.get_many([page.scan_id for page in pages[:MAX_READ]])
        document = _sums(pages, records, rule=args.rule)
        document["scans"] = [brief(one) for one in records[: args.limit]]
        return fit(document, "scans", of=len(pages))

    async def pages(self, args: Pages, asker: Asker) -> list[PageState]:
        """Return the newest readable state of each page that fits, the most recently seen first.

        Words that are the whole path of a page mean it, and not those whose addresses go on: /page/3 is not /page/30.
        """
        wanted = _filter(args, asker, READ)
        # A rule that was mended since is in an older state of the page: it is looked for in the newest alone.
        found = await self._history.newest_of_pages(replace(wanted, rule=None, impact=None))
        fitting = [page for page in found if _fits(page, args)]
        path = args.words.rstrip("/")
        named = [
            page
            for page in fitting
            if args.words.startswith("/") and path_of(page.url).partition("?")[0].rstrip("/") == path
        ]
        return named or fitting

    async def scan(self, args: GetScan, asker: Asker) -> Told:
        """Return one scan as a whole; examples of ``args.rule`` while the scan's result is kept."""
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
        """Return one record; raises ``InvalidJob`` unless there is one, on the site asked about."""
        record = await self._history.get(scan_id) if scan_id else None
        if record is None or (asker.site and record.host != asker.site):
            where = f" on the site {asker.site!r}" if asker.site else ""
            raise InvalidJob(f"there is no scan {scan_id[:140]!r}{where}: search_scans tells the ids")
        return record

    async def _record(self, args: GetScan, asker: Asker) -> ScanRecord:
        if args.scan or not args.url:
            return await self.record(args.scan, asker)
        wanted = ScanFilter(page=page_ids(args.url), host=asker.site or None)
        found = await self._history.find(replace(wanted, status=READ), limit=1) or await self._history.find(
            wanted, limit=1
        )
        if not found:
            msg = f"there is no scan of {args.url[:200]!r}: search_scans finds pages by words of their address"
            raise InvalidJob(msg)
        return found[0]

    async def _by_meaning(self, args: SearchScans, asker: Asker) -> Told:
        near = await self._history.search(args.text, _filter(args, asker, READ), limit=NEIGHBOURS)
        records = {one.record.page: one.record for one in reversed(near)}
        listed = list(reversed(records.values()))
        return _listing([brief(one) for one in listed[: args.limit]], more=len(listed) > args.limit)

    async def _examples(self, scan_id: str, rule: str) -> list[JsonObject] | str:
        text = await self._result_of(scan_id)
        if text is None:
            return "no longer kept: examples are kept for some days after a scan"
        try:
            result = ScanResult.model_validate_json(text)
        except ValidationError:
            return "not kept"
        nodes = [node for one in result.findings if one.rule == rule for node in one.nodes[:MAX_EXAMPLES]]
        return [{"markup": clip(node.snippet), "problem": clip(summary_line(node.failure_summary))} for node in nodes]


def brief(record: ScanRecord) -> JsonObject:
    """Return a record in a few lines: ``seen`` is when the page was last seen so, ``since`` when first."""
    rules = sorted(record.findings, key=lambda one: -one.node_count)
    return {
        "scan": record.scan_id,
        "url": clip(record.url, MAX_URL),
        "title": clip(record.title, 120),
        "group": clip(record.group, 120),
        "status": record.status,
        "seen": time_of(record.last_seen_ms),
        "since": time_of(record.at_ms),
        "barriers": counted(record.barriers),
        "rules": {one.rule: one.node_count for one in rules[:MAX_BRIEF_RULES]},
        **({"rules_left_out": len(rules) - MAX_BRIEF_RULES} if len(rules) > MAX_BRIEF_RULES else {}),
    }


def counted(counts: Counts) -> JsonObject:
    """Return the numbers by impact, the worst first, without zeros, and their total."""
    named = {impact.value: int(getattr(counts, impact.value)) for impact in reversed(IMPACTS)}
    return {"total": counts.total, **{name: number for name, number in named.items() if number}}


def fit(document: JsonObject, name: str, *, of: int, scans: tuple[str, ...] | None = None) -> Told:
    """Return ``document`` with as much of its list ``name`` as fits; ``left_out`` counts the rest of ``of`` entries."""
    entries = cast("list[JsonObject]", document[name])
    while True:
        document["left_out"] = of - len(entries)
        if len(json.dumps(document, ensure_ascii=False)) <= MAX_CHARS or not entries:
            break
        entries.pop()
    return Told(document, tuple(str(one["scan"]) for one in entries) if scans is None else scans)


def site_filter(site: str, asker: Asker) -> str | None:
    """Return the one host to look at, None for all; raises ``ValueError`` for one that the question excludes."""
    host = host_of(site) if "://" in site else site.strip().lower().partition(":")[0].rstrip("/")
    if asker.site and host not in {"", asker.site}:
        raise ValueError(f"the question is limited to the site {asker.site!r}, and {host[:100]!r} is another")
    return asker.site or host or None


def _filter(args: Pages, asker: Asker, status: Sequence[str]) -> ScanFilter:
    wanted = ScanFilter(
        page=page_ids(args.url) if args.url else None,
        host=site_filter(args.site, asker),
        group=args.group or None,
        status=status,
    )
    if not isinstance(args, SearchScans):
        return wanted
    return replace(
        wanted,
        rule=args.rule or None,
        impact=args.impact.value if args.impact else None,
        since_ms=parse_when(args.since, now_ms=asker.now_ms) if args.since else None,
        begun_by_ms=parse_when(args.until, now_ms=asker.now_ms) if args.until else None,
    )


def _fits(page: PageState, args: Pages) -> bool:
    named = f"{page.url} {page.title}".casefold()
    if not all(word in named for word in args.words.casefold().split()):
        return False
    if not isinstance(args, SearchScans):
        return True
    has_rule = not args.rule or exact_tag(args.rule) in page.rules
    return has_rule and (args.impact is None or args.impact.value in page.impacts)


def _sums(pages: Sequence[PageState], records: Sequence[ScanRecord], *, rule: str) -> JsonObject:
    barriers = Counter[str]()
    for page in pages:
        barriers.update({impact.value: getattr(page.barriers, impact.value) for impact in IMPACTS})
    findings = [one for record in records for one in record.findings if not rule or one.rule == rule]
    elements, on_pages = Counter[str](), Counter[str]()
    for one in findings:
        elements[one.rule] += one.node_count
        on_pages[one.rule] += 1
    document: JsonObject = {
        "pages": len(pages),
        "barriers_of_all_pages": counted(Counts.model_validate(barriers)),
        "rules": {
            name: {"elements": number, "pages": on_pages[name]} for name, number in elements.most_common(MAX_RULES)
        },
    }
    if len(elements) > MAX_RULES:
        document["rules_left_out"] = len(elements) - MAX_RULES
    if len(pages) > len(records):
        document["rules_are_summed_over_pages"] = len(records)
    if len(pages) >= MAX_PAGES:
        document["more_pages_than"] = MAX_PAGES
    return document


def _listing(scans: Iterable[JsonObject], *, more: bool) -> Told:
    listed = list(scans)
    told = fit({"scans": listed}, "scans", of=len(listed))
    return Told({**told.document, "there_are_more": more}, told.scans)
