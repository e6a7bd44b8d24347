"""What the tool ``compare_scans`` tells: barriers that are new and barriers that are fixed, on one page or on many.

Absence proves nothing where not everything was listed, so what cannot be known is named (``uncertain``), never counted.
A page that was first scanned in the time asked about has not become worse: it is told apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from producer.contract import JsonObject
from producer.errors import InvalidJob
from worker.agent.conversation.history_tools import MAX_URL, READ, LookUp, Told, brief, fit, site_filter
from worker.agent.conversation.tool_args import CompareScans
from worker.agent.conversation.user_words import Asker
from worker.agent.prompts import clip
from worker.memory.dates import parse_when, time_of
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import MAX_PAGES, PageState
from worker.memory.history.scan_record import ScanRecord, compare

MAX_COMPARED: Final = 300
"""Pages whose states are read and compared: those seen most recently."""
MAX_FIRST: Final = 5
MAX_GROUPS: Final = 8


@dataclass(frozen=True, slots=True)
class Change:
    """One page then and now. ``new`` and ``fixed`` count barriers by rule."""

    before: ScanRecord
    after: ScanRecord
    new: Counter[str]
    fixed: Counter[str]
    uncertain: tuple[str, ...]

    @property
    def worse(self) -> tuple[int, int]:
        """Orders changes: those that got worse by most first."""
        new, fixed = self.new.total(), self.fixed.total()
        return (new - fixed, new)

    def document(self) -> JsonObject:
        """Return it as a model gets it."""
        told: JsonObject = {
            "url": clip(self.after.url, MAX_URL),
            "title": clip(self.after.title, 120),
            "before": self.before.scan_id,
            "scan": self.after.scan_id,
            "new": {"total": self.new.total(), **dict(self.new.most_common(8))},
            "fixed": {"total": self.fixed.total(), **dict(self.fixed.most_common(8))},
            "barriers_now": self.after.barriers.total,
        }
        return {**told, "uncertain": list(self.uncertain)} if self.uncertain else told


class Comparison:
    """Answers ``compare_scans`` from the history."""

    def __init__(self, history: History, look_up: LookUp) -> None:
        self._history = history
        self._look_up = look_up

    async def compare(self, args: CompareScans, asker: Asker) -> Told:
        """Compare two scans of one page, or all pages that fit with their states at a time.

        Raises ``ValueError`` and ``InvalidJob`` for what cannot be compared.
        """
        if args.since:
            return await self._since(args, asker)
        before = await self._look_up.record(args.before, asker)
        after = await self._look_up.record(args.after, asker)
        if before.page != after.page:
            msg = f"scans {before.scan_id!r} and {after.scan_id!r} are of different pages: expected two of one page"
            raise InvalidJob(msg)
        if before.terms != after.terms:
            raise InvalidJob(
                f"scans {before.scan_id!r} ({before.standard}) and {after.scan_id!r} ({after.standard}) held the "
                f"page to different rules, parts or widths: expected two under the same"
            )
        told = changed(before, after).document()
        return Told({"between": [brief(before), brief(after)], "change": told}, (before.scan_id, after.scan_id))

    async def _since(self, args: CompareScans, asker: Asker) -> Told:
        since_ms = parse_when(args.since, now_ms=asker.now_ms)
        now = await self._look_up.pages(args, asker)
        then = await self._states_at(since_ms, args, asker)
        known = [(then[page.url, page.terms], page) for page in now if (page.url, page.terms) in then]
        moved = [(before, page) for before, page in known if before != page.scan_id]
        first = [page for page in now if (page.url, page.terms) not in then]
        changes = await self._changes(moved[:MAX_COMPARED])
        changes.sort(key=lambda change: change.worse, reverse=True)
        real = [change for change in changes if change.new or change.fixed or change.uncertain]
        document: JsonObject = {
            "since": time_of(since_ms),
            "pages": len(now),
            "pages_unchanged": len(now) - len(first) - len(moved) + len(changes) - len(real),
            "new_barriers": sum(change.new.total() for change in changes),
            "fixed_barriers": sum(change.fixed.total() for change in changes),
            "first_scanned_since": len(first),
            "first_scanned": [_first(page) for page in first[:MAX_FIRST]],
            "groups": _groups(real),
            "changed": [change.document() for change in real[: args.limit]],
        }
        if len(moved) > MAX_COMPARED:
            document["pages_not_compared"] = len(moved) - MAX_COMPARED
        if len(now) >= MAX_PAGES:
            document["more_pages_than"] = MAX_PAGES
        told = fit(document, "changed", of=len(real))
        examples = (str(one["scan"]) for one in cast("list[JsonObject]", document["groups"]))
        return Told(told.document, (*told.scans, *(page.scan_id for page in first[:MAX_FIRST]), *examples))

    async def _states_at(self, at_ms: int, args: CompareScans, asker: Asker) -> dict[tuple[str, str], str]:
        """Return the scan of each page's state at that time, by address and terms; only pages that were read whole."""
        wanted = ScanFilter(host=site_filter(args.site, asker), group=args.group or None, begun_by_ms=at_ms)
        states = await self._history.newest_of_pages(replace(wanted, status=READ[:1]), by_terms=True)
        return {(page.url, page.terms): page.scan_id for page in states}

    async def _changes(self, moved: list[tuple[str, PageState]]) -> list[Change]:
        records = await self._history.get_many([one for before, after in moved for one in (before, after.scan_id)])
        known = {record.scan_id: record for record in records}
        pairs = ((known.get(before), known.get(after.scan_id)) for before, after in moved)
        return [changed(before, after) for before, after in pairs if before is not None and after is not None]


def _groups(changes: Sequence[Change]) -> list[JsonObject]:
    """Return the groups of the pages that changed, the worst first, each with the scan of the page that changed most.

    ``changes`` come with those first that got worse by most.
    """
    by_group: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_group[change.after.group].append(change)
    told: list[JsonObject] = [
        {
            "group": clip(name, 120),
            "new": sum(change.new.total() for change in listed),
            "fixed": sum(change.fixed.total() for change in listed),
            "pages": len(listed),
            "scan": listed[0].after.scan_id,
        }
        for name, listed in by_group.items()
        if name
    ]
    return sorted(told, key=lambda one: one["fixed"] - one["new"])[:MAX_GROUPS]


def changed(before: ScanRecord, after: ScanRecord) -> Change:
    """Return what differs between two states of a page; of one that was not read whole, nothing is known to be new."""
    told = compare(before, after.findings, is_whole=after.status == "scanned")
    new, fixed = _by_rule(after, told.new), _by_rule(before, told.fixed)
    if before.status == "scanned":
        return Change(before, after, new, fixed, told.uncertain)
    return Change(before, after, Counter(), fixed, tuple(sorted({*told.uncertain, *new})))


def _by_rule(record: ScanRecord, fingerprints: tuple[str, ...]) -> Counter[str]:
    sought = set(fingerprints)
    counts = Counter({one.rule: len(sought.intersection(one.nodes)) for one in record.findings})
    return +counts


def _first(page: PageState) -> JsonObject:
    return {"scan": page.scan_id, "url": clip(page.url, MAX_URL), "barriers": page.barriers.total}
