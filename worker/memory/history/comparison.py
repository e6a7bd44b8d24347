"""Compares all pages at two times by component barrier, based on the records of the history.

A page's state at a time is its newest record that had begun by then; pages are compared under the same terms. A partial
scan, or a record that does not list all elements of a rule, proves no absence. Records of releases without components
get those of the rules whose elements are still the same. ``producer/reports/comparison.py`` defines the result.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from producer.contract.component_name import MAX_EXAMPLES
from producer.reports.comparison import Change, Comparison, ComponentChange, ordered
from worker.memory.history.history import EVERYTHING, History, ScanFilter
from worker.memory.history.pages import BRIEF, MAX_PAGES, PICKED, PageState
from worker.memory.history.periods import Moment
from worker.memory.history.scan_record import ScanRecord

CHUNK: Final = 500
"""Records per read, about 2 MB."""

COMPARED: Final = ("page", "url", "group_name", "status", "findings", "components")
"""The fields of a record that tell what changed."""

_Place = tuple[str, str]
"""Address and terms."""
States = Mapping[_Place, PageState]


@dataclass(slots=True)
class _Component:
    """The pages of a component at both times, as sets of addresses."""

    rule: str = ""
    before: set[str] = field(default_factory=set[str])
    after: set[str] = field(default_factory=set[str])
    gained: set[str] = field(default_factory=set[str])
    lost: set[str] = field(default_factory=set[str])
    uncertain: set[str] = field(default_factory=set[str])
    only_before: bool = False
    groups: set[str] = field(default_factory=set[str])
    examples: set[str] = field(default_factory=set[str])
    scan: str = ""

    def settle(self) -> None:
        """Ignore a change in one state of a page if another state had the component throughout."""
        self.gained -= self.before
        self.lost -= self.after

    def change(self) -> Change | None:
        """Return the change; None if there is none, or only pages without an earlier record are affected."""
        if not self.before:
            return "new" if self.gained else "uncertain" if self.uncertain else None
        if not self.after and self.lost and not self.uncertain and not self.only_before:
            return "mended"
        if self.gained or self.lost:
            return "moved"
        return "uncertain" if self.uncertain else None


async def compare_moments(
    history: History,
    before: Moment,
    after: Moment,
    wanted: ScanFilter = EVERYTHING,
    *,
    fits: Callable[[PageState], bool] | None = None,
    limit: int = MAX_PAGES,
) -> Comparison:
    """Return the changes between two moments on the pages that match ``wanted``: a site, group or page.

    A page's group is that of the later moment; ``fits`` filters the pages further.
    """
    then, now = await _states_at_both(history, before, after, wanted, limit=limit, is_brief=fits is None)
    is_part = max(len(then), len(now)) >= limit
    if fits is not None:
        now = {place: state for place, state in now.items() if fits(state)}
    if fits is not None or wanted.group is not None:
        # Skip pages that left the group or no longer have the words in their title.
        then = {place: state for place, state in then.items() if place in now}
    both = then.keys() & now.keys()
    changed = [place for place in both if _has_changed(then[place], now[place])]
    found: defaultdict[str, _Component] = defaultdict(_Component)
    unnamed: set[str] = set()
    _take_presence(found, then, now, both)
    for start in range(0, len(changed), CHUNK):
        places = changed[start : start + CHUNK]
        scan_ids = [states[place].scan_id for place in places for states in (then, now)]
        records = await history.found_again(scan_ids, COMPARED)
        for place in places:
            old, new = records.get(then[place].scan_id), records.get(now[place].scan_id)
            if old is not None and new is not None:
                old = _with_components(old, new)
                for issue_id in old.components:
                    found[issue_id].before.add(old.url)
                _take_pair(found, old, new)
                if any(finding.nodes and not finding.components for finding in old.findings):
                    unnamed.add(old.url)
    for one in found.values():
        one.settle()
    changes = await _named(history, found)
    urls = ({url for url, _ in then}, {url for url, _ in now}, {url for url, _ in both})
    return Comparison(
        before.side,
        after.side,
        changes,
        compared=len(urls[2]),
        unchanged=sum(bool(one.before and one.after) and one.change() is None for one in found.values()),
        only_before=len(urls[0] - urls[1]),
        only_after=len(urls[1] - urls[0]),
        other_terms=len((urls[0] & urls[1]) - urls[2]),
        not_whole=sum(_is_partial(then[place], now[place]) for place in both),
        unnamed=len(unnamed),
        is_part=is_part,
    )


async def _states_at_both(
    history: History, before: Moment, after: Moment, wanted: ScanFilter, *, limit: int, is_brief: bool
) -> tuple[States, States]:
    """Return the states at both moments: of two times from one read of the records, if those are not too many."""
    if is_brief and not before.hosts and not after.hosts and wanted.group is None:
        begun_ms = max(before.at_ms, after.at_ms)
        records = await history.states_of_records(replace(wanted, begun_by_ms=begun_ms), limit=limit)
        if records is not None:
            return _newest(records, before.at_ms), _newest(records, after.at_ms)
    picked = BRIEF if is_brief else PICKED
    return await asyncio.gather(
        states_at(history, before, replace(wanted, group=None), limit=limit, picked=picked),
        states_at(history, after, wanted, limit=limit, picked=picked),
    )


def _newest(records: Sequence[PageState], by_ms: int) -> States:
    """Return the newest record of each page and terms that had begun by a time."""
    newest: dict[_Place, PageState] = {}
    for state in records:
        held = newest.get((state.page, state.terms))
        if state.at_ms <= by_ms and (held is None or state.at_ms > held.at_ms):
            newest[state.page, state.terms] = state
    recent = sorted(newest.values(), key=lambda state: -state.last_seen_ms)
    return {(state.url, state.terms): state for state in recent if state.url}


async def states_at(
    history: History, moment: Moment, wanted: ScanFilter, *, limit: int = MAX_PAGES, picked: Sequence[str] = PICKED
) -> States:
    """Return each page's state at the moment, by address and terms; for a batch or run only its own pages."""
    found: dict[_Place, PageState] = {}
    for within in moment.filters(wanted):
        states = await history.newest_of_pages(within, by_terms=True, limit=limit, picked=picked)
        found |= {(state.url, state.terms): state for state in states if state.url}
    return found


