"""Finds the changes in a page's component barriers, given those of its site. Pure.

A component barrier is new if the site did not have it before the pipeline run (or else the batch or the job) began, so
it is not new again on its 148th page, in whatever order pages are scanned. If its elements were in the page's previous
scan, it is known regardless of its id: records of earlier releases have no components, and authors rename classes. It
is fixed if the previous scan had it and a complete scan no longer does. ``worker/queue/lua/_barriers.lua`` counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import Changes, Finding, Impact, Node, ScanResult
from producer.contract.component_name import plain_name
from producer.contract.findings import ComponentChange, SpreadComponent
from worker.memory.history.barriers import BarrierRecord, PageBefore
from worker.memory.history.scan_record import ScanRecord

MAX_LISTED: Final = 200
"""Component barriers in each list of a result's changes; further ones are only counted."""
MAX_COMPONENTS: Final = 2_000
"""Component barriers counted per page, the worst first; the rest is compared by element."""


@dataclass(frozen=True, slots=True)
class OnPage:
    """A component barrier on one page, as in its result. ``is_whole``: all its elements are listed.

    ``is_unnamed``: its id matches any similar element (``Node.unnamed``), possibly a different one on another page.
    """

    issue_id: str
    name: str
    rule: str
    impact: Impact | None
    fingerprints: frozenset[str]
    is_whole: bool
    is_unnamed: bool = False

    @property
    def change(self) -> ComponentChange:
        """The entry for a result's changes."""
        return ComponentChange(issue_id=self.issue_id, name=self.name, rule=self.rule, impact=self.impact)


@dataclass(frozen=True, slots=True)
class Compared:
    """Changes, and first-seen times of components without a record: ``issue_id`` → Redis ms."""

    changes: Changes | None
    known_ms: dict[str, int]


@dataclass(frozen=True, slots=True)
class Began:
    """When the pipeline run, batch or job began (Redis ms), and the run's name, '' for a batch or job."""

    at_ms: int
    run: str = ""


def components_of(result: ScanResult) -> dict[str, OnPage]:
    """Return the component barriers of a result by ``issue_id``, the worst first, at most ``MAX_COMPONENTS``."""
    found: dict[str, OnPage] = {}
    for finding in sorted(result.findings, key=lambda one: -(one.impact.rank if one.impact else 0)):
        is_whole = result.status == "scanned" and not finding.is_trimmed
        for issue_id, nodes in _by_component(finding).items():
            if len(found) < MAX_COMPONENTS:
                name, fingerprints = nodes[0].component, frozenset(node.fingerprint for node in nodes)
                one = OnPage(issue_id, name, finding.rule, finding.impact, fingerprints, is_whole, nodes[0].unnamed)
                found[issue_id] = one
    return found


def _by_component(finding: Finding) -> dict[str, list[Node]]:
    listed: dict[str, list[Node]] = {}
    for node in finding.nodes:
        if node.issue_id:
            listed.setdefault(node.issue_id, []).append(node)
    return listed


def compare_components(
    result: ScanResult, changes: Changes | None, *, previous: ScanRecord | None, before: PageBefore, began: Began
) -> Compared:
    """Return ``changes`` by component since ``previous``, the page's newest complete scan before then.

    None for a page without barriers and without such a scan.
    """
    here = components_of(result)
    if changes is None and not here:
        return Compared(None, {})
    was = _Previous(previous)
    new: list[ComponentChange] = []
    spread: list[SpreadComponent] = []
    known_ms: dict[str, int] = {}
    for issue_id, one in here.items():
        record = before.known.get(issue_id)
        was_here = was.had(one)
        if was_here and previous is not None:
            known_ms[issue_id] = previous.at_ms
        if not was_here and not (record and record.was_there(began.at_ms, run=began.run)):
            new.append(one.change)
        elif record and not one.is_unnamed and not was_here and issue_id not in before.held:
            group = result.group if result.group not in record.groups else ""
            spread.append(SpreadComponent(**one.change.model_dump(), group=group))
    mended = _mended(result, here, was, before.known)
    unlisted = len({node.issue_id for finding in result.findings for node in finding.nodes} - {""}) - len(here)
    left_out = unlisted + sum(max(0, len(some) - MAX_LISTED) for some in (new, spread, mended))
    compared = (changes or Changes()).revised(
        new_components=tuple(new[:MAX_LISTED]),
        spread_components=tuple(spread[:MAX_LISTED]),
        mended_components=tuple(mended[:MAX_LISTED]),
        components_left_out=left_out,
    )
    return Compared(compared, known_ms)


class _Previous:
    """The component barriers of the page's previous scan."""

    def __init__(self, record: ScanRecord | None) -> None:
        findings = record.findings if record else ()
        self.components = record.components if record else {}
        self.rules = {issue_id: finding.rule for finding in findings for issue_id in finding.components}
        self._nodes = {finding.rule: frozenset(finding.nodes) for finding in findings}
        self._recorded = {finding.rule for finding in findings if finding.components}

    def had(self, one: OnPage) -> bool:
        """Return whether it had this component: by id or all elements; if it recorded no components, by any element."""
        if one.issue_id in self.components:
            return True
        nodes = self._nodes.get(one.rule, frozenset[str]())
        return one.fingerprints <= nodes if one.rule in self._recorded else bool(one.fingerprints & nodes)


def _mended(
    result: ScanResult, here: Mapping[str, OnPage], was: _Previous, known: Mapping[str, BarrierRecord]
) -> list[ComponentChange]:
    """Return what ``was`` there and a complete scan no longer finds, except components that only changed their id."""
    if result.status != "scanned":
        return []
    listed = {node.issue_id for finding in result.findings for node in finding.nodes}
    trimmed = {finding.rule for finding in result.findings if finding.is_trimmed}
    kept = (one for one in here.values() if one.issue_id not in was.components and was.had(one))
    renamed = {(one.rule, plain_name(one.name)) for one in kept}
    gone = [known[issue_id] for issue_id in was.components if issue_id not in listed and issue_id in known]
    return [
        ComponentChange(issue_id=one.issue_id, name=one.name, rule=one.rule, impact=one.impact)
        for one in sorted(gone, key=lambda one: (-(one.impact.rank if one.impact else 0), one.name))
        if one.rule not in trimmed and (one.rule, plain_name(one.name)) not in renamed
    ]


def wanted_ids(result: ScanResult, previous: ScanRecord | None) -> Sequence[str]:
    """Return the component barriers to look up before ``compare_components``."""
    return [*components_of(result), *(previous.components if previous else ())]
