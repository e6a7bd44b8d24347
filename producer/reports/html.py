"""Report as one HTML file that opens anywhere, loads nothing, and can be filtered and searched without a server.

Scanned pages are hostile: the templates escape everything, links go to http and https only, images are data URIs, and a
content security policy permits only this file's script and style sheet, by their hashes. The templates are in
``assets/``; the report must pass Sightline's own scan.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final, TextIO

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from producer.contract import Finding, Priority
from producer.contract.distribution import VERSION
from producer.reports.doubts import doubt_kind, doubt_text, lines_by_kind
from producer.reports.explained import site_orders
from producer.reports.failure_summary import steps, summary_line
from producer.reports.fixes import diff_lines, tried_text
from producer.reports.formats import ReportContext
from producer.reports.html_components import MAX_PLACES, Views, component_count, has_components
from producer.reports.html_live import drawn_stops, evidence_pictures, keys_text
from producer.reports.html_trend import TREND_HEIGHT, stacked, trend_of
from producer.reports.mended import HEADING, mended_lines
from producer.reports.page import (
    WORST_FIRST,
    Page,
    by_rule,
    impact_of,
    labels,
    priorities,
    proposals,
    selector_text,
    sites_of,
    worst_first,
)
from producer.reports.plain_text import counted, middle_cut, one_line, printable
from producer.reports.remarks import remarks
from producer.reports.reviews import contrast_text
from producer.reports.summary import Summary, summarise
from producer.reports.wcag import criterion_name, criterion_url

MAX_NODES: Final = 25
"""Maximum number of elements shown per finding, so that a browser can open a report of 5,000 pages."""
FIRST_NODES: Final = 3
"""Elements of a finding that are shown initially."""
FIRST_RULES: Final = 10
"""Failed rules that are shown initially."""
BAR_WIDTH: Final = 1000
"""Width of a bar, in units of its viewBox."""
_PICTURES: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"RIFF", "webp"))


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write the file in pieces; holds all pages in memory, but not the text."""
    listed = worst_first(pages)
    stream = environment().get_template("report.html.jinja", globals=FUNCTIONS).stream(**_facts(listed, context))
    stream.enable_buffering(50)
    out.writelines(stream)
    out.write("\n")


