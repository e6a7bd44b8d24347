"""Texts of the lint's rules (``rules.toml``), and their findings made outside the page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from producer.contract import Finding, JsonObject, Node
from worker.scan.findings import read_findings
from worker.scan.lint.source import read_table

_UNDERSTANDING: Final = "https://www.w3.org/WAI/WCAG22/Understanding/"


def finding_of(rule: str, nodes: Sequence[JsonObject], *, page: str = "") -> Finding:
    """Return the finding of ``rule``; ``nodes`` are elements as axe-core reports them."""
    about = read_table("rules")[rule]
    raw = {**about, "id": rule, "helpUrl": _UNDERSTANDING + about["understanding"], "nodes": nodes}
    (finding,) = read_findings([{**raw, "nodeCount": len(nodes)}], "incomplete", page=page)
    return finding


def with_nodes(findings: Iterable[Finding], further: Iterable[tuple[str, Node]]) -> tuple[Finding, ...]:
    """Return the findings that need review with further elements, each under its rule and only once."""
    by_rule = {finding.rule: finding for finding in findings}
    for rule, node in further:
        finding = by_rule.get(rule) or finding_of(rule, ()).revised(node_count=0)
        if all(known.fingerprint != node.fingerprint for known in finding.nodes):
            finding = finding.revised(nodes=(*finding.nodes, node), node_count=finding.node_count + 1)
        by_rule[rule] = finding
    return tuple(by_rule.values())
