"""The violations of a report by component: a broken header on 150 pages is one entry with 150 places. Pure.

Elements without an ``issue_id`` (results of earlier releases) and unlisted elements are grouped by rule; they are not
component barriers. ``worker/scan/component.py`` defines components.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from producer.contract import Impact, JsonObject
from producer.contract.addresses import site_name
from producer.contract.advice import Advice, advice_on
from producer.contract.component_name import also, examples_of
from producer.reports.explained import explanation_of
from producer.reports.page import Page, RuleGroup, impact_of
from producer.reports.states import folded, only_in, only_text, states_read

if TYPE_CHECKING:
    from producer.contract import Finding, Node, Priority, TriedFix


@dataclass(slots=True)
class ComponentBarrier(RuleGroup):
    """The findings of one rule on one component; each place has the page's finding with only the component's elements.

    ``issue_id`` is '' for elements known only by their rule. ``kin`` are other sites of the report with a component
    barrier of the same kind, as on sites that share a framework; each must be fixed separately. ``only`` are the states
    that have it, if its pages were scanned in others too; ``only_text`` says this in words.
    """

    issue_id: str = ""
    name: str = ""
    kin: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    only_text: str = ""

    @property
    def advice(self) -> tuple[Priority, str] | None:
        """The first text by a model about this component, with the model's name."""
        for page, finding in self.places:
            found = explanation_of(page, finding, self.issue_id)
            if found and page.result:
                return found, page.result.assessed_by.model
        return None

    @property
    def groups(self) -> list[str]:
        """The groups of its pages, sorted."""
        return sorted({page.result.group for page, _ in self.places if page.result and page.result.group})

    @property
    def examples(self) -> tuple[str, ...]:
        """Files or texts of its elements, if its name does not tell them from others."""
        return examples_of(node.component for _, finding in self.places for node in finding.nodes)

    @property
    def also(self) -> str:
        """Examples beside that in its name: ``also “a.gif”, “b.gif”``; '' if there are none."""
        return also(self.name, self.examples) if self.issue_id else ""

    @property
    def marks(self) -> Counter[str]:
        """The number of its new, known and waived elements; empty without a comparison."""
        counts: Counter[str] = Counter()
        for page, finding in self.places:
            for _, mark, number in page.marks.each(finding):
                if mark:
                    counts[mark] += max(number, 1)
        return counts

    @property
    def counts(self) -> bool:
        """Whether any of its elements counts for the gate: it is neither known nor waived everywhere."""
        return any(page.marks.counted(finding) is not None for page, finding in self.places)

    @property
    def state(self) -> str:
        """``new``, ``known``, ``known, new on 3 pages``, ``waived``, or '' without a comparison.

        ``waived, not on 3 pages`` if it was compared with nothing, and a waiver covers only some elements or pages.
        """
        marks = self.marks
        if "known" not in marks and "waived" not in marks:
            return "new" if marks else ""
        word = "known" if "known" in marks else "waived"
        rest = "new" if "new" in marks else "not"
        open_on = {page.url for page, finding in self.places if page.marks.counted(finding) is not None}
        return f"{word}, {rest} on {len(open_on):,} {'page' if len(open_on) == 1 else 'pages'}" if open_on else word

    @property
    def fix(self) -> tuple[TriedFix, Page] | None:
        """A tried fix, and the page whose result has it."""
        for page, _ in self.places if self.issue_id else ():
            for fix in page.result.fixes if page.result else ():
                if fix.issue_id == self.issue_id and fix.rule == self.rule and fix.is_fix:
                    return fix, page
        return None

    @property
    def what_to_do(self) -> Advice | None:
        """What to do about the rule, with an example."""
        return advice_on(self.rule)


