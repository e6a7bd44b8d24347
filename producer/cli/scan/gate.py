"""Decides which barriers count, given earlier scans, a baseline and waivers, and the exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Final

from producer.cli.scan.baseline import Baseline
from producer.contract import Impact
from producer.contract.addresses import path_of, stateless
from producer.contract.decision import Decision
from producer.contract.states import split_state
from producer.contract.waiver import Waiver
from producer.reports.decisions import counted_reviews, decided
from producer.reports.marks import Marks
from producer.reports.page import Page
from producer.reports.summary import Summary

if TYPE_CHECKING:
    from producer.contract import Changes, Finding, Node, ScanResult

FINE: Final = 0
FINDINGS: Final = 1
NOT_SCANNED: Final = 2
NO_ANSWER: Final = 3
NO_RESULT: Final = 4

NEVER: Final = "never"

NO_EARLIER_SCAN = "no earlier scan, so all its barriers are new"
NO_EARLIER_SCAN_OF_PAGE = "no earlier scan, so barriers that no other page of the site had are new"
NO_SUCH_ROUTE = (
    "the baseline has the document but not this route, so all its barriers are new; --write-baseline updates it"
)
"""Baselines of 5e536ef and earlier name no routes, so their barriers apply to no route."""


@dataclass(frozen=True, slots=True)
class RuleWaiver:
    """A waiver of ``rules``, or with ``is_others`` of all other rules, on pages that match ``match``, or on all.

    A pattern that matches a page also matches its states reached by steps. When applied, the waiver takes the
    fingerprint of the finding.
    """

    waiver: Waiver
    rules: frozenset[str]
    match: tuple[str, ...] = ()
    is_others: bool = False

    def covers(self, rule: str, url: str) -> bool:
        """Return whether the waiver covers findings of a rule on a page."""
        if (rule in self.rules) is self.is_others:
            return False
        if not self.match:
            return True
        from producer.sitemaps.sitemap import fits  # imports defusedxml and ssl: only where needed

        return any(fits(one, pattern) for pattern in self.match for one in {url, stateless(url)})


@dataclass(slots=True)
class Gate:
    """Marks pages. ``baseline`` is None without one; ``only_new`` compares with earlier scans.

    A component barrier is new if the site had it on none of its pages before. An element without a component (in
    results of earlier releases) is new if its page's previous scan did not have it.

    ``strict`` treats a page with any doubt as not scanned. ``today`` (UTC) decides which of ``rule_waivers`` are in
    force. Findings of the rules in ``count_review`` count although they need review; earlier scans do not keep them, so
    with ``only_new`` they are always new.
    """

    only_new: bool = False
    strict: bool = False
    baseline: Baseline | None = None
    waivers: dict[str, Waiver] = field(default_factory=dict[str, Waiver])
    expired: dict[str, Waiver] = field(default_factory=dict[str, Waiver])
    decisions: dict[str, Decision] = field(default_factory=dict[str, Decision])
    rule_waivers: tuple[RuleWaiver, ...] = ()
    count_review: frozenset[str] = frozenset()
    today: date = date.max
    _known: dict[str, set[str]] = field(init=False, default_factory=dict[str, set[str]])
    _in_any_state: dict[str, set[str]] = field(init=False, default_factory=dict[str, set[str]])

    def __post_init__(self) -> None:
        for barrier in self.baseline.elements if self.baseline else ():
            self._known.setdefault(barrier.path, set()).add(barrier.fingerprint)
            self._in_any_state.setdefault(split_state(barrier.path)[0], set()).add(barrier.fingerprint)

    def take_waivers(self, waivers: Iterable[Waiver], *, today: date) -> None:
        """Set the waivers, in force or expired ``today`` (UTC)."""
        for waiver in waivers:
            kept = self.expired if waiver.is_expired(today) else self.waivers
            kept[waiver.fingerprint] = waiver

    def take_decisions(self, decisions: Iterable[Decision]) -> None:
        """Set people's decisions on undecided findings."""
        self.decisions |= {decision.issue_id: decision for decision in decisions}

    def mark(self, page: Page) -> Page:
        """Return the page with its marks; a page without a result has no barriers to mark."""
        page = page.held_strictly() if self.strict else page
        page = decided(page, self.decisions)
        undecided = page.result.incomplete if page.result else ()
        unkept = {node.fingerprint for one in undecided if one.rule in self.count_review for node in one.nodes}
        page = counted_reviews(page, self.count_review)
        if page.result is None:
            return page
        present = {finding.fingerprint for finding in page.findings}
        nodes = [node for finding in page.findings for node in finding.nodes]
        present |= {name for node in nodes for name in (node.fingerprint, node.issue_id)}
        marks = Marks(
            waivers={name: waiver for name, waiver in self.waivers.items() if name in present},
            expired={name: waiver for name, waiver in self.expired.items() if name in present},
            decisions=page.marks.decisions,
        )
        if self.rule_waivers:
            marks = self._waived_by_rule(page, marks)
        if self.only_new or self.baseline is not None:
            marks = self._compared(page, page.result, marks, unkept)
        return replace(page, marks=marks)

    def _waived_by_rule(self, page: Page, marks: Marks) -> Marks:
        waivers, expired = dict(marks.waivers), dict(marks.expired)
        for one in self.rule_waivers:
            kept = expired if one.waiver.is_expired(self.today) else waivers
            for finding in page.findings:
                if one.covers(finding.rule, page.url):
                    kept.setdefault(finding.fingerprint, replace(one.waiver, fingerprint=finding.fingerprint))
        return replace(marks, waivers=waivers, expired=expired)

    def _compared(self, page: Page, result: ScanResult, marks: Marks, unkept: set[str]) -> Marks:
        """Return the marks after the comparison; earlier scans do not keep the elements in ``unkept``."""
        path = path_of(page.url)
        nodes = [node for finding in result.findings for node in finding.nodes]
        known = set(self._known.get(page.path, ()))
        known |= self._in_any_state.get(path, set()) & {node.fingerprint for node in nodes}
        if self.baseline is not None:
            known |= {node.fingerprint for node in nodes if not node.unnamed and self.baseline.has(node.issue_id)}
        if not self.only_new:
            document, has_route, _ = path.partition("#")
            known_paths = self._in_any_state
            is_left_out = has_route and result.findings and path not in known_paths and document in known_paths
            unlisted = sorted({finding.rule for finding in result.findings if finding.is_trimmed})
            note = NO_SUCH_ROUTE if is_left_out else _note("is listed", unlisted)
            return _with_known(marks, result.findings, known, note)
        changes = result.changes
        if changes is None or (changes.previous is None and changes.new_components is None):
            note = "" if self.baseline is not None or not nodes else NO_EARLIER_SCAN
            return _with_known(marks, result.findings, known, note)
        known |= {node.fingerprint for node in nodes if not _is_new(node, changes)} - unkept
        note = _note("was listed in both scans", changes.uncertain)
        new = sum(node.fingerprint not in known for node in nodes)
        if changes.previous is None and new and self.baseline is None:
            note = NO_EARLIER_SCAN if new == len(nodes) else NO_EARLIER_SCAN_OF_PAGE
        findings = [one for one in result.findings if one.rule not in self.count_review]
        findings = [] if _has_unlisted_new(nodes, changes, known) else findings
        return _with_known(marks, findings, known, note)


