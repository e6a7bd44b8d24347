"""Report as SARIF 2.1.0 (OASIS), for code scanning: a rule an axe rule, a result a finding.

A finding's fingerprint is its ``partialFingerprints``, so a viewer knows it again in the next run. Locations are
relative (``example.org/page``), because GitHub refuses a file with ``https:`` ones; the address is in the message and
in ``properties.url``. Pages that could not be scanned are notifications of an invocation that did not succeed. Each
doubt is a notification, too: a warning where something was not seen, a note where it is worth a remark. A file is kept
within what GitHub takes; what is left out for it is counted in a notification. What needs review is no result,
since GitHub would raise an alert for it: the run's properties have its number, the contrast that was
measured, and what a model proposes about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Final, TextIO

from producer.contract import Doubt, Finding, Impact, JsonObject
from producer.contract.addresses import host_of, relative_uri
from producer.reports.doubts import doubt_kind, doubt_text
from producer.reports.formats import ReportContext
from producer.reports.marks import Marks
from producer.reports.page import Page, by_rule, elements, impact_of, selector_text
from producer.reports.plain_text import counted, one_line, printable, summary_line
from producer.reports.reviews import Measured, Proposed, measured, proposed, verdict_word

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS: Final = 25_000
"""Of a run: GitHub rejects a file with more, the whole of it."""
LOCATIONS: Final = 100
"""Elements of a result: GitHub shows no more."""
PROPOSALS: Final = 1_000
"""Of a run; all are in the JSON report."""
DOUBTS: Final = 1_000
"""Of a run, as notifications; all are in the JSON report."""
ALL_LOCATIONS: Final = 100_000
"""Elements of a run, some 40 MB of text: GitHub takes 10 MB packed."""

_LEVEL: Final = {Impact.CRITICAL: "error", Impact.SERIOUS: "error", Impact.MODERATE: "warning", Impact.MINOR: "note"}


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write one run; holds all pages in memory."""
    listed = list(pages)
    rules = sorted(by_rule(listed), key=lambda group: group.rule)
    order = {group.rule: number for number, group in enumerate(rules)}
    found = [(page, finding) for page in listed for finding in page.findings]
    kept = _most_telling(found)
    shown = max(1, min(LOCATIONS, ALL_LOCATIONS // max(len(kept), 1)))
    driver = {"name": "Sightline", "version": version("sightline"), "rules": [_rule(group.finding) for group in rules]}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "sightline/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(listed, context, left_out=len(found) - len(kept))],
        "artifacts": [_artifact(page) for page in {page.url: page for page in listed}.values() if host_of(page.url)],
        "results": [_result(page, finding, order, shown) for page, finding in kept],
        "properties": {
            "pages": len(listed),
            "failOn": context.fail_on.value if context.fail_on else "never",
            "needsReview": sum(len(page.result.incomplete) for page in listed if page.result),
            "proposals": [_proposal(one) for one in proposed(listed)[:PROPOSALS]],
            "contrast": [_contrast(one) for one in measured(listed)[:PROPOSALS]],
        },
    }
    json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, out, ensure_ascii=True, indent=1)
    out.write("\n")


def _most_telling(found: list[tuple[Page, Finding]]) -> list[tuple[Page, Finding]]:
    """Return at most ``RESULTS`` of the findings, in their order: those that count for the gate, the worst first."""

    def rank(number: int) -> tuple[bool, int]:
        page, finding = found[number]
        return page.marks.counted(finding) is None, -impact_of(finding).rank

    if len(found) <= RESULTS:
        return found
    return [found[number] for number in sorted(sorted(range(len(found)), key=rank)[:RESULTS])]


def _rule(finding: Finding) -> JsonObject:
    text = printable(finding.help) or finding.rule
    level = _LEVEL[impact_of(finding)]
    severity = "recommendation" if level == "note" else level  # the words GitHub sorts by
    rule: JsonObject = {
        "id": finding.rule,
        "shortDescription": {"text": text},
        "fullDescription": {"text": printable(finding.description) or text},
        "help": {"text": f"{text} {finding.help_url}".strip()},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["accessibility", *finding.tags], "problem.severity": severity},
    }
    if finding.help_url:
        rule["helpUri"] = finding.help_url
    return rule


def _result(page: Page, finding: Finding, order: dict[str, int], shown: int) -> JsonObject:
    impact = impact_of(finding)
    marked = one_line(page.marks.finding_text(finding), limit=500)
    where = f"{counted(elements(finding), 'element')} of {page.url}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": order[finding.rule],
        "level": _LEVEL[impact],
        "message": {
            "text": f"{printable(finding.help) or finding.rule} ({impact.value}): {where}{_first_advice(finding)}"
        },
        "locations": _locations(page, finding, shown),
        "partialFingerprints": {
            "sightlineFinding/v1": finding.fingerprint,
            "primaryLocationLineHash": finding.fingerprint,  # the only one GitHub looks at
        },
        "properties": {"url": page.url, "impact": impact.value, "criteria": list(finding.criteria), "job": page.job_id}
        | ({"marks": marked} if marked else {}),
        **_state(page.marks, finding),
    }


