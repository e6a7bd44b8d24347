"""Applies people's decisions to a page: undecided elements become barriers, or need no review. Pure.

A decision is about a component (``Node.issue_id``), so it applies on every page that has it. Elements that a result
does not list, or that have no component, stay undecided. ``Page.dismissed`` keeps the elements decided to be no
barrier.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from producer import contract
from producer.contract.decision import Decision, Verdict
from producer.reports.page import Page, impact_of
from producer.reports.plain_text import counted, one_line
from producer.reports.states import Seen, together

if TYPE_CHECKING:
    from producer.contract import Counts, Finding, Node

MAX_LINES: Final = 10
"""Maximum number of components to review that are named; the rest are counted."""


def decided(page: Page, decisions: Mapping[str, Decision]) -> Page:
    """Return the page with the decisions applied and recorded in its marks."""
    result = page.result
    if result is None or not any(node.issue_id in decisions for one in result.incomplete for node in one.nodes):
        return page
    findings = {finding.rule: finding for finding in result.findings}
    left: list[Finding] = []
    dismissed: list[Finding] = []
    used: dict[str, Decision] = {}
    added, more = Counter[str](), Counter[str]()
    for finding in result.incomplete:
        parts = _parted(finding, decisions)
        for verdict in ("barrier", "no-barrier"):
            used |= {node.fingerprint: decisions[node.issue_id] for node in parts.get(verdict, ())}
        if barriers := tuple(parts.get("barrier", ())):
            added[impact_of(finding).value] += finding.rule not in findings
            findings[finding.rule] = _joined(findings.get(finding.rule), finding, barriers)
            more[impact_of(finding).value] += len(barriers)
        if others := tuple(parts.get("no-barrier", ())):
            dismissed.append(finding.revised(nodes=others, node_count=len(others)))
        count = finding.node_count - len(barriers) - len(others)
        if count:
            left.append(finding.revised(nodes=tuple(parts.get(None, ())), node_count=count))
    whole = result.revised(
        findings=tuple(findings.values()),
        incomplete=tuple(left),
        counts=_more(result.counts, added),
        barriers=_more(result.barriers, more),
    )
    outcome = "barriers" if page.outcome == "passed" and findings else page.outcome
    marks = replace(page.marks, decisions=used)
    return replace(page, result=whole, outcome=outcome, marks=marks, dismissed=tuple(dismissed))


def counted_reviews(page: Page, rules: Collection[str]) -> Page:
    """Return the page with the findings of ``rules`` that need review as barriers, by ``count_review``."""
    result = page.result
    asked = [finding for finding in result.incomplete if finding.rule in rules] if result else []
    if result is None or not asked:
        return page
    findings = {finding.rule: finding for finding in result.findings}
    added, more = Counter[str](), Counter[str]()
    for finding in asked:
        known = findings.get(finding.rule)
        added[impact_of(finding).value] += known is None
        unlisted = finding.node_count - len(finding.nodes)
        joined = _joined(known, finding, finding.nodes)
        findings[finding.rule] = joined.revised(node_count=joined.node_count + unlisted)
        more[impact_of(finding).value] += finding.node_count
    whole = result.revised(
        findings=tuple(findings.values()),
        incomplete=tuple(one for one in result.incomplete if one.rule not in rules),
        counts=_more(result.counts, added),
        barriers=_more(result.barriers, more),
    )
    return replace(page, result=whole, outcome="barriers" if page.outcome == "passed" else page.outcome)


def reviews_of(page: Page) -> set[tuple[str, str]]:
    """Return the page's findings that need review, by address and rule: the same in all states of the page."""
    return {(page.url, finding.rule) for finding in page.result.incomplete} if page.result else set()


def decisions_of(page: Page, findings: Iterable[Finding]) -> Iterator[Decision]:
    """Yield the decision on each decided element of the page's ``findings``."""
    used = page.marks.decisions
    return (used[node.fingerprint] for one in findings for node in one.nodes if node.fingerprint in used)


def decision_lines(pages: Iterable[Page]) -> list[str]:
    """Return a line for each applied decision, and for each component that needs one."""
    used: Counter[Decision] = Counter()
    waiting: dict[str, tuple[str, str]] = {}
    number: Counter[str] = Counter()
    urls: defaultdict[str, set[str]] = defaultdict(set)
    seen = Seen()
    for page in together(pages):
        undecided = page.result.incomplete if page.result else ()
        if page.marks.decisions:
            decided = (seen.added(page, finding) for finding in (*page.findings, *page.dismissed))
            used.update(decisions_of(page, filter(None, decided)))
        for finding in filter(None, (seen.added(page, finding) for finding in undecided)):
            for node in finding.nodes:
                if node.issue_id:
                    waiting.setdefault(node.issue_id, (finding.rule, node.component or finding.help))
                    number[node.issue_id] += 1
                    urls[node.issue_id].add(page.url)
    lines = [f"{counted(n, 'element')} {one_line(one.text, limit=300)} ({one.issue_id})" for one, n in used.items()]
    order = sorted(waiting, key=lambda one: (-len(urls[one]), -number[one], one))
    for issue_id in order[:MAX_LINES]:
        rule, name = waiting[issue_id]
        where = f"{counted(number[issue_id], 'element')} on {counted(len(urls[issue_id]), 'page')}"
        lines.append(f"needs review: {one_line(name, limit=200)}, {rule}, {where} ({issue_id})")
    if len(order) > MAX_LINES:
        lines.append(f"and {counted(len(order) - MAX_LINES, 'more component')} to review")
    return lines


def _parted(finding: Finding, decisions: Mapping[str, Decision]) -> dict[Verdict | None, list[Node]]:
    parts: defaultdict[Verdict | None, list[Node]] = defaultdict(list)
    for node in finding.nodes:
        found = decisions.get(node.issue_id)
        parts[found.verdict if found else None].append(node)
    return dict(parts)


def _joined(known: Finding | None, finding: Finding, nodes: tuple[Node, ...]) -> Finding:
    """Return the page's violation of the rule, including the elements decided to be barriers."""
    if known is not None:
        return known.revised(nodes=(*known.nodes, *nodes), node_count=known.node_count + len(nodes))
    return finding.revised(outcome="violation", nodes=nodes, node_count=len(nodes))


def _more(barriers: Counts, more: Counter[str]) -> Counts:
    return contract.Counts.model_validate({name: number + more[name] for name, number in barriers.model_dump().items()})