def _take_presence(found: defaultdict[str, _Component], then: States, now: States, both: Collection[_Place]) -> None:
    for place, state in then.items():
        for issue_id in state.components:
            one = found[issue_id]
            one.before.add(state.url)
            one.only_before |= place not in both
    for state in now.values():
        for issue_id in state.components:
            found[issue_id].after.add(state.url)
            found[issue_id].groups.add(state.group)


def _has_changed(old: PageState, new: PageState) -> bool:
    """Return whether components differ, or may do so: a record without any may be of an earlier release."""
    return old.components != new.components or (not old.components and old.scan_id != new.scan_id)


def _is_partial(old: PageState, new: PageState) -> bool:
    return old.scan_id != new.scan_id and {old.status, new.status} != {"scanned"}


def _with_components(old: ScanRecord, new: ScanRecord) -> ScanRecord:
    """Return a record of an earlier release with the components of the rules whose elements ``new`` still has."""
    if all(one.components for one in old.findings):
        return old
    by_rule = {one.rule: one for one in new.findings if not one.is_trimmed}
    findings = tuple(
        replace(one, components=by_rule[one.rule].components)
        if not one.components and one.rule in by_rule and set(one.nodes) == set(by_rule[one.rule].nodes)
        else one
        for one in old.findings
    )
    return replace(old, findings=findings)


def _take_pair(found: defaultdict[str, _Component], old: ScanRecord, new: ScanRecord) -> None:
    """Record what one page gained and lost."""
    had, has = _rules(old), _rules(new)
    for issue_id in had.keys() ^ has.keys():
        one = found[issue_id]
        is_gain = issue_id in has
        one.rule = (has if is_gain else had)[issue_id]
        one.examples |= {*(new if is_gain else old).examples_of(issue_id)}
        if not _proves_absence(old if is_gain else new, one.rule):
            one.uncertain.add(new.url)
            continue
        (one.gained if is_gain else one.lost).add(new.url)
        one.groups.add(new.group)
        one.scan = one.scan or new.scan_id


def _rules(record: ScanRecord) -> dict[str, str]:
    return {issue_id: finding.rule for finding in record.findings for issue_id in finding.components}


def _proves_absence(record: ScanRecord, rule: str) -> bool:
    listed = (one.node_count <= sum(one.components.values()) for one in record.findings if one.rule == rule)
    return record.status == "scanned" and all(listed)


async def _named(history: History, found: Mapping[str, _Component]) -> tuple[ComponentChange, ...]:
    changed: dict[str, Change] = {issue_id: change for issue_id, one in found.items() if (change := one.change())}
    known = await history.barriers.get_many(changed)
    made: list[ComponentChange] = []
    for issue_id, change in changed.items():
        one, record = found[issue_id], known.get(issue_id)
        rule = one.rule or (record.rule if record else "")
        made.append(
            ComponentChange(
                change,
                issue_id,
                name=record.name if record else f"a component that fails {rule}",
                rule=rule,
                impact=record.impact if record else None,
                pages_before=len(one.before),
                pages_after=len(one.after),
                gained=tuple(sorted(one.gained)),
                lost=tuple(sorted(one.lost)),
                uncertain=tuple(sorted(one.uncertain)),
                groups=tuple(sorted(one.groups - {""})),
                examples=tuple(sorted(one.examples)[:MAX_EXAMPLES]),
                scan=one.scan,
            )
        )
    return ordered(made)
