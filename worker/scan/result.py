"""Builds the contract's result from the facts of a visit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import Doubt, NamedElement, ScanRequest, ScanResult, ScanStatus, public_url
from worker.scan.axe import AxeReport
from worker.scan.content import Content
from worker.scan.doubts import Evidence, doubts_about, unseen
from worker.scan.findings import count_barriers, count_rules, read_findings, review_experimental
from worker.scan.guard import Refusal
from worker.scan.waiting import Facts, Waited
from worker.scan.watch import Watch

_HOPS_SHOWN: Final = 20
"""Maximum number of redirects listed: as many as a browser follows."""
_MOST_SHOWN: Final = 50
"""Maximum number of refusals, unread frames and doubts listed: a page can cause thousands."""
_REASONS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """The facts of a visit; ``facts`` are missing if the page was never examined."""

    watch: Watch
    waited: Waited
    refusals: tuple[Refusal, ...]
    facts: Facts | None
    report: AxeReport
    content: Content | None = None
    names: tuple[NamedElement, ...] = ()
    is_page_local: bool = False


def make_result(
    request: ScanRequest,
    seen: Seen,
    *,
    status: ScanStatus,
    reason: str,
    doubts: Sequence[Doubt],
    engine: dict[str, str],
    timings_ms: dict[str, int],
) -> ScanResult:
    """Return the result of one visit; job, assessment and history are filled in later.

    ``doubts`` are those noted during the visit. Any doubt of the kind "not seen" makes a ``scanned`` page ``partial``.
    """
    if seen.facts is not None:
        evidence = Evidence(seen.facts, seen.content, seen.watch, seen.refusals, is_page_local=seen.is_page_local)
        doubts = [*doubts, *doubts_about(request, evidence)]
    not_seen = unseen(doubts, request)
    reasons = [reason] if reason else []
    reasons += [doubt.what for doubt in not_seen[:_REASONS_SHOWN] if doubt.what != reason]
    page = seen.facts.href if seen.facts else ""
    violations, to_review = review_experimental(seen.report.violations, seen.report.incomplete)
    findings = read_findings(violations, "violation", page=page)
    watch = seen.watch
    refusals, frames = seen.refusals, seen.report.unread_frames
    return ScanResult(
        url=public_url(request.page_url),
        final_url=_final_url(request, seen),
        title=seen.facts.title if seen.facts else "",
        group=request.group,
        page_state=request.state,
        status="partial" if status == "scanned" and not_seen else status,
        reason="; ".join(reasons),
        standard=request.standard,
        http_status=watch.document.status if watch.document else None,
        engine=engine,
        findings=findings,
        incomplete=read_findings(to_review, "incomplete", page=page),
        counts=count_rules(findings),
        barriers=count_barriers(findings),
        timings_ms=timings_ms,
        waited=seen.waited.as_dict() if seen.facts else {},
        redirects=tuple({"status": hop.status, "url": public_url(hop.url)} for hop in watch.redirects[:_HOPS_SHOWN]),
        refused=tuple(refusal.describe() for refusal in refusals[:_MOST_SHOWN]),
        refused_left_out=max(0, len(refusals) - _MOST_SHOWN),
        unread_frames=dict(list(frames.items())[:_MOST_SHOWN]),
        unread_frames_left_out=max(0, len(frames) - _MOST_SHOWN),
        soft_404=any(doubt.kind == "soft-404" for doubt in doubts),
        sign_in=any(doubt.kind == "sign-in" for doubt in doubts),
        failed_requests=watch.failed_requests,
        popups_closed=watch.popups,
        dialogs_dismissed=watch.dialogs,
        doubts=tuple(doubts[:_MOST_SHOWN]),
        doubts_left_out=max(0, len(doubts) - _MOST_SHOWN),
        allow_partial=request.allow_partial,
        names=seen.names,
    )


def _final_url(request: ScanRequest, seen: Seen) -> str:
    """Return the final address; '' for a page given as HTML."""
    if request.url is None:
        return ""
    document = seen.watch.document
    shown = seen.facts.href if seen.facts else ""
    return public_url(shown or (document.url if document else request.url))
