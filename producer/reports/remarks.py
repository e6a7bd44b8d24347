"""Sentences on what a run did not count and why, for all reports read by people. Pure; for doubts see ``doubts.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.addresses import leads_elsewhere
from producer.contract.waiver import Waiver
from producer.reports.decisions import decision_lines
from producer.reports.page import Page
from producer.reports.plain_text import counted, one_line
from producer.reports.states import Seen, together

if TYPE_CHECKING:
    from producer.contract.findings import SpreadComponent

SHOWN: Final = 5
"""Maximum number of spreading component barriers, and of their groups, that are named; the rest are counted."""


def remarks(pages: Iterable[Page]) -> list[str]:
    """Return lines about known barriers, waivers, missing comparisons, decisions, and redirected pages."""
    pages = tuple(pages)
    known = 0
    notes: dict[str, set[str]] = {}
    used: Counter[Waiver] = Counter()
    expired: Counter[Waiver] = Counter()
    seen = Seen()
    for page in together(pages):
        if not page.marks.is_set:
            continue
        notes.setdefault(page.marks.note, set()).add(page.url)
        for finding in filter(None, (seen.added(page, finding) for finding in page.findings)):
            for node, mark, number in page.marks.each(finding):
                known += number if mark == "known" else 0
                waiver, lapsed = page.marks.waiver_of(finding, node), page.marks.expired_of(finding, node)
                if waiver:
                    used[waiver] += number
                elif lapsed:
                    expired[lapsed] += number
    lines = [f"{counted(known, 'known element')} not counted"] if known else []
    lines += [f"{counted(n, 'element')} {one_line(w.text, limit=300)} ({w.fingerprint})" for w, n in used.items()]
    lines += [
        f"{counted(n, 'element')} no longer waived: the waiver of {w.fingerprint} expired on {w.until} "
        f"({one_line(w.reason, limit=200)})"
        for w, n in expired.items()
    ]
    lines += [f"{counted(len(urls), 'page')}: {one_line(note)}" for note, urls in notes.items() if note]
    return lines + _spread(pages) + decision_lines(pages) + _led_elsewhere(pages)


def _spread(pages: Sequence[Page]) -> list[str]:
    """Return a line about known component barriers on pages and in groups that did not have them before."""
    found: dict[str, dict[str, SpreadComponent]] = {}
    had = _had_before(pages) if any(page.state for page in pages) else frozenset[tuple[str, str]]()
    for page in pages:
        if page.marks.known is not None and page.result is not None and page.result.changes is not None:
            for one in page.result.changes.spread_components:
                if (page.url, one.issue_id) not in had:
                    found.setdefault(one.issue_id, {})[page.url] = one
    if not found:
        return []
    each = [list(some.values()) for some in found.values()]
    shown = [_spread_text(some) for some in sorted(each, key=lambda some: (-len(some), some[0].name))]
    rest = f"; and {counted(len(shown) - SHOWN, 'more')}" if len(shown) > SHOWN else ""
    what = counted(len(found), "known component barrier")
    return [f"{what} on pages that did not have them before, not counted: {'; '.join(shown[:SHOWN])}{rest}"]


def _had_before(pages: Sequence[Page]) -> frozenset[tuple[str, str]]:
    """Return the component barriers that any state of a page had before, by the page's address."""
    had: set[tuple[str, str]] = set()
    for page in pages:
        if page.result is not None and page.result.changes is not None:
            changes = page.result.changes
            came = {one.issue_id for one in (*changes.spread_components, *(changes.new_components or ()))}
            nodes = (node for finding in page.findings for node in finding.nodes)
            had |= {(page.url, node.issue_id) for node in nodes if node.issue_id not in came}
    return frozenset(had)


def _spread_text(some: Sequence[SpreadComponent]) -> str:
    groups = sorted({one.group for one in some} - {""})
    new_in = f", new in {', '.join(one_line(group, limit=60) for group in groups[:SHOWN])}" if groups else ""
    return f"{one_line(some[0].name, limit=120)} ({counted(len(some), 'page')}{new_in})"


def _led_elsewhere(pages: Sequence[Page]) -> list[str]:
    """Return a line about pages that redirected to another address."""
    read = [(page.url, page.result.final_url) for page in pages if page.result is not None and page.is_scanned]
    led = [(asked, shown) for asked, shown in dict.fromkeys(read) if leads_elsewhere(asked, shown)]
    if not led:
        return []
    asked, shown = (one_line(url, limit=200) for url in led[0])
    return [f"{counted(len(led), 'page')} redirected to another address, such as {asked} to {shown}"]
