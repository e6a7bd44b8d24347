"""Report for GitLab's code quality widget (``artifacts:reports:codequality``): an entry per component barrier.

The widget compares fingerprints with those of the target branch, so known barriers are included and waived ones are
not. ``location.path`` is the repository's file with the markup, else the page's host and path. A page that could not be
scanned is an entry too, since its absence would look like a pass; so is each doubt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final, TextIO

from producer.contract import Doubt, Impact, JsonObject
from producer.contract.addresses import host_of, relative_uri
from producer.reports.components import ComponentBarrier, component_results
from producer.reports.doubts import doubt_kind, doubt_text
from producer.reports.formats import ReportContext
from producer.reports.page import Page, sites_of
from producer.reports.plain_text import counted, one_line

_SEVERITY: Final = {
    Impact.CRITICAL: "critical",
    Impact.SERIOUS: "major",
    Impact.MODERATE: "minor",
    Impact.MINOR: "info",
}
_UNREAD: Final = "blocker"


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:
    """Write one list; holds all pages in memory."""
    listed = list(pages)
    is_one_site = len(sites_of(listed)) < 2  # noqa: PLR2004  then branches are compared whatever host serves them
    names = {id(page): page.path if is_one_site else page.name for page in listed}
    entries = [_unread(page) for page in listed if not page.is_scanned]
    entries += [_entry(one, context, names) for one in component_results(listed) if one.state != "waived"]
    entries += [_doubt(page, doubt, names) for page in listed for doubt in page.doubts]
    json.dump(entries, out, ensure_ascii=True, indent=1)
    out.write("\n")


def _entry(one: ComponentBarrier, context: ReportContext, names: Mapping[int, str]) -> JsonObject:
    page, finding = one.places[0]
    node = finding.nodes[0] if finding.nodes else None
    place = context.sources.place_of(node.snippet, page.url) if node and context.sources else None
    where = f"{counted(one.node_count, 'element')} on {counted(one.page_count, 'page')}, first {page.url}"
    fix = f". {one.what_to_do.do}" if one.what_to_do else ""
    known_by = one.issue_id or _digest(finding.fingerprint, names[id(page)])
    return {
        "description": one_line(f"{one.name} ({one.rule}): {where}{fix}", limit=1_000),
        "check_name": one.rule,
        "fingerprint": known_by,
        "severity": _SEVERITY[one.impact],
        "location": _location(place.path, place.line) if place else _location(_page_path(page)),
    }


def _unread(page: Page) -> JsonObject:
    return {
        "description": one_line(f"{page.name} is {page.outcome}: {page.problem}", limit=1_000),
        "check_name": "not-scanned",
        "fingerprint": _digest("not-scanned", page.name, page.error),
        "severity": _UNREAD,
        "location": _location(_page_path(page)),
    }


def _doubt(page: Page, doubt: Doubt, names: Mapping[int, str]) -> JsonObject:
    return {
        "description": one_line(f"{page.name} is in doubt: {doubt_text(doubt)}", limit=1_000),
        "check_name": f"doubt/{doubt_kind(doubt)}",
        "fingerprint": _digest(doubt.kind, doubt.what, doubt.where, names[id(page)]),
        "severity": "minor" if doubt.is_unseen else "info",
        "location": _location(_page_path(page)),
    }


def _location(path: str, line: int = 1) -> JsonObject:
    return {"path": path, "lines": {"begin": line}}


def _page_path(page: Page) -> str:
    return relative_uri(page.url) if host_of(page.url) else one_line(page.url, limit=500)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
