"""Report as one HTML file: opens anywhere, loads nothing, filters and searches without a server.

Scanned pages are hostile: the template escapes everything, links go to http and https only, and a content security
policy lets the browser run the one script and the one style sheet of this file, by their hashes, and nothing else. The
page is in ``assets/``; it must pass our own scan.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Final, TextIO

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from producer.contract import IMPACTS, Impact
from producer.reports.formats import ReportContext
from producer.reports.page import (
    Page,
    Summary,
    by_rule,
    elements,
    impact_of,
    labels,
    priorities,
    selector_text,
    sites_of,
    summarise,
)
from producer.reports.plain_text import counted, one_line, printable
from producer.reports.remarks import remarks
from producer.reports.wcag import criterion_name, criterion_url

MAX_NODES: Final = 25
"""Elements shown of a finding: a browser opens 5,000 pages of them, not 5,000 pages of thousands."""
_BAR_WIDTH: Final = 1000
"""Of the chart, in the units of its viewBox."""
_WORST_FIRST: Final = tuple(reversed(IMPACTS))


@dataclass(frozen=True, slots=True)
class _Part:
    """One impact's part of the chart."""

    impact: Impact
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The sentence that everything else explains; ``kind`` is its colour."""

    kind: str
    text: str


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the file piece by piece; holds all pages in memory, not the text."""
    listed = list(pages)
    summary = summarise(listed, fail_on=context.fail_on)
    sites = sites_of(listed)
    style, script = _asset("report.css"), _asset("report.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    stream = environment.from_string(_asset("report.html.jinja")).stream(
        **_FUNCTIONS,
        pages=listed,
        labels=[one_line(label) for label in labels(listed)],
        site=one_line(sites.pop()) if len(sites) == 1 else "",
        summary=summary,
        verdict=_verdict(summary, context),
        groups=by_rule(listed),
        impacts=[(impact, summary.elements[impact]) for impact in _WORST_FIRST],
        order=_WORST_FIRST,
        bar=_bar(summary),
        context=context,
        version=version("sightline"),
        max_nodes=MAX_NODES,
        remarks=remarks(listed),
        style=Markup(style),  # noqa: S704  our own files, from the package
        script=Markup(script),  # noqa: S704  the same
        style_hash=_policy_hash(style),
        script_hash=_policy_hash(script),
    )
    stream.enable_buffering(50)
    out.writelines(stream)
    out.write("\n")


def _page_counts(page: Page) -> dict[Impact, int]:
    counts = dict.fromkeys(_WORST_FIRST, 0)
    for finding in page.findings:
        counts[impact_of(finding)] += elements(finding)
    return counts


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://"))


_FUNCTIONS: Final = {
    "counted": counted,
    "criterion_name": criterion_name,
    "criterion_url": criterion_url,
    "elements": elements,
    "impact_of": impact_of,
    "is_link": _is_link,
    "one_line": one_line,
    "page_counts": _page_counts,
    "printable": printable,
    "priorities": priorities,
    "selector_text": selector_text,
}


def _verdict(summary: Summary, context: ReportContext) -> _Verdict:
    failing = ""
    if summary.failing and context.fail_on:
        new = "new " if "new" in summary.marked else ""
        failing = f"{counted(summary.failing, 'page')} with {new}findings that are {context.fail_on.value} or worse."
    if summary.not_scanned:
        missing = f"{counted(summary.not_scanned, 'page')} could not be scanned, so this is not a pass."
        return _Verdict("worse", f"{missing} {failing}".rstrip())
    if failing:
        return _Verdict("bad", failing)
    if summary.total:
        new = "new and " if "known" in summary.marked else ""
        return _Verdict("some", f"Barriers were found, none {new}at or over the threshold.")
    return _Verdict("good", "No barriers were found.")


def _bar(summary: Summary) -> Sequence[_Part]:
    parts: list[_Part] = []
    start = 0.0
    for impact in _WORST_FIRST:
        width = _BAR_WIDTH * summary.elements[impact] / max(summary.total, 1)
        parts.append(_Part(impact, round(start, 1), round(width, 1)))
        start += width
    return parts


def _asset(name: str) -> str:
    return (files("producer.reports") / "assets" / name).read_text("utf-8")


def _policy_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