def _contrast(one: Measured) -> JsonObject:
    return {
        "url": one.page.url,
        "rule": one.finding.rule,
        "element": one_line(selector_text(one.node.selector)),
        "fingerprint": one.node.fingerprint,
        **one.contrast.model_dump(mode="json"),
    }


def _proposal(one: Proposed) -> JsonObject:
    said = one.proposal
    words = {"why": said.why, "lookAt": said.look_at, "proposedBy": said.source}
    return {
        "url": one.page.url,
        "rule": one.finding.rule,
        "element": one_line(selector_text(one.node.selector)),
        "fingerprint": said.fingerprint,
        "verdict": verdict_word(said),
        **{name: one_line(text, limit=500) for name, text in words.items() if text},
    }


def _state(marks: Marks, finding: Finding) -> JsonObject:
    """Return what a viewer needs to tell new from known, and to hide what is waived whole."""
    each = list(marks.each(finding))
    found = {mark for _, mark, _ in each}
    state: JsonObject = {}
    if marks.known is not None:
        compared = found - {"waived"}
        state["baselineState"] = "updated" if len(compared) > 1 else "new" if compared == {"new"} else "unchanged"
    if found == {"waived"}:
        waivers = {waiver: None for node, _, _ in each if (waiver := marks.waiver_of(finding, node))}
        state["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": one_line(waiver.text, limit=500),
                "properties": waiver.document(),
            }
            for waiver in waivers
        ]
    return state


def _first_advice(finding: Finding) -> str:
    summary = finding.nodes[0].failure_summary if finding.nodes else ""
    return f". {one_line(summary_line(summary), limit=500)}" if summary else ""


def _locations(page: Page, finding: Finding, shown: int) -> list[JsonObject]:
    if not finding.nodes:
        return [{"physicalLocation": _physical(page.url)}]
    return [
        {
            "physicalLocation": _physical(page.url, snippet=printable(node.snippet)),
            "logicalLocations": [{"fullyQualifiedName": one_line(selector_text(node.selector)), "kind": "element"}],
        }
        for node in finding.nodes[:shown]
    ]


def _physical(url: str, *, snippet: str = "") -> JsonObject:
    region: JsonObject = {"startLine": 1}
    if snippet:
        region["snippet"] = {"text": snippet}
    return {"artifactLocation": {"uri": relative_uri(url)}, "region": region}


def _artifact(page: Page) -> JsonObject:
    name = page.result.title if page.result else ""
    artifact: JsonObject = {"location": {"uri": relative_uri(page.url)}, "properties": {"url": page.url}}
    if name:
        artifact["description"] = {"text": one_line(name, limit=300)}
    return artifact


def _invocation(pages: Sequence[Page], context: ReportContext, *, left_out: int) -> JsonObject:
    problems = [page for page in pages if not page.is_scanned]
    ended = context.generated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    told = [_notification(page) for page in problems]
    doubts = [(page, doubt) for page in pages for doubt in page.doubts]
    told += [_doubt(page, doubt) for page, doubt in doubts[:DOUBTS]]
    if len(doubts) > DOUBTS:
        text = f"{counted(len(doubts) - DOUBTS, 'doubt')} left out; all are in the JSON report"
        told.append({"level": "warning", "message": {"text": text}, "descriptor": {"id": "LeftOut"}})
    if left_out:
        text = f"{counted(left_out, 'finding')} left out: code scanning takes {RESULTS:,}; all are in the other reports"
        told.append({"level": "warning", "message": {"text": text}, "descriptor": {"id": "LeftOut"}})
    invocation: JsonObject = {"executionSuccessful": not problems, "endTimeUtc": ended}
    return {**invocation, "toolExecutionNotifications": told} if told else invocation


def _notification(page: Page) -> JsonObject:
    text = f"{page.url} could not be scanned ({page.outcome}): {one_line(page.problem)}"
    return {"level": "error", "message": {"text": text}, "descriptor": {"id": page.error or "NotScanned"}}


def _doubt(page: Page, doubt: Doubt) -> JsonObject:
    level = "warning" if doubt.is_unseen else "note"
    text = f"{page.url} is in doubt: {doubt_text(doubt)}"
    return {"level": level, "message": {"text": text}, "descriptor": {"id": f"doubt/{doubt_kind(doubt)}"}}
