"""Converts results of live checks to the contract's findings. Reads names from the page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from producer.contract import Finding, JsonObject, Node
from producer.contract.live import Evidence
from producer.contract.live_shots import shot_name
from worker.scan.cdp import CallFailed, CallTimedOut
from worker.scan.findings import read_findings
from worker.scan.live.check import Found, Hand
from worker.scan.page import ScriptFailed

_UNDERSTANDING: Final = "https://www.w3.org/WAI/WCAG22/Understanding/"


@cache
def read_rules() -> JsonObject:
    """Return the table of rules."""
    return tomllib.loads((Path(__file__).parent / "rules.toml").read_text(encoding="utf-8"))


async def name_elements(hand: Hand, found: Sequence[Found]) -> tuple[list[tuple[Found, JsonObject]], str]:
    """Return the found elements as axe-core reports them, and why some are missing.

    Those in a frame that has another document by now are left out, and those for which there is no time.
    """
    named: list[tuple[Found, JsonObject]] = []
    why = ""
    for one in found:
        if hand.left_s() <= 0:
            why = "there was no time left"
            break
        try:
            named.append((one, await describe(hand, one.place, one.numbers, summary=one.why)))
        except CallTimedOut as error:
            why = str(error)
            break
        except (CallFailed, ScriptFailed) as error:
            why = str(error)
    missing = len(found) - len(named)
    return named, f"{missing} of {len(found)} elements could not be named: {why}"[:200] if missing else ""


def make_findings(
    named: Sequence[tuple[Found, JsonObject]], counts: Mapping[str, int], *, page: str
) -> tuple[tuple[Finding, ...], dict[str, bytes]]:
    """Return one finding per rule, and the screenshots of its elements by name.

    ``counts`` has the number of its elements, named or not; ``page`` is their page's address.
    """
    findings: list[Finding] = []
    shots: dict[str, bytes] = {}
    for rule in dict.fromkeys(one.rule for one, _ in named):
        mine = [(one, node) for one, node in named if one.rule == rule]
        about = read_rules()[rule]
        raw = {**about, "id": rule, "helpUrl": _UNDERSTANDING + about["understanding"], "nodes": [n for _, n in mine]}
        (finding,) = read_findings([{**raw, "nodeCount": counts[rule]}], "incomplete", page=page)
        pairs = [_with_evidence(node, one) for node, (one, _) in zip(finding.nodes, mine, strict=True)]
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
