"""The reasons why a run fails, as lines of a job's log and as GitHub annotations. Pure.

A line names the component barrier, its rule and impact, the first element, the page's address, the number of further
pages and the fix. GitHub shows an annotation at a file's line if it is known, else on the run's page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from producer.reports.components import ComponentBarrier, by_component
from producer.reports.formats import ReportContext
from producer.reports.page import Page, impact_of, selector_text
from producer.reports.plain_text import counted, one_line

MAX_LINES: Final = 50
"""Maximum number of component barriers named in a log; more are counted."""
MAX_ANNOTATIONS: Final = 10
"""GitHub's limit for annotations of one kind per step."""
_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason: ``title`` in a few words, ``text`` in one line; ``path`` and ``line`` if a file contains the markup."""

    title: str
    text: str
    path: str = ""
    line: int = 0


def failures(pages: Iterable[Page], context: ReportContext) -> list[Failure]:
    """Return the component barriers that fail the gate, the worst first."""
    least = context.fail_on
    if least is None:
        return []
    counted_pages = [page.counted for page in pages]
    failing = [one for one in by_component(counted_pages) if one.impact.rank >= least.rank]
    return [_failure(one, context) for one in failing]


def unread(pages: Iterable[Page]) -> list[Failure]:
    """Return the pages that do not pass because they were not scanned completely."""
    return [
        Failure(f"page {page.outcome}", f"{one_line(page.url, limit=_CHARS)} is {page.outcome}: {_cut(page.problem)}")
        for page in pages
        if not page.is_scanned
    ]


def log_lines(found: Sequence[Failure], of: str = "component barrier") -> list[str]:
    """Return a line for each failure, up to a log's limit; ``of`` is what each is a failure of."""
    lines = [f"failed: {failure.text}" for failure in found[:MAX_LINES]]
    more = counted(len(found) - len(lines), f"more {of}")
    return [*lines, f"failed: {more}; all are in the reports"] if len(found) > len(lines) else lines


def github_annotations(found: Sequence[Failure]) -> list[str]:
    """Return workflow commands that annotate the run; escaped as in @actions/core."""
    return [_annotation(failure) for failure in found[:MAX_ANNOTATIONS]]


def _failure(one: ComponentBarrier, context: ReportContext) -> Failure:
    page, finding = next((place for place in one.places if impact_of(place[1]) is one.impact), one.places[0])
    node = finding.nodes[0] if finding.nodes else None
    name = one_line(one.name, limit=_CHARS)
    element = f"{_cut(selector_text(node.selector))} on " if node else ""
    reached = f", reached by {_cut(page.reached_by)}" if page.reached_by else ""
    more = f"{',' * bool(reached)} and {counted(one.page_count - 1, 'more page')}" if one.page_count > 1 else ""
    fix = one.what_to_do.do if one.what_to_do else finding.help
    known_by = f"; id {one.issue_id}" if one.issue_id else ""
    rule = one_line(one.rule, limit=100)
    text = (
        f"{one.impact.value}: {name} ({rule}): {element}{one_line(page.url, limit=500)}{reached}{more}; "
        f"fix: {_cut(fix).rstrip('.')}{known_by}"
    )
    place = context.sources.place_of(node.snippet, page.url) if node and context.sources else None
    title = f"{name} ({rule})"
    return Failure(title, text, place.path, place.line) if place else Failure(title, text)


def _annotation(failure: Failure) -> str:
    where = {"file": failure.path, "line": str(failure.line)} if failure.path else {}
    properties = {**where, "title": f"Sightline: {failure.title}"}
    listed = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
    return f"::error {listed}::{_escaped(failure.text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _cut(text: str) -> str:
    return one_line(text, limit=_CHARS)
