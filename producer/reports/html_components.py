"""The component barriers as the HTML report shows them: each element, picture and advice once, its pages as links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from producer.reports.components import ComponentBarrier, by_component
from producer.reports.page import Page, elements
from producer.reports.plain_text import one_line

if TYPE_CHECKING:
    from producer.contract import Finding, Node

MAX_ELEMENTS: Final = 12
"""Different elements shown of a component."""
MAX_PLACES: Final = 200
"""Pages of a component that are listed; each page lists its components besides."""
FIRST_PLACES: Final = 12
"""Pages of a component that are shown without being asked for."""


@dataclass(slots=True)
class Shown:
    """One element as it is on its first page, and on how many pages it is."""

    page: Page
    finding: Finding
    node: Node
    pages: int = 1


@dataclass(slots=True)
class View:
    """A component barrier with its number in the report; ``places`` has a page's number, label and elements."""

    number: int
    barrier: ComponentBarrier
    places: list[tuple[int, str, int]]
    shown: list[Shown] = field(default_factory=list[Shown])
    different: int = 0

    @property
    def is_same_everywhere(self) -> bool:
        """Whether axe-core says the same of all elements."""
        return len({one.node.failure_summary for one in self.shown}) == 1


@dataclass(frozen=True, slots=True)
class Reference:
    """A page's line about one of its components: the component's number, and what is this page's alone.

    ``text`` says of the marks what the single word of ``marks`` does not.
    """

    number: int
    count: int
    marks: str = ""
    text: str = ""
    hidden: int = 0


class Views:
    """All component barriers of a report, and where those of a page's findings are."""

    def __init__(self, pages: Sequence[Page], labels: Sequence[str]) -> None:
        """``labels`` are the names of ``pages``, in the same order."""
        numbers = {id(page): number for number, page in enumerate(pages)}
        found = [one for one in by_component(pages) if one.issue_id]
        self.all: list[View] = []
        for number, one in enumerate(found, 1):
            places = [
                (place + 1, one_line(labels[place]), finding.node_count)
                for place, finding in ((numbers[id(page)], finding) for page, finding in one.places)
            ]
            view = View(number, one, places)
            _show(view)
            self.all.append(view)
        self._numbers = {(view.barrier.issue_id, view.barrier.rule): view.number for view in self.all}

    @property
    def groups(self) -> list[str]:
        """The groups of all pages that have one."""
        return sorted({group for view in self.all for group in view.barrier.groups})

    def references(self, page: Page) -> list[Reference]:
        """Return the page's components by number: each is named once, where it is shown, not on each of 1,000 pages."""
        found: list[Reference] = []
        for finding in page.findings:
            if not has_components(finding):
                continue
            counts = Counter(node.issue_id for node in finding.nodes)
            marks, text = _marked(page, finding)
            last = next(reversed(counts))
            for issue_id, count in counts.items():
                hidden = elements(finding) - len(finding.nodes) if issue_id == last else 0
                found.append(Reference(self._numbers[issue_id, finding.rule], count, marks, text, hidden))
        return sorted(found, key=lambda one: one.number)


def has_components(finding: Finding) -> bool:
    """Return whether each listed element of the finding has a component, which says all about it."""
    return bool(finding.nodes) and all(node.issue_id for node in finding.nodes)


def _marked(page: Page, finding: Finding) -> tuple[str, str]:
    """Return the finding's marks, and in words what they leave out."""
    if not page.marks.is_set:
        return "", ""
    marks = " ".join(dict.fromkeys(mark for _, mark, _ in page.marks.each(finding) if mark))
    text = page.marks.finding_text(finding)
    return marks, "" if text == marks else text


def _show(view: View) -> None:
    """Choose the elements to show: each once, those with a picture first."""
    kept: dict[str, Shown] = {}
    for page, finding in view.barrier.places:
        for node in finding.nodes:
            known = kept.setdefault(node.fingerprint, Shown(page, finding, node, pages=0))
            known.pages += 1
            if node.fingerprint in page.pictures and node.fingerprint not in known.page.pictures:
                known.page, known.finding, known.node = page, finding, node
    ranked = sorted(kept.values(), key=lambda one: one.node.fingerprint not in one.page.pictures)
    view.shown, view.different = ranked[:MAX_ELEMENTS], len(ranked)
