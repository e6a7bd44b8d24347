"""The totals of the tool ``search_scans``: only for the requested rule and impact, over the matching pages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from producer.contract import IMPACTS, Counts, JsonObject
from worker.agent.conversation.tool_args import SearchScans
from worker.memory.history.pages import MAX_PAGES, PageState
from worker.memory.history.scan_record import RecordedFinding, ScanRecord

MAX_RULES: Final = 20


def counted(counts: Counts) -> JsonObject:
    """Return the numbers by impact, worst first, without zeros, and their total."""
    named = {impact.value: int(getattr(counts, impact.value)) for impact in reversed(IMPACTS)}
    return {"total": counts.total, **{name: number for name, number in named.items() if number}}


def elements_of(record: ScanRecord, args: SearchScans, components: Collection[str] | None = None) -> int:
    """Return the number of a record's elements that match the request."""
    return sum(number for _, number in _asked(record, args, components))


def sums(
    pages: Sequence[PageState],
    states: Sequence[Sequence[ScanRecord]],
    args: SearchScans,
    components: Collection[str] | None = None,
) -> JsonObject:
    """Return the barriers of ``pages`` with the requested rule and impact; ``states`` are the pages' records read.

    Of each rule a page counts the state with the most elements.
    """
    asked = [[one for record in some for one in _asked(record, args, components)] for some in states]
    findings = [one for some in asked for one in _most(some)]
    elements, on_pages, barriers = Counter[str](), Counter[str](), Counter[str]()
    for one, number in findings:
        elements[one.rule] += number
        on_pages[one.rule] += 1
        barriers[one.impact.value if one.impact else "unrated"] += number
    if not args.rule and args.impact is None and components is None:
        barriers = Counter()
        for page in pages:
            barriers.update({impact.value: getattr(page.barriers, impact.value) for impact in IMPACTS})
    document: JsonObject = {
        "pages": len(pages),
        "barriers_of_all_pages": {"total": barriers.total()}
        | {
            name: barriers[name]
            for name in (*(impact.value for impact in reversed(IMPACTS)), "unrated")
            if barriers[name]
        },
        "rules": {
            name: {"elements": number, "pages": on_pages[name]} for name, number in elements.most_common(MAX_RULES)
        },
    }
    named = {
        issue_id
        for some in asked
        for one, _ in some
        for issue_id in one.components
        if components is None or issue_id in components
    }
    if named:
        document["component_barriers"] = len(named)
    if len(elements) > MAX_RULES:
        document["rules_left_out"] = len(elements) - MAX_RULES
    if len(pages) > len(states):
        document["rules_are_summed_over_pages"] = len(states)
    if len(pages) >= MAX_PAGES:
        document["more_pages_than"] = MAX_PAGES
    return document


def _most(findings: Sequence[tuple[RecordedFinding, int]]) -> Collection[tuple[RecordedFinding, int]]:
    """Return the finding of each rule with the most elements."""
    most: dict[str, tuple[RecordedFinding, int]] = {}
    for one, number in findings:
        if one.rule not in most or number > most[one.rule][1]:
            most[one.rule] = (one, number)
    return most.values()


def _asked(
    record: ScanRecord, args: SearchScans, components: Collection[str] | None
) -> list[tuple[RecordedFinding, int]]:
    """Return the matching findings of a record, each with its number of elements."""
    fitting = [
        one for one in record.findings if (not args.rule or one.rule == args.rule) and args.impact in {None, one.impact}
    ]
    if components is None:
        return [(one, one.node_count) for one in fitting]
    counts = ((one, sum(n for issue_id, n in one.components.items() if issue_id in components)) for one in fitting)
    return [(one, number) for one, number in counts if number]