@cache
def environment() -> Environment:
    """Return the environment of the templates; each is compiled once per process."""
    return Environment(
        loader=FunctionLoader(asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _facts(listed: Sequence[Page], context: ReportContext) -> dict[str, Any]:
    summary = summarise(listed, fail_on=context.fail_on)
    sites = sites_of(listed)
    style, script = asset("report.css"), asset("report.js")
    groups = by_rule(listed)
    views = Views(listed, list(labels(listed)), dates=context.dates)
    kind, sentence = _verdict(summary, context)
    trends = (trend_of(host, days) for host, days in context.trends.items())
    shares = ((impact, BAR_WIDTH * summary.elements[impact] / max(summary.total, 1)) for impact in WORST_FIRST)
    return {
        "pages": listed,
        "components": views.all,
        "counted_components": sum(view.barrier.counts for view in views.all),
        "page_groups": views.page_groups(listed),
        "references": views.references,
        "site": one_line(sites.pop()) if len(sites) == 1 else "",
        "summary": summary,
        "verdict_kind": kind,
        "verdict": sentence,
        "since_before": _since_before(listed),
        "bar": stacked(shares),
        "trends": [trend for trend in trends if trend],
        "groups": [(group, component_count(group.places)) for group in groups],
        "most": max((group.node_count for group in groups), default=1),
        "impacts": [(impact, summary.elements[impact]) for impact in WORST_FIRST],
        "context": context,
        "version": VERSION,
        "site_orders": site_orders(listed),
        "mended": mended_lines(listed),
        "mended_heading": HEADING,
        "remarks": [*context.notes, *remarks(listed)],
        "doubts": lines_by_kind(listed),
        "style": Markup(style),  # noqa: S704  files of this package
        "script": Markup(script),  # noqa: S704  the same
        "style_hash": policy_hash(style),
        "script_hash": policy_hash(script),
    }


def asset(name: str) -> str:
    """Return the text of an asset."""
    return (files(__package__ or "") / "assets" / name).read_text("utf-8")


def policy_hash(text: str) -> str:
    """Return the hash source of a style sheet or script for the content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# ---------------------------------------------------------------------------------------------- the run


def _verdict(summary: Summary, context: ReportContext) -> tuple[str, str]:
    """Return the headline's colour and sentence; pages that were not scanned take precedence over findings."""
    failing = ""
    if summary.failing and context.fail_on:
        new = "new " if "new" in summary.marked else ""
        pages = counted(summary.failing, summary.unit)
        failing = f"{pages} with {new}barriers that are {context.fail_on.value} or worse."
    if summary.not_scanned:
        missing = f"{summary.why_no_pass}, so this is not a pass."
        return "worse", f"{missing} {failing}".rstrip()
    if failing:
        return "bad", failing
    if summary.total:
        return "some", summary.passing_text(context.fail_on)
    return "good", "No barriers were found."


def _since_before(pages: Iterable[Page]) -> str:
    """Return the changes since each page's previous scan, in words; ``''`` if no page has one."""
    compared = [
        changes for page in pages if page.result and (changes := page.result.changes) is not None and changes.previous
    ]
    if not compared:
        return ""
    new, fixed = sum(len(one.new) for one in compared), sum(len(one.fixed) for one in compared)
    unchanged = sum(one.unchanged for one in compared)
    elements_of = f"{counted(new, 'new element')}, {fixed:,} fixed, {unchanged:,} unchanged"
    return f"Since the previous scan of {counted(len(compared), 'page')}: {elements_of}."


# ---------------------------------------------------------------------------------------------- for the templates


def _day_text(day: str) -> str:
    """Return ``25 November 2026`` for ``2026-11-25``."""
    return date.fromisoformat(day).strftime("%-d %B %Y")


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _shared_summary(finding: Finding) -> str:
    """Return the failure summary shared by all shown elements; ``''`` if they differ."""
    summaries = {node.failure_summary for node in finding.nodes[:MAX_NODES]}
    return summaries.pop() if len(summaries) == 1 else ""


def advice(finding: Finding, item: Priority | None, source: str) -> list[tuple[str, str]]:
    """Return the model's text about a finding as label and text, without repeating the report.

    The built-in model gives no reasons, and its fix is axe-core's summary in one line.
    """
    if item is None:
        return []
    summary = finding.nodes[0].failure_summary if finding.nodes else ""
    fix = one_line(item.fix).removesuffix("…").rstrip()
    # Releases up to 0.1 joined the summary's lines without a separator.
    is_repeated = bool(fix) and any(line.startswith(fix) for line in (summary_line(summary), one_line(summary)))
    written = (
        ("Who is affected", item.who),
        ("Why", "" if source == "builtin" else item.why),
        ("Fix", "" if is_repeated else item.fix),
    )
    return [(label, text) for label, text in written if text]


def _picture(page: Page, fingerprint: str) -> str:
    """Return an element's screenshot as a data URI; ``''`` if missing or invalid."""
    data = page.pictures.get(fingerprint, b"")
    for start, kind in _PICTURES:
        if data.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return ""


FUNCTIONS: Final[dict[str, Any]] = {
    "advice": advice,
    "contrast_text": contrast_text,
    "counted": counted,
    "doubt_kind": doubt_kind,
    "doubt_text": doubt_text,
    "criterion_name": criterion_name,
    "criterion_url": criterion_url,
    "day_text": _day_text,
    "diff_lines": diff_lines,
    "drawn_stops": drawn_stops,
    "evidence_pictures": evidence_pictures,
    "first_nodes": FIRST_NODES,
    "first_rules": FIRST_RULES,
    "has_components": has_components,
    "impact_of": impact_of,
    "keys_text": keys_text,
    "is_link": _is_link,
    "max_nodes": MAX_NODES,
    "max_places": MAX_PLACES,
    "middle_cut": middle_cut,
    "one_line": one_line,
    "picture": _picture,
    "printable": printable,
    "priorities": priorities,
    "proposals": proposals,
    "selector_text": selector_text,
    "shared_summary": _shared_summary,
    "steps": steps,
    "tried_text": tried_text,
    "trend_height": TREND_HEIGHT,
}
