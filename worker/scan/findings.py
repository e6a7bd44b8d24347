"""Turns axe-core's raw report into the contract's findings and counts. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from producer.contract import Counts, Finding, Impact, JsonObject, Node
from worker.scan.component import component_of, places_of
from worker.scan.fingerprint import Ancestry, finding_fingerprint, node_fingerprints

_CRITERION: Final = re.compile(r"wcag(\d)(\d)(\d+)")


def read_findings(
    rules: Iterable[JsonObject], outcome: Literal["violation", "incomplete"], *, page: str = ""
) -> tuple[Finding, ...]:
    """Return one finding per rule, worst impact first, then by rule; ``page`` is the page's address."""
    found = [_read_finding(rule, outcome, page) for rule in rules]
    return tuple(sorted(found, key=lambda finding: (-(finding.impact.rank if finding.impact else -1), finding.rule)))


def review_experimental(
    violations: Iterable[JsonObject], incomplete: Iterable[JsonObject]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return violations and undecided findings; the latter include violations of experimental rules."""
    kept: list[JsonObject] = []
    review = {rule["id"]: rule for rule in incomplete}
    for rule in violations:
        if "experimental" not in rule["tags"]:
            kept.append(rule)
        elif (other := review.get(rule["id"])) is None:
            review[rule["id"]] = rule
        else:
            both = {"nodes": [*rule["nodes"], *other["nodes"]], "nodeCount": rule["nodeCount"] + other["nodeCount"]}
            review[rule["id"]] = {**rule, **both}
    return kept, list(review.values())


def criteria_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the WCAG success criteria in axe-core's tags: ``wcag143`` is 1.4.3, ``wcag1412`` is 1.4.12."""
    return tuple(".".join(found.groups()) for tag in tags if (found := _CRITERION.fullmatch(tag)))


def count_rules(findings: Sequence[Finding]) -> Counts:
    """Return the number of failed rules, by impact."""
    return _counts((finding.impact, 1) for finding in findings)


def count_barriers(findings: Sequence[Finding]) -> Counts:
    """Return the number of elements that violate a rule, by the rule's impact, including trimmed nodes."""
    return _counts((finding.impact, finding.node_count) for finding in findings)


def _counts(pairs: Iterable[tuple[Impact | None, int]]) -> Counts:
    sums: Counter[str] = Counter()
    for impact, number in pairs:
        sums[impact or Impact.MINOR] += number
    return Counts(**{impact.value: sums[impact] for impact in Impact})


def _read_finding(rule: JsonObject, outcome: Literal["violation", "incomplete"], page: str) -> Finding:
    nodes: list[JsonObject] = rule["nodes"]
    seen = ((_tuples(node["ancestry"]), node["html"]) for node in nodes)
    names = node_fingerprints(rule["id"], seen, page=page)
    return Finding(
        rule=rule["id"],
        outcome=outcome,
        impact=_impact(rule["impact"]),
        criteria=criteria_of(rule["tags"]),
        tags=tuple(rule["tags"]),
        help=rule["help"],
        help_url=rule["helpUrl"],
        description=rule["description"],
        nodes=tuple(_read_node(rule["id"], node, name, page) for node, name in zip(nodes, names, strict=True)),
        node_count=rule["nodeCount"],
        fingerprint=finding_fingerprint(rule["id"], outcome),
    )


def _read_node(rule: str, node: JsonObject, fingerprint: str, page: str) -> Node:
    places = node.get("place") or places_of(_tuples(node["ancestry"]))
    component = component_of(rule, places, node["html"], page=page)
    return Node(
        selector=_tuples(node["target"]),
        snippet=node["html"],
        failure_summary=node["summary"],
        fingerprint=fingerprint,
        issue_id=component.issue_id,
        component=component.name,
        unnamed=component.is_unnamed,
        box=node.get("box") or None,
        contrast=node.get("contrast"),
    )


def _impact(name: str | None) -> Impact | None:
    return None if name is None else Impact(name)


def _tuples(target: Sequence[str | Sequence[str]]) -> Ancestry:
    return tuple(part if isinstance(part, str) else tuple(part) for part in target)
