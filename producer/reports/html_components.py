"""Component barriers for the HTML report: each element, screenshot and advice once, pages as links.

Pages with groups are listed by group, here and in the report's list of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from producer.reports.components import ComponentBarrier, by_component, parts_of
from producer.reports.page import Page
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.contract import Finding, Node
    from producer.reports.component_dates import ComponentDates

MAX_ELEMENTS: Final = 12
"""Maximum number of different elements shown per component."""
MAX_PLACES: Final = 200
"""Maximum number of pages listed per component; each page also lists its components."""
FIRST_PLACES: Final = 12
"""Pages of a component that are shown initially; half as many groups if there are several."""
MAX_GROUPS: Final = 20
"""Maximum number of groups per component whose pages are listed."""
NO_GROUP: Final = "Without a group"


@dataclass(slots=True)
class Shown:
    """An element as on its first page, with the number of its pages."""

    page: Page
    finding: Finding
    node: Node
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a component: its number and label in the report, and the component's elements on it."""

    number: int
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Places:
    """A component's pages in one group; ``name`` is '' if no page of the report has a group.

    ``first`` are shown initially, ``rest`` on request; ``pages`` also counts those not listed.
    """

    name: str
    pages: int
    first: Sequence[Place]
    rest: Sequence[Place]


@dataclass(frozen=True, slots=True)
class PageGroup:
    """The report's pages in one group, each with its number and label; ``name`` is '' if no page has a group."""

    name: str
    about: str
    entries: Sequence[tuple[int, str, Page]]


@dataclass(slots=True)
class View:
    """A component barrier with its number in the report; ``places`` are its pages, ``unlisted`` counts the others."""

    number: int
    barrier: ComponentBarrier
    groups: Sequence[str]
    places: Sequence[Places]
    unlisted: int
    since: str = ""
    shown: list[Shown] = field(default_factory=list[Shown])
    different: int = 0

    @property
    def is_same_everywhere(self) -> bool:
        """Whether axe-core's summary is the same for all elements."""
        return len({one.node.failure_summary for one in self.shown}) == 1


@dataclass(frozen=True, slots=True)
class Reference:
    """A page's line about one of its components: the component's number, and what is specific to this page.

    ``text`` describes marks that the single word in ``marks`` cannot.
    """

    number: int
    count: int
    marks: str = ""
    text: str = ""
    hidden: int = 0


class Views:
    """All component barriers of a report, and where to find those of a page."""

    def __init__(self, pages: Sequence[Page], labels: Sequence[str], *, dates: Mapping[str, ComponentDates]) -> None:
        """``labels`` are the names of ``pages``, in the same order; ``dates`` are the known dates of components."""
        self._labels = [one_line(label) for label in labels]
        self._has_groups = any(group_of(page) for page in pages)
        numbers = {id(page): number for number, page in enumerate(pages)}
        self.all: list[View] = []
        for number, one in enumerate((one for one in by_component(pages) if one.issue_id), 1):
            places = self._places(one, numbers)
            unlisted = len(one.places) - sum(len(some.first) + len(some.rest) for some in places)
            since = dates[one.issue_id].text if one.issue_id in dates else ""
            groups = sorted({heading for page, _ in one.places if (heading := self._heading(group_of(page)))})
            view = View(number, one, groups, places, unlisted, since)
            _show(view)
            self.all.append(view)
        self._numbers = {(view.barrier.issue_id, view.barrier.rule): view.number for view in self.all}

    def _places(self, one: ComponentBarrier, numbers: Mapping[int, int]) -> list[Places]:
        """Return the listed pages of a component by group, largest group first."""
        by_group: dict[str, list[tuple[Page, Finding]]] = {}
        for page, finding in one.places:
            by_group.setdefault(group_of(page), []).append((page, finding))
        shown = sorted(by_group.items(), key=lambda item: (-len(item[1]), item[0]))[:MAX_GROUPS]
        first = FIRST_PLACES if len(shown) == 1 else FIRST_PLACES // 2
        most = max(first, MAX_PLACES // max(len(shown), 1))
        listed: list[Places] = []
        for group, some in shown:
            places = [
                Place(numbers[id(page)] + 1, self._labels[numbers[id(page)]], finding.node_count)
                for page, finding in some[:most]
            ]
            listed.append(Places(self._heading(group), len(some), places[:first], places[first:]))
        return listed

    def _heading(self, group: str) -> str:
        """Return the heading of a group's pages; '' if the report has no groups."""
        return (one_line(group, limit=120) or NO_GROUP) if self._has_groups else ""

    def page_groups(self, pages: Sequence[Page]) -> list[PageGroup]:
        """Return the pages by group, the worst group first; without groups, one group without a name."""
        by_group: dict[str, list[tuple[int, str, Page]]] = {}
        for number, page in enumerate(pages):
            by_group.setdefault(group_of(page), []).append((number + 1, self._labels[number], page))
        return [PageGroup(self._heading(group), _about(entries), entries) for group, entries in by_group.items()]

    def references(self, page: Page) -> list[Reference]:
        """Return the page's components by number; names are only where a component is described."""
        found: list[Reference] = []
        for finding in page.findings:
            if not has_components(finding):
                continue
            parts = [(issue_id, part) for issue_id, part in parts_of(finding) if issue_id]
            if hidden := finding.node_count - len(finding.nodes):  # named on the last line
                issue_id, part = parts[-1]
                parts[-1] = issue_id, part.revised(node_count=part.node_count + hidden)
            for issue_id, part in parts:
                number, listed = self._numbers[issue_id, finding.rule], len(part.nodes)
                found.append(Reference(number, listed, *_marked(page, part), part.node_count - listed))
        return sorted(found, key=lambda one: one.number)


def group_of(page: Page) -> str:
    """Return the page's group; '' for none."""
    return page.result.group if page.result else ""


def component_count(places: Iterable[tuple[Page, Finding]]) -> int:
    """Return the number of component barriers in these findings."""
    return len({(node.issue_id, finding.rule) for _, finding in places for node in finding.nodes if node.issue_id})


def _about(entries: Sequence[tuple[int, str, Page]]) -> str:
    """Return a group's number of pages and of component barriers."""
    count = component_count((page, finding) for _, _, page in entries for finding in page.findings)
    found = f", {counted(count, 'component barrier')}" if count else ""
    return f"{counted(len(entries), 'page')}{found}"


def has_components(finding: Finding) -> bool:
    """Return whether every listed element of the finding belongs to a component, which then describes it."""
    return bool(finding.nodes) and all(node.issue_id for node in finding.nodes)


def _marked(page: Page, finding: Finding) -> tuple[str, str]:
    """Return the finding's marks, and in words those that differ."""
    if not page.marks.is_set:
        return "", ""
    marks = " ".join(dict.fromkeys(mark for _, mark, _ in page.marks.each(finding) if mark))
    text = page.marks.finding_text(finding)
    return marks, "" if text == marks else text


def _show(view: View) -> None:
    """Choose the elements to show: each once, those with a screenshot first."""
    kept: dict[str, Shown] = {}
    for page, finding in view.barrier.places:
        for node in finding.nodes:
            known = kept.setdefault(node.fingerprint, Shown(page, finding, node, pages=0))
            known.pages += 1
            if node.fingerprint in page.pictures and node.fingerprint not in known.page.pictures:
                known.page, known.finding, known.node = page, finding, node
    ranked = sorted(kept.values(), key=lambda one: one.node.fingerprint not in one.page.pictures)
    view.shown, view.different = ranked[:MAX_ELEMENTS], len(ranked)
