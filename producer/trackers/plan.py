"""Plans the changes to a tracker's issues after a scan. Pure.

An issue is opened for each component barrier without one, updated if its text changed, closed if no page has the
barrier any more, and reopened if a later scan found it again. A scan of a few pages neither closes issues of others nor
drops their pages. A scan older than an issue's text does not change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from producer.contract import Impact
from producer.contract.waiver import Waiver
from producer.reports.plain_text import counted, one_line
from producer.trackers.body import Hidden, body_of, hidden_of, is_same, mended_body, moved_body, title_of
from producer.trackers.seen import Barrier, Seen
from producer.trackers.tracker import WAIVES, Issue

Kind = Literal["open", "update", "close", "reopen", "merge"]
"""``merge`` closes a duplicate of an older issue, created by two simultaneous runs."""
MAX_OPENED: Final = 50


@dataclass(frozen=True, slots=True)
class Step:
    """A write: the action, the issue (``number`` is 0 for a new one), and the reason."""

    kind: Kind
    issue_id: str
    title: str
    body: str
    why: str
    number: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes in their order; the waivers requested by labels; ``notes`` explain what is not changed."""

    steps: tuple[Step, ...]
    waivers: tuple[Waiver, ...]
    notes: tuple[str, ...] = ()
    unlabelled: tuple[Waiver, ...] = ()
    """Waivers that a sync may have made and that no label requests now."""


def make_plan(
    seen: Seen, issues: Iterable[Issue], *, impact: Impact = Impact.MINOR, max_opened: int = MAX_OPENED
) -> Plan:
    """Return the plan; new issues only for component barriers with ``impact`` or worse, worst first."""
    ours, extra = _by_id(issues)
    steps = [
        Step("merge", issue_id, one.title, one.body, f"issue {ours[issue_id].number} is the same", one.number, one.url)
        for issue_id, some in extra.items()
        for one in some
        if one.is_open
    ]
    notes: list[str] = []
    for issue_id, issue in ours.items():
        step, note = _of_known(issue_id, issue, seen)
        steps += [step] if step else []
        notes += [f"{issue_id}, issue {issue.number}: {note}"] if note else []
    wanted = [
        one
        for one in sorted(
            seen.barriers.values(), key=lambda one: (-one.impact.rank, -one.pages, one.name, one.issue_id)
        )
        if one.issue_id not in ours and not one.is_waived and one.impact.rank >= impact.rank
    ]
    steps += [_opened(one, seen) for one in wanted[:max_opened]]
    if left_out := len(wanted) - max_opened:
        notes += [f"{left_out:,} more would be opened: raise --max-open or --impact"] if left_out > 0 else []
    waivers = [_waiver(issue_id, issue, issue.waived_by) for issue_id, issue in ours.items() if issue.waived_by]
    unlabelled = [
        _waiver(issue_id, issue, label)
        for issue_id, issue in ours.items()
        for label in WAIVES
        if label != issue.waived_by
    ]
    return Plan(tuple(steps), tuple(waivers), tuple(notes), tuple(unlabelled))


def _by_id(issues: Iterable[Issue]) -> tuple[dict[str, Issue], dict[str, list[Issue]]]:
    """Return the oldest issue of each component barrier, and the duplicates."""
    ours: dict[str, Issue] = {}
    extra: dict[str, list[Issue]] = {}
    once = {one.number: one for one in issues}  # a list that grows while it is read shows an issue on two of its pages
    for _, issue in sorted(once.items()):
        hidden = hidden_of(issue.body)
        if hidden is not None and ours.setdefault(hidden.issue_id, issue) is not issue:
            extra.setdefault(hidden.issue_id, []).append(issue)
    return ours, extra


def _opened(one: Barrier, seen: Seen) -> Step:
    body = body_of(one, Hidden(one.issue_id, one.rule, seen.at_ms, _digests(one, seen)))
    return Step("open", one.issue_id, title_of(one), body, f"{one.impact.value}, {_pages(one)}")


def _of_known(issue_id: str, issue: Issue, seen: Seen) -> tuple[Step | None, str]:
    hidden, barrier = hidden_of(issue.body), seen.barriers.get(issue_id)
    assert hidden is not None  # noqa: S101  ``_by_id`` found the issue by it
    if seen.at_ms < hidden.at_ms:
        return None, "left unchanged: its text is from a later scan"
    if barrier is None:
        return _gone(issue, hidden, seen)
    places = _merged(hidden, barrier, seen)
    now = Hidden(issue_id, hidden.rule, seen.at_ms, places)
    if not issue.is_open:
        why_not = _why_closed(issue, barrier, seen)
        body = body_of(barrier, now, old=issue.body)
        return (None, why_not) if why_not else (_step("reopen", issue, body, f"back {_pages(barrier)}"), "")
    if hidden.places is None and not seen.is_history:
        return None, ""  # a report cannot tell whether it shows all of its pages
    is_whole = places is None or places == _digests(barrier, seen)
    if not is_whole and places == hidden.places:
        return None, ""
    body = body_of(barrier, now, old=issue.body)
    return (None if is_same(body, issue.body) else _step("update", issue, body, _pages(barrier))), ""


def _gone(issue: Issue, hidden: Hidden, seen: Seen) -> tuple[Step | None, str]:
    """Return the step for an issue whose barrier the scan did not list."""
    if not issue.is_open:
        return None, ""
    if seen.is_history:
        is_mended, left = hidden.issue_id in seen.mended, hidden.places
    elif hidden.places is None:
        return None, "left open: not all of its pages are known; use --site"
    else:
        left = hidden.places - seen.without(hidden.rule, hidden.issue_id)
        is_mended = not left
    now = Hidden(hidden.issue_id, hidden.rule, seen.at_ms, frozenset[str]() if is_mended else left)
    if is_mended:
        return _step("close", issue, mended_body(issue.body, now), "fixed on all of its pages"), ""
    if left != hidden.places:
        assert left is not None  # noqa: S101  only known pages are removed
        return _step("update", issue, moved_body(issue.body, now), f"still on {counted(len(left), 'page')}"), ""
    return None, ""


def _why_closed(issue: Issue, barrier: Barrier, seen: Seen) -> str:
    """Return why a closed issue stays closed although its barrier was found, or ''."""
    if issue.waived_by or barrier.is_waived:
        return "left closed: it is waived"
    if issue.is_refused:
        return "left closed: it was closed as not planned or as a duplicate"
    if max(seen.scanned_ms, barrier.since_ms) <= issue.closed_ms:
        return "left closed: the scan is older"
    return ""


def _digests(barrier: Barrier, seen: Seen) -> frozenset[str] | None:
    return None if seen.is_history else frozenset(place.digest for place in barrier.places)


def _merged(hidden: Hidden, barrier: Barrier, seen: Seen) -> frozenset[str] | None:
    """Return the pages that have it now; pages that were not scanned keep it."""
    if seen.is_history or hidden.places is None:
        return None
    here = _digests(barrier, seen) or frozenset[str]()
    return (hidden.places - seen.without(barrier.rule, barrier.issue_id)) | here


def _step(kind: Kind, issue: Issue, body: str, why: str) -> Step:
    hidden = hidden_of(body)
    return Step(kind, hidden.issue_id if hidden else "", issue.title, body, why, issue.number, issue.url)


def _pages(barrier: Barrier) -> str:
    return f"on {counted(barrier.pages, 'page')}"


def _waiver(issue_id: str, issue: Issue, label: str) -> Waiver:
    place = one_line(issue.url, limit=300) or f"issue {issue.number}"
    return Waiver(issue_id, f"{place} has the label {label}")
