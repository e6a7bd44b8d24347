"""Totals over the pages of a report, in the wording shared by all reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from producer.contract import IMPACTS, Impact, JsonObject
from producer.reports.decisions import decisions_of, reviews_of
from producer.reports.doubts import doubt_kind
from producer.reports.marks import Mark
from producer.reports.page import Page, fails, impact_of
from producer.reports.plain_text import counted as _counted
from producer.reports.states import Seen, together


@dataclass(slots=True)
class Summary:
    """Totals over pages; add pages with ``add``.

    ``not_scanned`` counts all pages that do not pass, ``doubtful`` those counted only by ``--strict``. ``decided``
    counts elements with a decision, by verdict. ``in_doubt`` counts pages with any doubt, ``doubts`` pages by kind.
    ``reviews`` are the findings that need review, each once for all states of its page (``reviews_of``).
    ``rules`` and ``components`` are those with a violation, by name and by ``issue_id``. A page in several states
    counts as several ``pages`` and as one of ``addresses``.
    """

    pages: int = 0
    passed: int = 0
    with_barriers: int = 0
    not_scanned: int = 0
    doubtful: int = 0
    in_doubt: int = 0
    doubts: dict[str, int] = field(default_factory=dict[str, int])
    failing: int = 0
    reviews: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    decided: Counter[str] = field(default_factory=Counter[str])
    marked: dict[Mark, int] = field(default_factory=dict[Mark, int])
    elements: dict[Impact, int] = field(default_factory=lambda: dict.fromkeys(IMPACTS, 0))
    rules: set[str] = field(default_factory=set[str])
    components: set[str] = field(default_factory=set[str])
    addresses: int = 0
    states: set[str] = field(default_factory=set[str])
    _seen: Seen = field(default_factory=Seen, repr=False, compare=False)

    def add(self, page: Page, *, fail_on: Impact | None) -> None:
        """Count one page; elements already counted in the page's previous state are skipped."""
        self.pages += 1
        self.addresses += page.url != self._seen.url
        self._seen.look_at(page)
        self.states.add(page.state)
        self.passed += page.outcome == "passed"
        self.with_barriers += page.outcome == "barriers"
        self.not_scanned += not page.is_scanned
        self.doubtful += page.outcome == "doubtful"
        self.in_doubt += bool(page.doubts)
        for kind in {doubt_kind(doubt) for doubt in page.doubts}:
            self.doubts[kind] = self.doubts.get(kind, 0) + 1
        self.failing += fails(page, fail_on)
        self.reviews |= reviews_of(page)
        added = [one for one in (self._seen.added(page, finding) for finding in page.findings) if one]
        dismissed = (self._seen.added(page, finding) for finding in page.dismissed)
        self.decided.update(one.verdict for one in decisions_of(page, [*added, *filter(None, dismissed)]))
        for finding in added:
            self.elements[impact_of(finding)] += finding.node_count
            self.rules.add(finding.rule)
            self.components |= {node.issue_id for node in finding.nodes if node.issue_id}
            for _, mark, number in page.marks.each(finding):
                if mark:
                    self.marked[mark] = self.marked.get(mark, 0) + number

    @property
    def needs_review(self) -> int:
        """The number of findings that need review."""
        return len(self.reviews)

    @property
    def unit(self) -> str:
        """The unit of the counts: pages, or scans if pages have several states."""
        return "scan" if len(self.states) > 1 else "page"

    @property
    def pages_text(self) -> str:
        """``12 pages``, or ``12 scans (4 pages in 3 states)``."""
        total, pages = _counted(self.pages, self.unit), _counted(self.addresses, "page")
        return total if self.unit == "page" else f"{total} ({pages} in {len(self.states)} states)"

    @property
    def total(self) -> int:
        """Elements that fail a rule."""
        return sum(self.elements.values())

    def found(self, new: str = "") -> str:
        """Return the findings in the wording shared by all reports: ``3 component barriers (2 rules, 150 elements)``.

        Results of earlier releases have no components: their elements are counted as barriers.
        """
        rules, total = _counted(len(self.rules), "rule"), self.total
        if not self.components:
            return _counted(total, f"{new}barrier")
        return f"{_counted(len(self.components), f'{new}component barrier')} ({rules}, {_counted(total, 'element')})"

    @property
    def why_no_pass(self) -> str:
        """The number of pages that do not pass, and why; ``''`` if all were scanned."""
        unread = self.not_scanned - self.doubtful
        parts = [f"{_counted(unread, self.unit)} could not be {'scanned' if self.unit == 'page' else 'completed'}"]
        parts = parts if unread else []
        if self.doubtful:
            parts.append(f"{_counted(self.doubtful, self.unit)} {'is' if self.doubtful == 1 else 'are'} in doubt")
        return " and ".join(parts)

    def passing_text(self, fail_on: Impact | None) -> str:
        """Return one sentence about barriers that do not fail the run."""
        uncounted = {name: number for name, number in self.marked.items() if name != "new" and number}
        if sum(uncounted.values()) == self.total:
            return f"Barriers were found, all {' or '.join(sorted(uncounted))}."
        if fail_on is None:
            return "Barriers were found."
        but = f"; apart from {' and '.join(sorted(uncounted))} ones, " if uncounted else ", "
        return f"Barriers were found{but}none is {fail_on.value} or worse."

    def document(self) -> JsonObject:
        """Return the totals as JSON."""
        doubts = {"in_doubt": self.in_doubt, "doubts": dict(sorted(self.doubts.items()))} if self.in_doubt else {}
        return {
            "pages": self.pages,
            "passed": self.passed,
            "with_barriers": self.with_barriers,
            "not_scanned": self.not_scanned,
            "failing": self.failing,
            "needs_review": self.needs_review,
            "barriers": {impact.value: count for impact, count in self.elements.items()},
            "rules": len(self.rules),
            "component_barriers": len(self.components),
            **({"addresses": self.addresses, "states": sorted(self.states)} if len(self.states) > 1 else {}),
            **({"decided": dict(self.decided)} if self.decided else {}),
            **({"marked": dict(self.marked)} if self.marked else {}),
            **doubts,
        }


def summarise(pages: Iterable[Page], *, fail_on: Impact | None) -> Summary:
    """Return the totals over ``pages``."""
    summary = Summary()
    for page in together(pages):
        summary.add(page, fail_on=fail_on)
    return summary
