"""Makes a scan's result small enough to store by removing nodes, least harmful first; counts stay. Pure.

``Finding.node_count`` still counts all nodes, so ``is_trimmed`` detects the removal; a note in the result mentions it.
This happens before the result is first stored, so that no later step carries the full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.contract import MAX_RESULT_BYTES, Finding, ScanResult

LATER_BYTES: Final = 500_000
"""Bytes reserved for additions after the audit: the assessment (1,000 characters per statement), changes by
fingerprint."""
AUDIT_BYTES: Final = MAX_RESULT_BYTES - LATER_BYTES
RECORD_BYTES: Final = MAX_RESULT_BYTES - 2_000
"""Bytes reserved for the queue's additions: the job's id, kind and state, and the scan's id."""
UNRATED: Final = -1
NOTE_BYTES: Final = 200


@dataclass(slots=True)
class _Kept:
    """A finding with the number of nodes to keep, and the size of each in bytes."""

    finding: Finding
    weights: list[int]
    count: int

    @property
    def harm(self) -> tuple[int, bool]:
        """By impact; at the same impact, nodes that need review are removed before certain ones."""
        impact = self.finding.impact
        return (UNRATED if impact is None else impact.rank, self.finding.outcome == "violation")


def trim(result: ScanResult, max_bytes: int) -> ScanResult:
    """Return ``result`` with as many nodes as fit into ``max_bytes`` of JSON; itself if all fit.

    Each finding keeps its first node as long as others can be removed. Within one impact the finding with the most
    nodes left loses nodes first, so that many findings keep examples.
    """
    size = json_bytes(result)
    if size <= max_bytes:
        return result
    kept = [_weighed(finding) for finding in (*result.findings, *result.incomplete)]
    excess = size + NOTE_BYTES - max_bytes
    for least in (1, 0):
        for harm in sorted({one.harm for one in kept}):
            excess = _cut([one for one in kept if one.harm == harm], excess, least=least)
    return _rebuilt(result, kept)


def json_bytes(result: ScanResult) -> int:
    """Return the size of the result's JSON as stored."""
    return len(result.model_dump_json().encode())


def _weighed(finding: Finding) -> _Kept:
    # 1: the comma between two nodes.
    weights = [len(node.model_dump_json().encode()) + 1 for node in finding.nodes]
    return _Kept(finding, weights, len(weights))


def _cut(kept: list[_Kept], excess: int, *, least: int) -> int:
    """Remove nodes from the ends, down to ``least`` each, to save ``excess`` bytes; return the remaining excess."""
    while excess > 0:
        longest = max(kept, key=lambda one: one.count)
        if longest.count <= least:
            break
        # Down to the next longest at once: taking them one by one is quadratic.
        others = max((one.count for one in kept if one is not longest), default=least)
        floor = max(least, min(others, longest.count - 1))
        while longest.count > floor and excess > 0:
            longest.count -= 1
            excess -= longest.weights[longest.count]
    return excess


def _rebuilt(result: ScanResult, kept: list[_Kept]) -> ScanResult:
    findings = tuple(one.finding.revised(nodes=one.finding.nodes[: one.count]) for one in kept)
    cut = sum(len(one.weights) - one.count for one in kept)
    note = f"{cut} elements are counted but not listed: the result would exceed its size limit"
    split = len(result.findings)
    return result.revised(findings=findings[:split], incomplete=findings[split:], notes=(*result.notes, note))
