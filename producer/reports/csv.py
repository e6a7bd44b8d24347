"""Report as CSV (RFC 4180): a row per element, for a spreadsheet. Pages without findings have a row too.

What begins like a formula gets an apostrophe: spreadsheets run formulas, and pages are hostile.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from producer.contract import Finding, ReviewProposal
from producer.reports.doubts import doubt_lines
from producer.reports.failure_summary import summary_line
from producer.reports.fixes import changed_markup, fixes_of
from producer.reports.formats import ReportContext
from producer.reports.marks import NO_MARKS, Marks
from producer.reports.page import Page, proposals, selector_text
from producer.reports.plain_text import counted, one_line
from producer.reports.reviews import contrast_text, verdict_word

COLUMNS: Final = (
    "page",
    "status",
    "problem",
    "kind",
    "impact",
    "rule",
    "criteria",
    "help",
    "selector",
    "snippet",
    "what_to_do",
    "help_url",
    "fingerprint",
    "job_id",
    "mark",
    "proposal",
    "proposed_by",
    "proposal_why",
    "title",
    "group",
    "doubts",
    "contrast",
    "issue_id",
    "component",
    "tried_fix",
    "state",
)
_FORMULA: Final = re.compile(r"(^|;[\s\"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a formula begins, also in full-width forms: https://owasp.org/www-community/attacks/CSV_Injection. Spreadsheets
of some locales split lines at semicolons, even within quotes that do not begin a cell."""


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:  # noqa: ARG001  fits ``Report``
    """Write a header and the rows; holds one page in memory."""
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for page in pages:
        for row in _rows(page):
            rows.writerow([cell(row.get(column, "")) for column in COLUMNS])


def _rows(page: Page) -> Iterator[dict[str, str]]:
    about = {"page": page.url, "status": page.outcome, "problem": page.problem, "job_id": page.job_id}
    about["state"] = page.state
    if page.result is not None:
        about |= {"title": page.result.title, "group": page.result.group, "doubts": "; ".join(doubt_lines(page))}
    review = page.result.incomplete if page.result else ()
    if not page.findings and not review and not page.dismissed:
        yield about
    fixes = {key: changed_markup(fix) for key, fix in fixes_of(page).items()}
    for finding in page.findings:
        for row in _nodes(finding, page.marks):
            fix = fixes.get((row.get("issue_id", ""), finding.rule), "")
            yield {**about, "kind": "barrier", **row, "tried_fix": fix}
    for finding in page.dismissed:
        yield from ({**about, "kind": "no barrier", **row} for row in _nodes(finding, page.marks))
    by_node = proposals(page)
    for finding in review:
        for row in _nodes(finding, NO_MARKS):
            yield {**about, "kind": "needs review", **row, **_proposed(by_node.get(row["fingerprint"]))}


def _nodes(finding: Finding, marks: Marks) -> Iterator[dict[str, str]]:
    about = {
        "impact": finding.impact.value if finding.impact else "",
        "rule": finding.rule,
        "criteria": " ".join(finding.criteria),
        "help": finding.help,
        "help_url": finding.help_url,
    }
    for node in finding.nodes:
        yield {
            **about,
            "selector": selector_text(node.selector),
            "snippet": node.snippet,
            "what_to_do": summary_line(node.failure_summary),
            "fingerprint": node.fingerprint,
            "mark": marks.text(finding, node),
            "issue_id": node.issue_id,
            "component": node.component,
            "contrast": f"{contrast_text(node.contrast)}: {node.contrast.verdict}" if node.contrast else "",
        }
    hidden = finding.node_count - len(finding.nodes)
    if hidden:
        text = f"{counted(hidden, 'more element')}, omitted to keep the result small"
        yield {**about, "what_to_do": text, "fingerprint": finding.fingerprint, "mark": marks.text(finding)}


def _proposed(proposal: ReviewProposal | None) -> dict[str, str]:
    """Return a model's proposal for an element that needs review."""
    if proposal is None:
        return {}
    why = f"{proposal.why} Look at: {proposal.look_at}" if proposal.look_at else proposal.why
    return {"proposal": verdict_word(proposal), "proposed_by": proposal.source, "proposal_why": why}


def cell(text: str) -> str:
    """Return ``text`` on one line, without the beginning of a formula."""
    return _FORMULA.sub(r"\1'", one_line(text))
