"""Pages for the tests of reports: every outcome, and one written by an attacker."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

from producer.contract import (
    Assessment,
    Counts,
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
    ScanStatus,
)
from producer.contract.waiver import Waiver
from producer.reports.formats import ReportContext, load_report
from producer.reports.marks import Marks
from producer.reports.page import Page, page_of, refused_page, waiting_page

Verdict = Literal["barrier", "no_barrier", "cannot_tell"]
AT = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
SITE = "https://shop.example"
HOSTILE = (
    "</script><script>steal()</script><img src=x onerror=steal()>"
    "\x1b[2J\x9b31m\u202e|`*[x](javascript:a)@all\n::error::x"
)


HELP = {"image-alt": "Images must have alternative text"}


def finding(
    rule: str = "image-alt",
    impact: Impact | None = Impact.CRITICAL,
    *,
    nodes: int = 1,
    trimmed: int = 0,
    help_text: str = "",
    snippet: str = "<img src='tin.png'>",
) -> Finding:
    made = tuple(
        Node(
            selector=(f"#{rule}-{number}",),
            snippet=snippet,
            failure_summary="Fix this",
            fingerprint=f"{rule}-n{number}",
        )
        for number in range(nodes)
    )
    return Finding(
        rule=rule,
        impact=impact,
        criteria=("1.1.1",),
        tags=("wcag2a", "wcag111"),
        help=help_text or HELP.get(rule, f"Mend what {rule} names"),
        help_url=f"https://rules.example/{rule}",
        description="Images need text",
        nodes=made,
        node_count=nodes + trimmed,
        fingerprint=f"fp-{rule}",
    )


def scan_result(
    path: str = "/tea.html",
    *findings: Finding,
    status: ScanStatus = "scanned",
    reason: str = "",
    title: str = "Tea",
    incomplete: tuple[Finding, ...] = (),
) -> ScanResult:
    barriers = {impact.value: sum(item.node_count for item in findings if item.impact == impact) for impact in Impact}
    priorities = tuple(Priority(fingerprint=item.fingerprint, fix=f"mend {item.rule}") for item in findings)
    return ScanResult(
        job_id=f"job{path.replace('/', '-')}",
        url=SITE + path,
        final_url=SITE + path,
        title=title,
        status=status,
        reason=reason,
        findings=findings,
        incomplete=incomplete,
        barriers=Counts.model_validate(barriers),
        assessment=Assessment(summary="What to mend", priorities=priorities) if findings else None,
        assessment_source="builtin" if findings else "none: no findings",
        timings_ms={"load": 300, "total": 1250},
    )


def passed() -> Page:
    return page_of(scan_result("/story.html"))


def with_barriers() -> Page:
    worst = finding(nodes=3)
    milder = finding("meta-viewport", Impact.MODERATE, help_text="Zooming must not be disabled")
    return page_of(scan_result("/tea.html", milder, worst, incomplete=(finding("color-contrast", Impact.SERIOUS),)))


def with_proposals(*verdicts: Verdict, why: str = "The words lie on a photograph.") -> Page:
    """A page without barriers whose elements need review, with what the model m:1b proposes about the first of them."""
    undecided = finding("color-contrast", None, nodes=len(verdicts) + 1, help_text="Text needs contrast")
    said = tuple(
        ReviewProposal(
            fingerprint=node.fingerprint, rule=undecided.rule, area="contrast", verdict=verdict, why=why,
            look_at="The sky.", source="m:1b",
        )
        for node, verdict in zip(undecided.nodes, verdicts, strict=False)
    )  # fmt: skip
    result = scan_result("/photo.html", incomplete=(undecided,))
    return page_of(result.model_copy(update={"assessment": Assessment(summary="", reviews=said)}))


def with_contrast(*ratios: MeasuredContrast) -> Page:
    """A page without barriers whose elements need review; the contrast of the first of them has been measured."""
    undecided = finding("color-contrast", None, nodes=len(ratios) + 1, help_text="Text needs contrast")
    nodes = undecided.nodes
    known = (node.model_copy(update={"contrast": ratio}) for node, ratio in zip(nodes, ratios, strict=False))
    return page_of(scan_result("/photo.html", incomplete=(undecided.revised(nodes=(*known, nodes[-1])),)))


def not_scanned() -> list[Page]:
    dead = Result(
        job_id="d1", kind="scan", state=JobState.DEAD, error=ErrorInfo(type="ScanFailed", message="the browser crashed")
    )
    cancelled = Result(job_id="c1", kind="scan", state=JobState.CANCELLED)
    return [
        page_of(scan_result("/gone.html", status="unreachable", reason="the server answered 404")),
        page_of(scan_result("/intranet.html", status="blocked", reason="a private address")),
        page_of(scan_result("/half.html", finding(), status="partial", reason="cut off after 2 MB")),
        page_of(dead, url=f"{SITE}/crash.html"),
        page_of(cancelled, url=f"{SITE}/stopped.html"),
        refused_page("not-a-page", "'not-a-page' has no scheme"),
        waiting_page(f"{SITE}/slow.html", job_id="w1", problem="no result within 5 s"),
    ]


def in_doubt(path: str = "/account.html", *doubts: Doubt, **changes: object) -> Page:
    """A page without barriers that was read whole, with these doubts about it (a sign-in if none are given)."""
    closed = Doubt(kind="sign-in", what="the page asks for a sign-in", certainty="likely")
    return page_of(scan_result(path).model_copy(update={"doubts": doubts or (closed,), **changes}))


def every_kind() -> list[Page]:
    return [passed(), with_barriers(), *not_scanned()]


def marked() -> list[Page]:
    """A new and a known barrier on one page, a waived one and a lapsed waiver on another."""
    waiver = Waiver("image-alt-n0", "the shop is replaced then", date(2027, 1, 31))
    compared = Marks(known=frozenset({"image-alt-n0"}))
    waived = Marks(waivers={"image-alt-n0": waiver}, expired={"label-n0": replace(waiver, fingerprint="label-n0")})
    return [
        replace(page_of(scan_result("/tea.html", finding(nodes=2))), marks=compared),
        replace(page_of(scan_result("/basket.html", finding(), finding("label"))), marks=waived),
    ]


def hostile() -> Page:
    made = finding(help_text=HOSTILE, snippet=HOSTILE, nodes=2)
    evil = made.model_copy(update={"help_url": "javascript:steal()"})
    return page_of(scan_result("/evil.html", evil, title=HOSTILE))


def render(name: str, pages: Iterable[Page], *, fail_on: Impact | None = Impact.SERIOUS, width: int | None = 80) -> str:
    out = io.StringIO()
    load_report(name)(pages, ReportContext(AT, title="The shop", fail_on=fail_on, width=width), out)
    return out.getvalue()
