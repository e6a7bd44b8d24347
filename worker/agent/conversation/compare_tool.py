"""The tool ``compare_scans``: new and fixed barriers on one page or many.

Absence proves nothing if not everything was listed, so uncertain changes are named (``uncertain``) but never counted. A
page first scanned within the period has not become worse and is listed separately.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from producer.contract import JsonObject
from producer.errors import InputError, InvalidJob
from producer.reports.comparison import ORDER
from producer.reports.comparison import Comparison as Compared
from worker.agent.conversation.history_tools import MAX_URL, READ, LookUp, ToolResult, brief, fit, fits
from worker.agent.conversation.tool_args import CompareScans
from worker.agent.conversation.user_words import Asker
from worker.agent.prompts import clip
from worker.memory.dates import time_of
from worker.memory.history.comparison import compare_moments, states_at
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import BRIEF, MAX_PAGES, PageState
from worker.memory.history.periods import Moment, moment_of
from worker.memory.history.scan_record import ScanRecord, compare

MAX_COMPARED: Final = 300
"""Maximum number of pages compared: the most recently seen ones."""
MAX_FIRST: Final = 5
MAX_GROUPS: Final = 8
MAX_COMPONENTS: Final = 4
"""Maximum number of changes of each kind that are named."""
MAX_NAMED: Final = 2
"""Maximum component barriers per group."""


Barriers = frozenset[tuple[str, str]]
"""Rule and fingerprint of failing elements."""


@dataclass(frozen=True, slots=True)
class Change:
    """A page at both times, in the state that changed most. ``new`` and ``fixed`` are elements of all its states."""

    before: ScanRecord
    after: ScanRecord
    new: Barriers
    fixed: Barriers
    uncertain: tuple[str, ...]

    @property
    def worse(self) -> tuple[int, int]:
        """Sort key: pages that got worse by most first."""
        return (len(self.new) - len(self.fixed), len(self.new))

    def document(self) -> JsonObject:
        """Return it as input for a model."""
        told: JsonObject = {
            "url": clip(self.after.url, MAX_URL),
            "title": clip(self.after.title, 120),
            "before": self.before.scan_id,
            "scan": self.after.scan_id,
            "new": _counted(self.new),
            "fixed": _counted(self.fixed),
            "barriers_now": self.after.barriers.total,
        }
        return {**told, "uncertain": list(self.uncertain)} if self.uncertain else told


class Comparison:
    """Answers ``compare_scans`` from the history."""

    def __init__(self, history: History, look_up: LookUp) -> None:
        self._history = history
        self._look_up = look_up

    async def compare(self, args: CompareScans, asker: Asker) -> ToolResult:
        """Compare two scans of a page, or all matching pages at two times, each given as a batch, run or time.

        Raises ``ValueError`` and ``InvalidJob`` if a comparison is impossible.
        """
        earlier = args.before or args.since
        before = await self._history.get(earlier) if args.before and args.after else None
        if before is not None or not earlier:
            return await self._two_scans(args.before, args.after, asker)
        return await self._two_times(earlier, args.after or "now", args, asker)

    async def _two_scans(self, earlier: str, later: str, asker: Asker) -> ToolResult:
        before = await self._look_up.record(earlier, asker)
        after = await self._look_up.record(later, asker)
        if before.page != after.page:
            msg = f"scans {before.scan_id!r} and {after.scan_id!r} are of different pages: expected two of one page"
            raise InvalidJob(msg)
        if before.terms != after.terms:
            raise InvalidJob(
                f"scans {before.scan_id!r} ({before.standard}) and {after.scan_id!r} ({after.standard}) used "
                f"different rules, parts or widths: expected two with the same ones"
            )
        told = changed(before, after).document()
        return ToolResult({"between": [brief(before), brief(after)], "change": told}, (before.scan_id, after.scan_id))

    async def _two_times(self, earlier: str, later: str, args: CompareScans, asker: Asker) -> ToolResult:
        before, after = [await self._moment(name, asker) for name in (earlier, later)]
        wanted = replace(await self._look_up.filter(args, asker), status=None)
        pages, known, is_part = await self._scans(before, after, wanted, args)
        moved = [scans for scans in known.values() if any(old != new for old, new in scans)]
        first = await self._first_scanned([page for url, page in pages.items() if url not in known], before, wanted)
        changes = await self._changes(moved[:MAX_COMPARED])
        changes.sort(key=lambda change: change.worse, reverse=True)
        real = [change for change in changes if change.new or change.fixed or change.uncertain]
        compared = await compare_moments(self._history, before, after, wanted, fits=lambda page: fits(page, args))
        document: JsonObject = {
            "since": time_of(before.at_ms),
            "between": [before.side.text, after.side.text],
            **component_changes(compared),
            "pages": len(pages),
            "pages_unchanged": len(known) - len(moved) + len(changes) - len(real),
            "new_barriers": sum(len(change.new) for change in changes),
            "fixed_barriers": sum(len(change.fixed) for change in changes),
            "first_scanned_since": len(first),
            "first_scanned": [_first(page) for page in first[:MAX_FIRST]],
            "groups": _groups(real, compared),
            "changed": [change.document() for change in real[: args.limit]],
        }
        if others := len(pages) - len(known) - len(first):
            document["pages_scanned_otherwise"] = others  # before: only in part, or with other rules or widths
        if len(moved) > MAX_COMPARED:
            document["pages_not_compared"] = len(moved) - MAX_COMPARED
        if is_part:
            document["more_pages_than"] = MAX_PAGES
        told = fit(document, "changed", of=len(real), then=("first_scanned", "groups", "components"))
        named = [*cast("list[JsonObject]", document["groups"]), *cast("list[JsonObject]", document["components"])]
        named += cast("list[JsonObject]", document["first_scanned"])
        scans = (*told.scans, *(str(one["scan"]) for one in named))
        return ToolResult(told.document, tuple(scan for scan in scans if scan))

    async def _scans(
        self, before: Moment, after: Moment, wanted: ScanFilter, args: CompareScans
    ) -> tuple[Mapping[str, PageState], Mapping[str, Sequence[tuple[str, str]]], bool]:
        """Return the later pages by address, and for those with an earlier complete scan the scans of each state.

        The last value says whether there are more pages.
        """
        seen = await states_at(self._history, after, replace(wanted, status=READ))
        # Of each state of a page, that with the settings used last.
        newest = {(one.url, one.page_state): one for one in sorted(seen.values(), key=lambda one: one.last_seen_ms)}
        now = [state for state in reversed(newest.values()) if fits(state, args)]
        then = await states_at(self._history, before, replace(wanted, status=READ[:1], group=None))
        known: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for state in now:
            if (state.url, state.terms) in then:
                known[state.url].append((then[state.url, state.terms].scan_id, state.scan_id))
        return {state.url: state for state in now}, known, len(seen) >= MAX_PAGES

    async def _first_scanned(self, pages: Sequence[PageState], before: Moment, wanted: ScanFilter) -> list[PageState]:
        """Return those of ``pages`` that had no record before, in whatever state or with whatever settings."""
        if not pages:
            return []
        then = await states_at(self._history, before, replace(wanted, status=None, group=None), picked=BRIEF)
        known = {url for url, _ in then}
        return [page for page in pages if page.url not in known]

    async def _moment(self, name: str, asker: Asker) -> Moment:
        try:
            vectors = self._history.vectors
            return await moment_of(vectors.redis, vectors.keys, name, now_ms=asker.now_ms)
        except InputError as error:
            raise InvalidJob(str(error)) from None

    async def _changes(self, moved: Sequence[Sequence[tuple[str, str]]]) -> list[Change]:
        records = await self._history.get_many([one for scans in moved for pair in scans for one in pair])
        known = {record.scan_id: record for record in records}
        found: list[Change] = []
        for scans in moved:
            pairs = [(known[old], known[new]) for old, new in scans if old in known and new in known]
            if pairs:
                found.append(changed_page(pairs))
        return found


def component_changes(compared: Compared) -> JsonObject:
    """Return the number of changed component barriers, those that changed most, and the gaps in the comparison."""
    counts = compared.counts()
    return {
        "component_barriers": counts,
        "verdict": compared.verdict,
        "components": [
            {
                "change": one.change,
                "name": clip(one.name, 160),
                "id": one.issue_id,
                "rule": one.rule,
                "impact": one.impact.value if one.impact else None,
                "where": one.text,
                **({"also": clip(one.also, 200)} if one.also else {}),
                "scan": one.scan,
            }
            for change in ORDER
            for one in compared.of(change)[:MAX_COMPONENTS]
        ],
        **({"not_compared": compared.remarks} if compared.remarks else {}),
    }


def _groups(changes: Sequence[Change], compared: Compared) -> list[JsonObject]:
    """Return the groups of changed pages, worst first, each with the scan of its most changed page.

    ``changes`` are sorted by how much worse they got. Barriers gained and lost in a group are named.
    """
    by_group: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_group[change.after.group].append(change)
    told: list[JsonObject] = []
    for name, listed in by_group.items():
        urls = {change.after.url for change in listed}
        components = [kept for one in compared.changes if (kept := one.within(urls)) is not None]
        told.append(
            {
                "group": clip(name, 120),
                "new": sum(len(change.new) for change in listed),
                "fixed": sum(len(change.fixed) for change in listed),
                "new_components": [clip(one.name, 100) for one in components if one.gained][:MAX_NAMED],
                "mended_components": [clip(one.name, 100) for one in components if one.lost][:MAX_NAMED],
                "pages": len(listed),
                "scan": listed[0].after.scan_id,
            }
        )
    return sorted((one for one in told if one["group"]), key=lambda one: one["fixed"] - one["new"])[:MAX_GROUPS]


def changed_page(states: Sequence[tuple[ScanRecord, ScanRecord]]) -> Change:
    """Return the difference of a page, given its states at both times.

    What one state gained is not new if another had it, nor is what one lost fixed if another still has it.
    """
    changes = [changed(before, after) for before, after in states]
    had, has = (_barriers(some) for some in zip(*states, strict=True))
    if len(changes) == 1:
        return changes[0]
    new = frozenset[tuple[str, str]]().union(*(one.new for one in changes)) - had
    fixed = frozenset[tuple[str, str]]().union(*(one.fixed for one in changes)) - has
    uncertain = {rule for one in changes for rule in one.uncertain}
    most = max(changes, key=lambda one: (len(one.new) + len(one.fixed), one.worse))
    return replace(most, new=new, fixed=fixed, uncertain=tuple(sorted(uncertain)))


def changed(before: ScanRecord, after: ScanRecord) -> Change:
    """Return the difference between two states of a page; if the earlier scan was incomplete, nothing counts as new."""
    told = compare(before, after.findings, is_whole=after.status == "scanned")
    new, fixed = _barriers([after], told.new), _barriers([before], told.fixed)
    if before.status == "scanned":
        return Change(before, after, new, fixed, told.uncertain)
    uncertain = {*told.uncertain, *(rule for rule, _ in new)}
    return Change(before, after, frozenset(), fixed, tuple(sorted(uncertain)))


def _barriers(records: Sequence[ScanRecord], among: Sequence[str] | None = None) -> Barriers:
    """Return the failing elements of ``records``; ``among`` limits them to these fingerprints."""
    sought = None if among is None else set(among)
    return frozenset(
        (one.rule, node)
        for record in records
        for one in record.findings
        for node in one.nodes
        if sought is None or node in sought
    )


def _counted(barriers: Barriers) -> JsonObject:
    counts = Counter(rule for rule, _ in sorted(barriers))
    return {"total": len(barriers), **dict(counts.most_common(8))}


def _first(page: PageState) -> JsonObject:
    return {"scan": page.scan_id, "url": clip(page.url, MAX_URL), "barriers": page.barriers.total}
