"""Report as one HTML file: opens anywhere, loads nothing, filters and searches without a server.

Scanned pages are hostile: the templates escape everything, links go to http and https only, pictures are data, and a
content security policy lets the browser run the one script and the one style sheet of this file, by their hashes, and
nothing else. The page is in ``assets/``; it must pass our own scan. What is computed for it is in ``html_view.py``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final, TextIO

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from producer.reports import html_view
from producer.reports.failure_summary import steps
from producer.reports.formats import ReportContext
from producer.reports.page import (
    Page,
    by_rule,
    elements,
    impact_of,
    labels,
    priorities,
    proposals,
    selector_text,
    sites_of,
    summarise,
)
from producer.reports.plain_text import counted, middle_cut, one_line, printable
from producer.reports.remarks import remarks
from producer.reports.wcag import criterion_name, criterion_url

MAX_NODES: Final = 25
"""Elements shown of a finding: a browser opens 5,000 pages of them, not 5,000 pages of thousands."""
FIRST_NODES: Final = 3
"""Elements of a finding that are shown without being asked for."""
FIRST_RULES: Final = 10
"""Broken rules that are shown without being asked for."""


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the file piece by piece; holds all pages in memory, not the text."""
    listed = html_view.worst_first(pages)
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    stream = environment.get_template("report.html.jinja", globals=_FUNCTIONS).stream(**_facts(listed, context))
    stream.enable_buffering(50)
    out.writelines(stream)
    out.write("\n")


def _facts(listed: Sequence[Page], context: ReportContext) -> dict[str, Any]:
    summary = summarise(listed, fail_on=context.fail_on)
    sites = sites_of(listed)
    style, script = _asset("report.css"), _asset("report.js")
    groups = by_rule(listed)
    trends = (html_view.trend_of(host, days) for host, days in context.trends.items())
    return {
        "pages": listed,
        "labels": [one_line(label) for label in labels(listed)],
        "site": one_line(sites.pop()) if len(sites) == 1 else "",
        "summary": summary,
        "verdict": html_view.verdict_of(summary, context),
        "since_before": html_view.since_before(listed),
        "trends": [trend for trend in trends if trend],
        "groups": groups,
        "most": max((group.node_count for group in groups), default=1),
        "impacts": [(impact, summary.elements[impact]) for impact in html_view.WORST_FIRST],
        "context": context,
        "version": version("sightline"),
        "remarks": [*context.notes, *remarks(listed)],
        "style": Markup(style),  # noqa: S704  our own files, from the package
        "script": Markup(script),  # noqa: S704  the same
        "style_hash": _policy_hash(style),
        "script_hash": _policy_hash(script),
    }


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://"))


_FUNCTIONS: Final[dict[str, Any]] = {
    "advice": html_view.advice,
    "bar_of": html_view.bar_of,
    "counted": counted,
    "criterion_name": criterion_name,
    "criterion_url": criterion_url,
    "day_text": html_view.day_text,
    "elements": elements,
    "first_nodes": FIRST_NODES,
    "first_rules": FIRST_RULES,
    "impact_of": impact_of,
    "is_link": _is_link,
    "max_nodes": MAX_NODES,
    "middle_cut": middle_cut,
    "one_line": one_line,
    "page_counts": html_view.page_counts,
    "picture": html_view.picture,
    "printable": printable,
    "priorities": priorities,
    "proposals": proposals,
    "selector_text": selector_text,
    "shared_summary": html_view.shared_summary,
    "steps": steps,
    "trend_height": html_view.TREND_HEIGHT,
}


def _asset(name: str) -> str:
    return (files("producer.reports") / "assets" / name).read_text("utf-8")


def _policy_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
