"""Compares the product's findings with bare axe-core's, node by node, with a reason for each difference. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from producer.contract import ScanResult
from producer.contract.rules import LINT_RULES

_MAX_CHARS: Final = 2000
"""``js/audit.js`` shortens texts for people."""

Key = tuple[str, str, str]
"""Outcome, rule and selector, as JSON."""
Said = tuple[str | None, str, str]
"""Impact of the rule, snippet and summary."""
Findings = Mapping[Key, Said]
Kind = Literal["lost", "invented", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A node that only one report has, or that they describe differently; an error if it has no ``reason``."""

    kind: Kind
    outcome: str
    rule: str
    selector: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome} {self.rule} {self.selector}: {self.reason or 'NO REASON'}"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Facts that may explain a difference between the product and bare axe-core on the same page."""

    bare_failure: str = ""
    rules_left_out: frozenset[str] = frozenset()
    has_unread_frames: bool = False
    has_shadowed_names: bool = False
    cut_rules: frozenset[tuple[str, str]] = frozenset()
    """Outcomes and rules of which the product counts all nodes but shows fewer."""


def product_findings(result: ScanResult) -> Findings:
    """Return the nodes of a result that axe-core's own rules found."""
    return {
        (finding.outcome, finding.rule, json.dumps(node.selector)): (
            finding.impact and finding.impact.value,
            node.snippet,
            node.failure_summary,
        )
        for finding in (*result.findings, *result.incomplete)
        if finding.rule not in LINT_RULES
        for node in finding.nodes
    }


def bare_findings(nodes: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> Findings:
    """Return the nodes of axe-core's own report, as ``bare.nodes_of`` lists them."""
    return {
        (outcome, rule["id"], json.dumps(node["target"])): (rule["impact"], _cut(node["html"]), _cut(node["summary"]))
        for outcome, rule, node in nodes
    }


def cut_rules(result: ScanResult, bare: Findings) -> frozenset[tuple[str, str]]:
    """Return the rules of which the product lists fewer nodes than it counts, while its count equals axe-core's."""
    cut = ((one.outcome, one.rule, one.node_count) for one in (*result.findings, *result.incomplete) if one.is_trimmed)
    return frozenset(
        (outcome, rule) for outcome, rule, count in cut if count == sum(key[:2] == (outcome, rule) for key in bare)
    )


def against_bare(product: Findings, bare: Findings, why: Circumstances) -> list[Difference]:
    """Return the differences between the product and bare axe-core on the same page."""
    return [Difference(kind, *key, _excuse(kind, key, why)) for kind, key in _differences(ours=product, theirs=bare)]


def against_plain_load(at_rest: Findings, first: Findings, second: Findings) -> list[Difference]:
    """Return the differences between bare axe-core's reports of the page at rest and as loaded, if there are both."""
    changing = {key for _, key in _differences(ours=first, theirs=second)}
    return [
        Difference(kind, *key, "page changed between" if key in changing else "at rest")
        for kind, key in _differences(ours=at_rest, theirs=first)
    ]


def count(differences: Sequence[Difference], kind: Kind, *, explained: bool) -> int:
    """Return how many differences of a kind there are, with or without a reason."""
    return sum(one.kind == kind and bool(one.reason) == explained for one in differences)


def _differences(*, ours: Findings, theirs: Findings) -> list[tuple[Kind, Key]]:
    lost: list[tuple[Kind, Key]] = [("lost", key) for key in theirs if key not in ours]
    invented: list[tuple[Kind, Key]] = [("invented", key) for key in ours if key not in theirs]
    return [*lost, *invented, *(("changed", key) for key in ours if key in theirs and ours[key] != theirs[key])]


def _excuse(kind: Kind, key: Key, why: Circumstances) -> str:
    outcome, rule, selector = key
    if kind == "invented" and why.bare_failure:
        return f"bare axe-core fails here: {why.bare_failure}"
    if kind == "lost" and rule in why.rules_left_out:
        return "no time for this rule"
    if kind == "lost" and (outcome, rule) in why.cut_rules:
        return "cut by bound"
    if kind == "lost" and why.has_unread_frames and len(json.loads(selector)) > 1:
        return "unread frame"
    return "shadowed names" if why.has_shadowed_names else ""


def _cut(text: str | None) -> str:
    whole = text or ""
    return whole if len(whole) <= _MAX_CHARS else f"{whole[: _MAX_CHARS - 1]}…"
