"""Strategies for results and reports of scans whose pages chose every text, but neither addresses nor rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import strategies as st

from producer.contract import (
    Assessment,
    Doubt,
    ErrorInfo,
    Finding,
    Impact,
    JobState,
    MeasuredContrast,
    Node,
    Priority,
    Result,
    ReviewProposal,
    ScanResult,
)
from producer.contract.addresses import normal_url
from producer.contract.decision import Decision
from producer.contract.fixes import Replacement, TriedFix
from producer.contract.waiver import Waiver
from producer.reports.marks import Marks
from producer.reports.page import Page, page_of, refused_page
from tests.fuzz.strange import UNICODE

PRINTS = st.sampled_from(["a" * 24, "b" * 24])
ISSUES = st.sampled_from(["", "0123456789abcdef-01234567", "fedcba9876543210-01234567"])
RULES = st.sampled_from(["image-alt", "color-contrast", "live-trap"])
HELP_URLS = st.sampled_from(["https://rules.example/image-alt", "javascript:steal()", ""])


def _address(text: str) -> str:
    try:
        return normal_url(f"https://shop.example/{text}")
    except ValueError:
        return ""


ADDRESSES = st.sampled_from(["https://shop.example/", "http://localhost:3000/#/pay"]) | UNICODE.map(_address)
SELECTORS = st.lists(UNICODE | st.lists(UNICODE, max_size=2).map(tuple), max_size=2).map(tuple)
CONTRASTS = st.builds(
    MeasuredContrast,
    lowest=st.floats(1, 21),
    highest=st.floats(1, 21),
    needed=st.sampled_from([3.0, 4.5]),
    verdict=st.sampled_from(["fails", "passes", "undecided"]),
)
NODES = st.builds(
    Node,
    selector=SELECTORS,
    snippet=UNICODE,
    failure_summary=UNICODE,
    fingerprint=PRINTS,
    issue_id=ISSUES,
    component=UNICODE,
    contrast=st.none() | CONTRASTS,
)
FINDINGS = st.builds(
    Finding,
    rule=RULES,
    impact=st.none() | st.sampled_from(Impact),
    criteria=st.lists(st.sampled_from(["1.1.1", "9.9.9"]), max_size=2).map(tuple),
    tags=st.lists(st.just("wcag2a"), max_size=1).map(tuple),
    help=UNICODE,
    help_url=HELP_URLS,
    description=UNICODE,
    nodes=st.lists(NODES, max_size=2).map(tuple),
    node_count=st.integers(-1, 5),
    fingerprint=PRINTS,
)
PLACES = st.builds(
    Replacement,
    start_line=st.integers(1, 9),
    start_column=st.integers(1, 9),
    end_line=st.integers(1, 9),
    end_column=st.integers(1, 9),
    text=UNICODE,
)
FIXES = st.builds(
    TriedFix,
    issue_id=ISSUES,
    rule=RULES,
    verdict=st.sampled_from(["removes", "no_effect"]),
    by=UNICODE,
    url=ADDRESSES,
    diff=UNICODE,
    replacement=st.none() | PLACES,
)
ASSESSMENTS = st.builds(
    Assessment,
    summary=UNICODE,
    priorities=st.lists(st.builds(Priority, fingerprint=PRINTS, who=UNICODE, why=UNICODE, fix=UNICODE), max_size=1).map(
        tuple
    ),
    reviews=st.lists(
        st.builds(
            ReviewProposal,
            fingerprint=PRINTS,
            rule=RULES,
            area=UNICODE,
            verdict=st.sampled_from(["barrier", "no_barrier", "cannot_tell"]),
            why=UNICODE,
            look_at=UNICODE,
            source=UNICODE,
        ),
        max_size=1,
    ).map(tuple),
)
RESULTS = st.builds(
    ScanResult,
    job_id=st.just("job-1"),
    url=ADDRESSES,
    final_url=ADDRESSES,
    title=UNICODE,
    group=UNICODE,
    reached_by=UNICODE,
    status=st.sampled_from(["scanned", "partial", "unreachable", "blocked"]),
    reason=UNICODE,
    engine=st.just({"axe-core": "4"}),
    findings=st.lists(FINDINGS, max_size=2).map(tuple),
    incomplete=st.lists(FINDINGS, max_size=1).map(tuple),
    assessment=st.none() | ASSESSMENTS,
    assessment_source=UNICODE,
    notes=st.lists(UNICODE, max_size=1).map(tuple),
    refused=st.lists(UNICODE, max_size=1).map(tuple),
    unread_frames=st.dictionaries(UNICODE, UNICODE, max_size=1),
    doubts=st.lists(st.builds(Doubt, kind=UNICODE | st.just("sign-in"), what=UNICODE, where=UNICODE), max_size=1).map(
        tuple
    ),
    fixes=st.lists(FIXES, max_size=1).map(tuple),
)
FAILURES = st.builds(
    Result,
    job_id=st.just("job-2"),
    kind=st.just("scan"),
    state=st.sampled_from([JobState.DEAD, JobState.CANCELLED]),
    error=st.none() | st.builds(ErrorInfo, type=UNICODE, message=UNICODE),
)
DAYS = st.dates(date(2026, 1, 1), date(2027, 1, 1))
MARKS = st.builds(
    Marks,
    known=st.none() | st.frozensets(PRINTS, max_size=1),
    waivers=st.dictionaries(PRINTS, st.builds(Waiver, PRINTS, UNICODE, st.none() | DAYS, UNICODE), max_size=1),
    decisions=st.dictionaries(
        PRINTS,
        st.builds(Decision, ISSUES, st.sampled_from(["barrier", "no-barrier"]), UNICODE, UNICODE, DAYS),
        max_size=1,
    ),
    note=UNICODE,
)


def _marked(page: Page, marks: Marks) -> Page:
    return replace(page, marks=marks)


PAGES = st.lists(
    st.one_of(
        st.builds(_marked, st.builds(page_of, RESULTS), MARKS),
        st.builds(page_of, RESULTS | FAILURES, url=ADDRESSES),
        st.builds(refused_page, UNICODE, UNICODE),
    ),
    max_size=2,
)
