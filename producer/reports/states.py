"""Merges pages in several states: lists each element once, and finds which states have a component barrier. Pure.

The first listed state of a page shows an element; later states add only new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.contract import Finding, Node
    from producer.reports.page import Page

Place = tuple["Page", "Finding"]


@dataclass(slots=True)
class Seen:
    """Elements shown so far by the states of one page; nothing is kept of other pages."""

    url: str = ""
    _shown: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _unlisted: dict[str, int] = field(default_factory=dict[str, int])
    _pages: dict[str, Page] = field(default_factory=dict[str, "Page"])

    def look_at(self, page: Page) -> None:
        """Start a new page, unless it is the same page in another state."""
        if page.url != self.url or self._pages.get(page.state, page) is not page:
            self.url, self._shown, self._unlisted, self._pages = page.url, {}, {}, {}
        self._pages[page.state] = page

    def added(self, page: Page, finding: Finding) -> Finding | None:
        """Return the finding with only the elements that earlier states of the page lack, or None.

        For a component these are the elements in excess of any earlier state's number, because the fingerprint of one
        element can differ between states.
        """
        self.look_at(page)
        key = f"{finding.outcome} {finding.rule}"
        unlisted = max(0, finding.node_count - len(finding.nodes))
        by_component: dict[str, list[Node]] = {}
        for node in finding.nodes:
            by_component.setdefault(node.issue_id, []).append(node)
        nodes = [node for issue_id, some in by_component.items() for node in self._more(f"{key} {issue_id}", some)]
        before = self._unlisted.get(key)
        self._unlisted[key] = max(unlisted, before or 0)
        more = max(0, unlisted - (before or 0))
        if before is None:
            return finding
        return finding.revised(nodes=tuple(nodes), node_count=len(nodes) + more) if nodes or more else None

    def _more(self, key: str, nodes: Sequence[Node]) -> list[Node]:
        """Return the component's elements in excess of those shown; elements without a component if not shown yet."""
        shown = self._shown.setdefault(key, set())
        new = [node for node in nodes if node.fingerprint not in shown]
        if nodes[0].issue_id:
            new = new[: max(0, len(nodes) - len(shown))]
        shown.update(node.fingerprint for node in new)
        return new


def together(pages: Iterable[Page]) -> list[Page]:
    """Return the pages with the states of each adjacent, in the order of the first ones.

    A state with findings that count for the gate comes first, so that its marks are shown: an element may be known in
    one state and new in another.
    """
    listed = list(pages)
    if not any(page.state for page in listed):
        return listed
    place = {page.url: number for number, page in reversed(list(enumerate(listed)))}
    return sorted(listed, key=lambda page: (place[page.url], page.marks.is_set and not page.counted.findings))


def folded(places: Sequence[Place]) -> list[Place]:
    """Return the places of a component or rule with each element of a page once, even if several states show it.

    As in ``together``, states in which the finding counts for the gate come first.
    """
    if not any(page.state for page, _ in places):
        return list(places)
    first = {page.url: number for number, (page, _) in reversed(list(enumerate(places)))}
    seen, kept = Seen(), list[Place]()
    for page, finding in sorted(places, key=lambda one: (first[one[0].url], one[0].marks.counted(one[1]) is None)):
        added = seen.added(page, finding)
        if added is not None:
            kept.append((page, added))
    return kept


def states_read(pages: Iterable[Page]) -> dict[str, frozenset[str]]:
    """Return, by address, the states in which a page was scanned completely, if there are several."""
    found: dict[str, set[str]] = {}
    for page in pages:
        if page.is_scanned:
            found.setdefault(page.url, set()).add(page.state)
    return {url: frozenset(states) for url, states in found.items() if len(states) > 1}


def only_in(having: Mapping[str, Iterable[str]], read: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return the states that have something; empty if all do, or if no page was scanned in several.

    ``having`` has, by page address, the states that have it.
    """
    if not having.keys() <= read.keys():
        return ()
    states = {state for some in having.values() for state in some}
    others = {state for url in having for state in read[url]} - states
    return tuple(sorted(states)) if others else ()


def only_text(states: Sequence[str], read: Iterable[str]) -> str:
    """Return in words which of the states ``read`` have it: ``only dark``, ``only at 390 px``, ``not iPhone 14``.

    A setting shared by these and no other state stands for them: ``dark`` for ``dark`` and ``iPhone 14, dark``.
    """
    if not states:
        return ""
    having, all_read = set(states), set(read)
    for part in dict.fromkeys(part for state in sorted(all_read) for part in _parts(state)):
        sharing = {state for state in all_read if part in _parts(state)}
        if sharing == having:
            return f"only {_place(part)}"
        if all_read - sharing == having and len(having) > 1:
            return f"not {_place(part)}"
    names = [_place(" + ".join(_parts(state))) for state in states]
    return f"only {' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)}"


def _parts(state: str) -> list[str]:
    return state.split(", ") if state else []


def _place(state: str) -> str:
    return f"at {state}" if state[:1].isdigit() else state or "in the default state"