def _with_known(marks: Marks, findings: Iterable[Finding], known: set[str], note: str) -> Marks:
    """Return the marks; the elements that one of ``findings`` does not list are known if any that it lists is."""
    unlisted = (one.fingerprint for one in findings if any(node.fingerprint in known for node in one.nodes))
    return replace(marks, known=frozenset(known), unlisted_known=frozenset(unlisted), note=note)


def _is_new(node: Node, changes: Changes) -> bool:
    """Return whether the component barrier is new on the site; without a named component, whether the element is."""
    components = changes.new_components
    if node.issue_id and not node.unnamed and components is not None:
        if any(one.issue_id == node.issue_id for one in components):
            return True
        if not changes.components_left_out:
            return False
    return changes.previous is None or node.fingerprint in changes.new


def _has_unlisted_new(nodes: Sequence[Node], changes: Changes, known: set[str]) -> bool:
    """Return whether an element beyond the result's limit is new."""
    listed = {node.issue_id for node in nodes}
    if changes.new_components is not None and "" not in listed:
        return any(one.issue_id not in listed for one in changes.new_components)
    return bool(set(changes.new) - {node.fingerprint for node in nodes} - known)


def _note(why: str, rules: Sequence[str]) -> str:
    text = f"not every element {why}, so some that count as known may be new: {', '.join(rules)}"
    return text if rules else ""


def exit_code(summary: Summary, *, timed_out: bool, expired: bool = False, fails: bool | None = None) -> int:
    """Return the exit code: a page that was not scanned outranks findings, since it may hide worse ones.

    ``NO_ANSWER`` if time ran out, ``NO_RESULT`` if a result is no longer kept, ``NOT_SCANNED`` if a page was not
    scanned completely or, with ``--strict``, is in doubt, ``FINDINGS`` if a page has findings at or above the summary's
    threshold, or if ``fails`` is true where limits decide (``limits.py``).
    """
    if timed_out:
        return NO_ANSWER
    if expired:
        return NO_RESULT
    if summary.not_scanned:
        return NOT_SCANNED
    return FINDINGS if (summary.failing if fails is None else fails) else FINE


def threshold(fail_on: str | None) -> Impact | None:
    """Return the impact of ``--fail-on``, by default serious; None for ``never``."""
    return None if fail_on == NEVER else Impact(fail_on or "serious")
