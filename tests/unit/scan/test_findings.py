"""axe-core's report in the contract's words."""

from __future__ import annotations

from typing import Any

from producer.contract import Counts
from worker.scan.findings import count_barriers, count_rules, criteria_of, read_findings


def rule(name: str, impact: str | None, nodes: int, *, kept: int | None = None) -> dict[str, Any]:
    node = {
        "target": ["img"],
        "ancestry": ["html > body > img"],
        "html": "<img>",
        "summary": "Fix it",
        "impact": impact,
    }
    return {
        "id": name,
        "impact": impact,
        "tags": ["cat.text-alternatives", "wcag2a", "wcag111", "wcag1412", "wcag21aa", "section508.22.a"],
        "help": "help",
        "helpUrl": "https://dequeuniversity.com/rules/axe/image-alt",
        "description": "description",
        "nodeCount": nodes,
        "nodes": [node] * (nodes if kept is None else kept),
    }


def test_criteria_are_read_from_tags() -> None:
    assert criteria_of(["wcag2a", "wcag143", "wcag1412", "wcag21aa", "best-practice"]) == ("1.4.3", "1.4.12")


def test_the_worst_impact_comes_first() -> None:
    found = read_findings([rule("b", "minor", 1), rule("z", "critical", 1), rule("a", "minor", 1)], "violation")

    assert [finding.rule for finding in found] == ["z", "a", "b"]


def test_rules_and_barriers_are_counted_by_impact_trimmed_nodes_too() -> None:
    found = read_findings([rule("a", "critical", 7, kept=2), rule("b", "critical", 1), rule("c", None, 1)], "violation")

    assert count_rules(found) == Counts(critical=2, minor=1)
    assert count_barriers(found) == Counts(critical=8, minor=1)
    assert [finding.is_trimmed for finding in found] == [True, False, False]


def test_nodes_keep_selectors_of_frames_and_shadow_roots() -> None:
    raw = rule("a", "serious", 1)
    raw["nodes"] = [raw["nodes"][0] | {"target": ["iframe", ["tea-tin", "img"]], "ancestry": ["iframe", ["a", "b"]]}]

    node = read_findings([raw], "violation")[0].nodes[0]

    assert node.selector == ("iframe", ("tea-tin", "img"))


def test_a_box_is_kept_where_there_is_one() -> None:
    raw = rule("a", "serious", 1)
    raw["nodes"] = [raw["nodes"][0] | {"box": [1, 2, 30, 40]}]

    node = read_findings([raw], "violation")[0].nodes[0]

    assert node.box == (1, 2, 30, 40)
    assert not node.model_extra
