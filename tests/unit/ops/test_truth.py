"""``make truth`` names the reason for each difference, and accepts none without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from producer.contract import Finding, Impact, Node, ScanResult

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "truth"))

from compare import (  # pyright: ignore[reportMissingImports]  # a program's own folder, no package
    Circumstances,
    against_bare,
    against_plain_load,
    bare_findings,
    cut_rules,
)

KEY = ("violation", "image-alt", '["img"]')
FRAMED = ("violation", "image-alt", '["iframe", "img"]')
SAID = ("critical", "<img>", "Fix it")


@pytest.mark.parametrize(
    ("ours", "theirs", "why", "kind", "reason"),
    [
        ({}, {KEY: SAID}, Circumstances(), "lost", ""),
        ({KEY: SAID}, {}, Circumstances(), "invented", ""),
        ({KEY: SAID}, {KEY: ("minor", "<img>", "Fix it")}, Circumstances(), "changed", ""),
        ({}, {KEY: SAID}, Circumstances(rules_left_out=frozenset({"image-alt"})), "lost", "no time for this rule"),
        ({}, {KEY: SAID}, Circumstances(rules_left_out=frozenset({"link-name"})), "lost", ""),
        ({}, {KEY: SAID}, Circumstances(cut_rules=frozenset({KEY[:2]})), "lost", "cut by bound"),
        ({}, {FRAMED: SAID}, Circumstances(has_unread_frames=True), "lost", "unread frame"),
        ({}, {KEY: SAID}, Circumstances(has_unread_frames=True), "lost", ""),
        ({KEY: SAID}, {}, Circumstances(has_shadowed_names=True), "invented", "shadowed names"),
        ({KEY: SAID}, {}, Circumstances(bare_failure="TypeError"), "invented", "bare axe-core fails here: TypeError"),
    ],
)
def test_a_difference_is_named_with_its_reason(
    ours: dict[tuple[str, str, str], tuple[str, str, str]],
    theirs: dict[tuple[str, str, str], tuple[str, str, str]],
    why: object,
    kind: str,
    reason: str,
) -> None:
    (difference,) = against_bare(ours, theirs, why)

    assert (difference.kind, difference.reason) == (kind, reason)


def test_what_differs_between_two_plain_loads_is_the_pages_own_change() -> None:
    (steady,) = against_plain_load({}, {KEY: SAID}, {KEY: SAID})
    (passing,) = against_plain_load({}, {KEY: SAID}, {})

    assert (steady.reason, passing.reason) == ("at rest", "page changed between")


@pytest.mark.parametrize(("counted", "is_cut"), [(2, True), (3, False)])
def test_a_rule_counts_as_cut_only_where_its_count_is_axe_cores(counted: int, *, is_cut: bool) -> None:
    node = Node(selector=("img",), snippet="<img>", failure_summary="Fix it", fingerprint="f")
    finding = Finding(
        rule="image-alt", outcome="violation", impact=Impact.CRITICAL, criteria=(), tags=(), help="h",
        help_url="https://example.org/", description="d", nodes=(node,), node_count=counted, fingerprint="f",
    )  # fmt: skip
    nodes = [{"target": [name], "html": "", "summary": ""} for name in ("img", "b")]
    rule = {"id": "image-alt", "impact": "critical"}
    bare = bare_findings([("violation", rule, node) for node in nodes])

    result = ScanResult(url="https://example.org/", status="scanned", standard="wcag22aa", findings=(finding,))

    assert (("violation", "image-alt") in cut_rules(result, bare)) == is_cut
