"""Converts records of the history to what pages show (``producer/web/past.py``). Pure; ``web_past.py`` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from producer.contract import Changes, Impact
from producer.contract.findings import counts_of
from producer.web.past import Barrier, PageRow, Past, RecordedRule
from worker.memory.history.barriers import BarrierRecord
from worker.memory.history.scan_record import ScanRecord

MOST_RULES: Final = 100
ROW: Final = (
    "url", "page", "page_state", "title", "group_name", "status", "barriers", "at_ms", "last_seen_ms", "last_job",
)  # fmt: skip
"""The fields of a record that a row shows."""


def barrier_of(one: BarrierRecord) -> Barrier:
    """Return a component barrier as pages show it."""
    return Barrier(
        one.issue_id,
        name=one.name,
        rule=one.rule,
        impact=one.impact or Impact.SERIOUS,
        site=one.host,
        pages=one.pages,
        elements=one.elements,
        groups=one.groups,
        first_ms=one.first_ms,
        since_ms=one.since_ms,
        mended_ms=one.mended_ms if one.is_mended else 0,
    )


def past_of(scan_id: str, fields: Mapping[str, str], full: ScanRecord | None, changed: Changes | None) -> Past:
    """Return a record of a page; ``full`` is the same record with its findings, if they were read."""
    rules = [
        RecordedRule(one.rule, one.impact or Impact.SERIOUS, one.node_count) for one in (full.findings if full else ())
    ]
    return Past(
        row_of_fields(scan_id, fields),
        fields["summary"],
        int(fields["times_seen"] or 0),
        tuple(filter(None, fields["components"].split(","))),
        tuple(sorted(rules, key=lambda one: (-one.impact.rank, -one.elements, one.rule))[:MOST_RULES]),
        changed,
    )


def row_of(one: ScanRecord) -> PageRow:
    """Return a record as a row of pages."""
    return PageRow(
        one.url,
        one.page_state,
        one.title,
        one.group,
        one.status,
        one.scan_id,
        one.barriers,
        one.at_ms,
        one.last_seen_ms,
        one.last_job,
    )


def row_of_fields(scan_id: str, text: Mapping[str, str]) -> PageRow:
    """Return the row of a record from its fields ``ROW``."""
    counts = counts_of(text["barriers"] or "{}")
    return PageRow(
        text["url"],
        text["page_state"],
        text["title"],
        text["group_name"],
        text["status"],
        scan_id,
        counts,
        int(text["at_ms"] or 0),
        int(text["last_seen_ms"] or 0),
        text["last_job"] or scan_id,
    )
