"""Converts results of live checks to the contract's findings. Reads names from the page."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from producer.contract import Finding, JsonObject, Node
from producer.contract.live import Evidence
from producer.contract.live_shots import shot_name
from worker.scan.findings import read_findings
from worker.scan.live.check import Found, Hand

_UNDERSTANDING: Final = "https://www.w3.org/WAI/WCAG22/Understanding/"


@cache
def read_rules() -> JsonObject:
    """Return the table of rules."""
    return tomllib.loads((Path(__file__).parent / "rules.toml").read_text(encoding="utf-8"))


async def make_findings(
    hand: Hand, found: Sequence[Found], more: dict[str, int], *, page: str
) -> tuple[tuple[Finding, ...], dict[str, bytes]]:
    """Return one finding per rule, and the screenshots of its elements by name; ``page`` is their page's address."""
    findings: list[Finding] = []
    shots: dict[str, bytes] = {}
    for rule in dict.fromkeys(one.rule for one in found):
        mine = [one for one in found if one.rule == rule]
        nodes = [await describe(hand, one.place, one.numbers, summary=one.why) for one in mine]
        about = read_rules()[rule]
        raw = {**about, "id": rule, "helpUrl": _UNDERSTANDING + about["understanding"], "nodes": nodes}
        (finding,) = read_findings([{**raw, "nodeCount": len(nodes) + more.get(rule, 0)}], "incomplete", page=page)
        pairs = [_with_evidence(node, one) for node, one in zip(finding.nodes, mine, strict=True)]
        for _, taken in pairs:
            shots |= taken
        findings.append(finding.revised(nodes=tuple(node for node, _ in pairs), engine="live"))
    return tuple(findings), shots


async def describe(hand: Hand, place: Sequence[int], numbers: Sequence[int], *, summary: str = "") -> JsonObject:
    """Return an element as axe-core reports one, its frames first."""
    steps = [
        (await hand.ask(f"sightlineLive.describe([{number}])", frame=frame))[0]
        for frame, number in zip(place, numbers, strict=True)
    ]
    parts: dict[str, Any] = {part: [step[part] for step in steps] for part in ("target", "ancestry", "place")}
    return {**parts, "html": steps[-1]["html"], "summary": f"Look at this:\n  {summary}"}


def _with_evidence(node: Node, one: Found) -> tuple[Node, dict[str, bytes]]:
    taken = {
        shot_name(node.fingerprint, when): shot[1]
        for when, shot in (("before", one.before), ("after", one.after))
        if shot
    }
    evidence = Evidence(
        keys=one.keys,
        measured=dict(one.measured),
        before=one.before[0] if one.before else "",
        after=one.after[0] if one.after else "",
    )
    return node.revised(evidence=evidence), taken