def by_component(pages: Iterable[Page]) -> list[ComponentBarrier]:
    """Return the violations of ``pages`` by component: new before known, then by impact and number of pages."""
    found: dict[tuple[str, str], ComponentBarrier] = {}
    pages = list(pages)
    for page in pages:
        for finding in page.findings:
            for issue_id, part in parts_of(finding):
                key = (issue_id, finding.rule)
                if (group := found.get(key)) is None:
                    name = part.nodes[0].component if issue_id else part.help or part.rule
                    impact = impact_of(part)
                    group = ComponentBarrier(finding.rule, impact, part, issue_id=issue_id, name=name)
                    found[key] = group
                group.impact = max(group.impact, impact_of(part), key=lambda impact: impact.rank)
                group.places.append((page, part))
    _find_kin(found.values())
    if any(page.state for page in pages):
        _fold_states(found.values(), states_read(pages))
    return sorted(found.values(), key=_order)


def _fold_states(found: Iterable[ComponentBarrier], read: Mapping[str, frozenset[str]]) -> None:
    """Keep each element of a page once, and name the states if only some have a component."""
    for one in found:
        having: dict[str, set[str]] = {}
        for page, _ in one.places:
            having.setdefault(page.url, set()).add(page.state)
        one.only = only_in(having, read)
        one.only_text = only_text(one.only, (state for url in having for state in read.get(url, ())))
        one.places = folded(one.places)


def component_results(pages: Iterable[Page]) -> list[ComponentBarrier]:
    """Return the component barriers, and one finding per page for other elements, for formats that count results."""
    found: list[ComponentBarrier] = []
    for one in by_component(pages):
        found += [one] if one.issue_id else [replace(one, places=[place], finding=place[1]) for place in one.places]
    return found


def _find_kin(found: Iterable[ComponentBarrier]) -> None:
    """Name the other sites with a component barrier of the same kind, which is the part of the id before the site's."""
    kinds: dict[str, dict[str, str]] = {}
    for one in found:
        if one.issue_id:
            kind, _, site = one.issue_id.partition("-")
            kinds.setdefault(kind, {})[site] = site_name(one.places[0][0].url)
    for one in found:
        kind, _, site = one.issue_id.partition("-")
        others = kinds.get(kind, {})
        one.kin = tuple(sorted(name for other, name in others.items() if other != site)) if len(others) > 1 else ()


def document(pages: Iterable[Page]) -> list[JsonObject]:
    """Return the component barriers of ``pages`` as JSON, each with its pages."""
    found = [_entry(one) for one in by_component(pages) if one.issue_id]
    return sorted(found, key=lambda one: (-Impact(one["impact"]).rank, -len(one["pages"]), one["name"]))


def _entry(one: ComponentBarrier) -> JsonObject:
    fix = {"fix": one.fix[0].model_dump(mode="json", exclude={"issue_id", "rule"})} if one.fix else {}
    return {
        "issue_id": one.issue_id,
        "name": one.name,
        "rule": one.rule,
        "impact": one.impact.value,
        "elements": one.node_count,
        "pages": list(dict.fromkeys(page.url for page, _ in one.places)),
        "groups": one.groups,
        "marks": dict(one.marks),
        **({"examples": list(one.examples)} if one.examples else {}),
        **fix,
        **({"only_in_states": list(one.only)} if one.only else {}),
    }


def parts_of(finding: Finding) -> Iterable[tuple[str, Finding]]:
    """Yield the finding once per component, with the component's elements; last the elements without one."""
    nodes: dict[str, list[Node]] = {}
    for node in finding.nodes:
        nodes.setdefault(node.issue_id, []).append(node)
    hidden = finding.node_count - len(finding.nodes)
    if len(nodes) == 1 and "" not in nodes and finding.node_count == len(finding.nodes):
        yield next(iter(nodes)), finding  # nearly all have one component, and copying takes a tenth of a report's time
        return
    if hidden or not nodes:
        nodes.setdefault("", [])
    for issue_id, listed in sorted(nodes.items(), key=lambda item: not item[0]):
        count = len(listed) + (0 if issue_id else hidden)
        yield issue_id, finding.revised(nodes=tuple(listed), node_count=count)


def _order(one: ComponentBarrier) -> tuple[bool, int, int, int, str, str]:
    is_old = one.state.startswith("known") or one.state == "waived"
    return (is_old, -one.impact.rank, -one.page_count, -one.node_count, one.rule, one.name)
