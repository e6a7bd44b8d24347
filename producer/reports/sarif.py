"""Report as SARIF 2.1.0 (OASIS), for code scanning: rules are axe's rules, results are component barriers.

The component's ``issue_id`` is in the result's ``partialFingerprints``, so that a viewer recognises it in the next run,
on any page; its locations are the first elements of each page. A finding of an earlier release, without components, is
a result of its page, identified by its fingerprint. A location is the repository's file with the markup if known, else
the page as a relative path (``example.org/page``), because GitHub refuses a file with ``https:`` locations; the address
is in the message and in ``properties.url``. Pages that could not be scanned are notifications of a failed invocation.
Each doubt is a notification too: a warning if something was not seen, a note for a remark. The file stays within
GitHub's limits; a notification counts what is left out. Findings that need review are not results, since GitHub would
raise an alert for each: the run's properties have their number, measured contrast, and a model's proposals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, TextIO
from urllib.parse import quote

from producer.contract import Doubt, Finding, Impact, JsonObject
from producer.contract.addresses import host_of, relative_uri
from producer.contract.decision import Decision
from producer.contract.distribution import VERSION
from producer.reports.components import ComponentBarrier, component_results
from producer.reports.doubts import doubt_kind, doubt_text
from producer.reports.failure_summary import summary_line
from producer.reports.fixes import tried_text
from producer.reports.formats import ReportContext
from producer.reports.page import Page, by_rule, impact_of, selector_text
from producer.reports.plain_text import counted, one_line, printable
from producer.reports.reviews import Measured, Proposed, measured, proposed, verdict_word
from producer.reports.sources import Sources
from producer.reports.summary import summarise

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS: Final = 25_000
"""Maximum number of results per run: GitHub rejects a file with more."""
LOCATIONS: Final = 100
"""Maximum number of locations per result: GitHub shows no more."""
PROPOSALS: Final = 1_000
"""Maximum number of proposals per run; the JSON report has all."""
DOUBTS: Final = 1_000
"""Maximum number of notifications per run; the JSON report has all."""
ALL_LOCATIONS: Final = 100_000
"""Maximum number of elements per run, about 40 MB of text: GitHub accepts 10 MB compressed."""

_LEVEL: Final = {Impact.CRITICAL: "error", Impact.SERIOUS: "error", Impact.MODERATE: "warning", Impact.MINOR: "note"}


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write one run; holds all pages in memory."""
    listed = list(pages)
    rules = sorted(by_rule(listed), key=lambda group: group.rule)
    order = {group.rule: number for number, group in enumerate(rules)}
    found = component_results(listed)
    kept = _most_telling(found)
    shown = max(1, min(LOCATIONS, ALL_LOCATIONS // max(len(kept), 1)))
    driver = {"name": "Sightline", "version": VERSION, "rules": [_rule(group.finding) for group in rules]}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{context.category or 'sightline'}/"},  # GitHub's category: all up to the last /
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(listed, context, left_out=len(found) - len(kept))],
        "artifacts": [_artifact(page) for page in {page.url: page for page in listed}.values() if host_of(page.url)],
        "results": [_result(one, order, shown, context.sources) for one in kept],
        "properties": {
            "pages": len(listed),
            "failOn": context.fail_on.value if context.fail_on else "never",
            "needsReview": summarise(listed, fail_on=None).needs_review,
            "decisions": [decision.document() for decision in _decisions(listed)],
            "proposals": [_proposal(one) for one in proposed(listed)[:PROPOSALS]],
            "contrast": [_contrast(one) for one in measured(listed)[:PROPOSALS]],
        },
    }
    json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, out, ensure_ascii=True, indent=1)
    out.write("\n")


def _decisions(pages: Sequence[Page]) -> list[Decision]:
    return list(dict.fromkeys(decision for page in pages for decision in page.marks.decisions.values()))


def _most_telling(found: list[ComponentBarrier]) -> list[ComponentBarrier]:
    """Return at most ``RESULTS`` of them in their order, choosing those that count for the gate, worst first."""

    def rank(number: int) -> tuple[bool, int]:
        one = found[number]
        return all(page.marks.counted(finding) is None for page, finding in one.places), -one.impact.rank

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


def _result(one: ComponentBarrier, order: dict[str, int], shown: int, sources: Sources | None) -> JsonObject:
    page, finding = one.places[0]
    marked = one_line(page.marks.finding_text(finding) if len(one.places) == 1 else one.state, limit=500)
    name = one_line(one.name) if one.issue_id else printable(finding.help) or finding.rule
    where = f"{counted(one.node_count, 'element')} of {page.name}"
    if one.page_count > 1:
        where = f"{counted(one.node_count, 'element')} of {one.page_count:,} pages, first {page.name}"
    where += f", {one_line(one.only_text, limit=200)}" if one.only else ""
    known_by = one.issue_id or finding.fingerprint
    return {
        "ruleId": one.rule,
        "ruleIndex": order[one.rule],
        "level": _LEVEL[one.impact],
        "message": _message(f"{name} ({one.impact.value}): {where}{_first_advice(one)}"),
        "locations": _locations(one, shown, sources),
        "partialFingerprints": {
            **({"sightlineComponent/v1": known_by} if one.issue_id else {"sightlineFinding/v1": known_by}),
            "primaryLocationLineHash": known_by,  # the only one that GitHub reads
        },
        "properties": {
            "url": page.url,
            "impact": one.impact.value,
            "criteria": list(finding.criteria),
            "job": page.job_id,
            "pages": one.page_count,
            **({"state": page.state} if page.state else {}),
            **({"onlyInStates": list(one.only)} if one.only else {}),
            "elements": one.node_count,
        }
        | ({"groups": one.groups} if one.groups else {})
        | ({"marks": marked} if marked else {})
        | _tried(one),
        **_fixes(one),
        **_state(one),
    }


