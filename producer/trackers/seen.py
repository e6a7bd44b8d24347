"""Reads component barriers from a JSON report, and which pages certainly no longer have one. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, cast

from pydantic import ValidationError

from producer.contract import Finding, Impact, ScanResult
from producer.contract.addresses import site_name
from producer.errors import InputError
from producer.reports.components import ComponentBarrier, by_component
from producer.reports.fixes import diff_lines
from producer.reports.page import Page, page_of, selector_text

_EXPECTED: Final = "expected a report of 'sightline scan --format json=report.json'"
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A page that has the barrier: its name, its digest, and the affected elements."""

    name: str
    digest: str
    elements: int = 0
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A component barrier for its issue, which it has had since ``since_ms`` (0 if unknown).

    ``pages`` and ``elements`` are counts. ``places`` is empty if only counts are known (from the history).
    """

    issue_id: str
    name: str
    rule: str
    impact: Impact
    site: str
    pages: int
    elements: int
    places: tuple[Place, ...] = ()
    help_url: str = ""
    criteria: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()
    is_waived: bool = False
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """The component barriers of a scan by ``issue_id``; ``at_ms`` is when it ended.

    ``scanned_ms``: no earlier than this, a page was scanned last. In the history it is the begin of a day.
    ``read`` has the digests of completely scanned pages, ``unsure`` the digest and rule of omitted elements. From the
    history, ``mended`` has the barriers that no page has any more, and the other two are empty.
    """

    at_ms: int
    barriers: Mapping[str, Barrier]
    read: frozenset[str] = frozenset()
    unsure: frozenset[tuple[str, str]] = frozenset()
    mended: frozenset[str] = frozenset()
    is_history: bool = False
    scanned_ms: int = 0

    def without(self, rule: str, issue_id: str) -> frozenset[str]:
        """Return the digests of pages that certainly do not have the barrier."""
        barrier = self.barriers.get(issue_id)
        having = {place.digest for place in barrier.places} if barrier else set[str]()
        return frozenset(one for one in self.read if one not in having and (one, rule) not in self.unsure)


def read_report(text: str, name: str) -> Seen:
    """Return the barriers of a JSON report. Raises ``InputError`` for any other file."""
    try:
        read: Any = json.loads(text)
        ended = read.get("scanned_at") or read["generated_at"]  # a report may be made long after its scan
        at_ms = round(datetime.fromisoformat(ended).timestamp() * 1000)
        pages = [page_of(ScanResult.model_validate(one)) for one in read["pages"] if one.get("error") is None]
        waived = {str(one["issue_id"]) for one in read["component_barriers"] if _is_waived(one)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        kind = "it is not JSON" if isinstance(error, json.JSONDecodeError) else f"{type(error).__name__} in it"
        raise InputError(f"cannot use {name!r}: {kind}; {_EXPECTED}") from None
    return seen_in(pages, at_ms=at_ms, waived=waived)


def _is_waived(entry: Mapping[str, Any]) -> bool:
    """Return whether all elements of a report's component barrier are waived; unmarked ones count."""
    marks = cast("dict[str, int]", entry["marks"])
    return set(marks) == {"waived"} and marks["waived"] >= entry["elements"]


def seen_in(pages: Sequence[Page], *, at_ms: int, waived: Iterable[str] = ()) -> Seen:
    """Return the barriers of pages; ``waived`` are the component barriers whose elements are all waived."""
    waived = frozenset(waived)
    read = frozenset(_digest(page) for page in pages if page.is_scanned and _terms(page))
    unsure = frozenset((_digest(page), one.rule) for page in pages for one in page.findings if one.is_trimmed)
    found = {one.issue_id: _barrier(one, is_waived=one.issue_id in waived) for one in by_component(pages)}
    return Seen(at_ms, {issue_id: one for issue_id, one in found.items() if issue_id}, read, unsure, scanned_ms=at_ms)


def _barrier(one: ComponentBarrier, *, is_waived: bool) -> Barrier:
    by_page: dict[str, tuple[Page, list[Finding]]] = {}
    for page, finding in one.places:
        by_page.setdefault(page.name, (page, []))[1].append(finding)
    places = [_place(page, findings) for page, findings in by_page.values()]
    fix = one.fix[0] if one.fix else None
    return Barrier(
        one.issue_id,
        name=one.name,
        rule=one.rule,
        impact=one.impact,
        site=site_name(one.places[0][0].url),
        pages=one.page_count,
        elements=one.node_count,
        places=tuple(sorted(places, key=lambda place: (-place.elements, place.name))),
        help_url=one.finding.help_url,
        criteria=tuple(one.finding.criteria),
        groups=tuple(one.groups),
        diff=tuple(f"{sign}{line}" for sign, line in diff_lines(fix)) if fix else (),
        is_waived=is_waived,
    )


def _place(page: Page, findings: Sequence[Finding]) -> Place:
    nodes = [node for finding in findings for node in finding.nodes]
    selector = selector_text(nodes[0].selector) if nodes else ""
    return Place(page.name, _digest(page), sum(finding.node_count for finding in findings), selector)


def _terms(page: Page) -> str:
    """Return the scan's terms; '' in results of earlier releases, which cannot prove a fix."""
    return page.result.engine.get("terms", "") if page.result else ""


def _digest(page: Page) -> str:
    """Return the page with its terms: only barriers within the terms can count as fixed."""
    return sha256(f"{page.name}\n{_terms(page)}".encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
