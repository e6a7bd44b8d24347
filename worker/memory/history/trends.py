"""Compares groups of pages between two times.

``producer/reports/site_days.py`` has a site's daily figures.

A group is worse if a page known at both times has gained a component barrier, and better if one has lost one; both can
be true. Otherwise it is worse if these pages have more barriers: more critical ones, or as many of those and more
serious ones, and so on. Pages added later are counted separately, so that scanning more pages does not make a group
worse. Partial scans are ignored. The compared scans are named, so that every figure can be verified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from producer.contract import Counts, page_id
from producer.reports.comparison import ComponentChange
from worker.memory.history.comparison import compare_moments
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import MAX_PAGES, PageState
from worker.memory.history.periods import Moment


@dataclass(frozen=True, slots=True)
class PageChange:
    """A page of a group at both times; the ids are scans."""

    url: str
    before: str
    after: str
    barriers_before: Counts
    barriers_after: Counts
    page_state: str = ""

    @property
    def change(self) -> tuple[int, int, int, int]:
        """The change in barriers by impact, worst first; positive means more."""
        return difference(self.barriers_before, self.barriers_after)


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group at both times: sums over the pages known at both, and the number of pages added later.

    ``components`` are the changes on its pages, with addresses of this group only.
    """

    group: str
    before: Counts
    after: Counts
    pages: tuple[PageChange, ...]
    added: int
    components: tuple[ComponentChange, ...] = ()

    @property
    def change(self) -> tuple[int, int, int, int]:
        """The change in barriers by impact, worst first; positive means more."""
        return difference(self.before, self.after)

    @property
    def verdict(self) -> str:
        """``worse``, ``better``, ``worse and better`` or ``same``; ``new`` if no page was known before."""
        if not self.pages:
            return "new"
        gained, lost = (any(getattr(one, name) for one in self.components) for name in ("gained", "lost"))
        if gained and lost:
            return "worse and better"
        nothing = (0, 0, 0, 0)
        if not gained and not lost:
            return "same" if self.change == nothing else "worse" if self.change > nothing else "better"
        return "worse" if gained else "better"


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups, sorted by how much worse they got. ``is_part``: not all pages were compared."""

    groups: tuple[GroupChange, ...]
    is_part: bool


def difference(before: Counts, after: Counts) -> tuple[int, int, int, int]:
    """Return ``after`` minus ``before``, worst impact first."""
    return (
        after.critical - before.critical,
        after.serious - before.serious,
        after.moderate - before.moderate,
        after.minor - before.minor,
    )


def compare_groups(
    before: Sequence[PageState], after: Sequence[PageState], components: Sequence[ComponentChange] = ()
) -> tuple[GroupChange, ...]:
    """Return each group of ``after`` with the changes on its pages; pages count in their current group.

    Pages without an address are ignored, since a changed text is a different page. Only states with equal terms are
    compared.
    """
    then = {(page_id(state.url), state.terms): state for state in before if state.url}
    changes: defaultdict[str, list[PageChange]] = defaultdict(list)
    added: defaultdict[str, int] = defaultdict(int)
    for state in after:
        old = then.get((page_id(state.url), state.terms)) if state.url else None
        if old is not None:
            page = PageChange(state.url, old.scan_id, state.scan_id, old.barriers, state.barriers, state.page_state)
            changes[state.group].append(page)
        elif state.url:
            added[state.group] += 1
    groups = [_group(name, changes[name], added[name], components) for name in changes.keys() | added.keys()]
    return tuple(sorted(groups, key=_order))


def _order(one: GroupChange) -> tuple[bool, bool, tuple[int, ...], int, str]:
    gained = sum(len(change.gained) for change in one.components)
    return (not one.pages, "worse" not in one.verdict, tuple(-step for step in one.change), -gained, one.group)


def _group(name: str, pages: list[PageChange], added: int, components: Sequence[ComponentChange]) -> GroupChange:
    urls = {page.url for page in pages}
    return GroupChange(
        group=name,
        before=_sum(page.barriers_before for page in pages),
        after=_sum(page.barriers_after for page in pages),
        pages=tuple(sorted(pages, key=lambda page: (tuple(-step for step in page.change), page.url))),
        added=added,
        components=tuple(kept for one in components if (kept := one.within(urls)) is not None),
    )


def _sum(counts: Iterable[Counts]) -> Counts:
    total = [0, 0, 0, 0]
    for one in counts:
        total = [sum(pair) for pair in zip(total, difference(Counts(), one), strict=True)]
    critical, serious, moderate, minor = total
    return Counts(critical=critical, serious=serious, moderate=moderate, minor=minor)


async def group_trends(
    history: History,
    *,
    since_ms: int,
    until_ms: int | None = None,
    group: str | None = None,
    host: str | None = None,
    limit: int = MAX_PAGES,
) -> Groups:
    """Return the changes in each group, or in one group or site, from a Redis time until now.

    Pages are selected by their current state and compared by their newest complete scans.
    """
    within = ScanFilter(group=group, host=host, status="scanned", begun_by_ms=until_ms)
    now = await history.newest_of_pages(within, limit=limit)
    # A page may have been in another group then.
    was = ScanFilter(host=host, status="scanned", begun_by_ms=since_ms)
    then = await history.newest_of_pages(was, by_terms=True, limit=limit)
    end_ms = until_ms if until_ms is not None else await history.now_ms()
    begin, end = (Moment("", "time", at_ms, {}) for at_ms in (since_ms, end_ms))
    compared = await compare_moments(history, begin, end, ScanFilter(host=host, status="scanned"), limit=limit)
    return Groups(compare_groups(then, now, compared.changes), is_part=limit in {len(now), len(then)})