def _tried(one: ComponentBarrier) -> JsonObject:
    """Return the tried fix as a property, for readers that do not support ``fixes``, or if its region is unknown."""
    if one.fix is None:
        return {}
    fix, page = one.fix
    return {"triedFix": {"diff": printable(fix.diff), "url": fix.url or page.url, "by": one_line(fix.by)}}


def _fixes(one: ComponentBarrier) -> JsonObject:
    """Return the change as a SARIF fix if the text that it replaces in the served source is known."""
    if one.fix is None or one.fix[0].replacement is None:
        return {}
    fix, page = one.fix
    place = one.fix[0].replacement
    region = {
        "startLine": place.start_line,
        "startColumn": place.start_column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    change = {
        "artifactLocation": {"uri": relative_uri(fix.url or page.url)},
        "replacements": [{"deletedRegion": region, "insertedContent": {"text": printable(place.text)}}],
    }
    return {
        "fixes": [{"description": _message(tried_text(fix, page.url, of=one.node_count)), "artifactChanges": [change]}]
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


def _contrast(one: Measured) -> JsonObject:
    return {
        "url": one.page.url,
        "rule": one.finding.rule,
        "element": one_line(selector_text(one.node.selector)),
        "fingerprint": one.node.fingerprint,
        **one.contrast.model_dump(mode="json"),
    }


def _state(one: ComponentBarrier) -> JsonObject:
    """Return the properties that tell new from known and hide fully waived results."""
    each = [(page, finding, *rest) for page, finding in one.places for rest in page.marks.each(finding)]
    found = {mark for _, _, _, mark, _ in each}
    state: JsonObject = {}
    if any(page.marks.known is not None for page, _ in one.places):
        compared = found - {"waived"}
        state["baselineState"] = "updated" if len(compared) > 1 else "new" if compared == {"new"} else "unchanged"
    if found == {"waived"}:
        waivers = {kept: None for page, finding, node, *_ in each if (kept := page.marks.waiver_of(finding, node))}
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


def _first_advice(one: ComponentBarrier) -> str:
    summary = one.finding.nodes[0].failure_summary if one.finding.nodes else ""
    said = one.what_to_do.do if one.what_to_do and one.issue_id else summary_line(summary)
    return f". {one_line(said, limit=500)}" if said else ""


def _locations(one: ComponentBarrier, shown: int, sources: Sources | None) -> list[JsonObject]:
    """Return at most ``shown`` locations: the first element of each page, then the second of each, and so on."""
    ranked = [
        (number, place, page.url, node)
        for place, (page, finding) in enumerate(one.places)
        for number, node in enumerate(finding.nodes[:shown])
    ]
    if not ranked:
        return [{"physicalLocation": _physical(one.places[0][0].url)}]
    return [
        {
            "physicalLocation": _physical(url, snippet=node.snippet, sources=sources),
            "logicalLocations": [{"fullyQualifiedName": one_line(selector_text(node.selector)), "kind": "element"}],
        }
        for _, _, url, node in sorted(ranked, key=lambda item: item[:2])[:shown]
    ]


def _physical(url: str, *, snippet: str = "", sources: Sources | None = None) -> JsonObject:
    """Return the line in the repository's file with the markup, else the page."""
    place = sources.place_of(snippet, url) if sources else None
    region: JsonObject = {"startLine": place.line if place else 1}
    if snippet:
        region["snippet"] = {"text": printable(snippet)}
    if place is None:
        return {"artifactLocation": {"uri": relative_uri(url)}, "region": region}
    return {"artifactLocation": {"uri": quote(place.path), "uriBaseId": "%SRCROOT%"}, "region": region}


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
        text = f"{counted(left_out, 'result')} left out: code scanning takes {RESULTS:,}; all are in the other reports"
        told.append({"level": "warning", "message": {"text": text}, "descriptor": {"id": "LeftOut"}})
    invocation: JsonObject = {"executionSuccessful": not problems, "endTimeUtc": ended}
    return {**invocation, "toolExecutionNotifications": told} if told else invocation


def _notification(page: Page) -> JsonObject:
    text = f"{page.name} could not be scanned ({page.outcome}): {one_line(page.problem)}"
    return {"level": "error", "message": _message(text), "descriptor": {"id": page.error or "NotScanned"}}


def _doubt(page: Page, doubt: Doubt) -> JsonObject:
    level = "warning" if doubt.is_unseen else "note"
    text = f"{page.name} is in doubt: {doubt_text(doubt)}"
    return {"level": level, "message": _message(text), "descriptor": {"id": f"doubt/{doubt_kind(doubt)}"}}


def _message(text: str) -> JsonObject:
    """Return a message without placeholders, ``{0}``, and links, ``[words](address)`` (SARIF 2.1.0, 3.11.5, 3.11.6)."""
    return {"text": text.replace("{", "{{").replace("}", "}}").replace("](", "\\](")}
