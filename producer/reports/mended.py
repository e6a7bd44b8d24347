"""Names the component barriers that were fixed on pages, for all reports read by people. Pure.

A result names those that its page's previous scan had (``Changes.mended_components``). Otherwise fixed elements are
known only by fingerprint: from ``Changes.fixed`` of earlier releases, and from the baseline (fingerprints in
``Marks.known`` that are no longer on the page). A fingerprint is the same on every page of a site, so a page that still
has the component provides its name; if none does, or if two components share a fingerprint, elements are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from producer.contract.addresses import origin_of
from producer.reports.page import Page
from producer.reports.plain_text import counted, one_line

HEADING: Final = "Fixed component barriers"
MAX_LINES: Final = 20
"""Maximum number of component barriers that are named; the rest are counted."""

_Key: TypeAlias = "tuple[str, str]"
"""``issue_id`` and rule."""


@dataclass(slots=True)
class _Component:
    """Addresses that have a component barrier or have lost it; a page has lost it only if all its states have."""

    name: str
    has: set[str] = field(default_factory=set[str])
    mended: set[str] = field(default_factory=set[str])


def mended_lines(pages: Iterable[Page]) -> list[str]:
    """Return a line for each component barrier that is gone from some page, most pages first."""
    listed = list(pages)
    gone = [(page, lost, named) for page in listed for lost, named in [(_gone(page), _named(page))] if lost or named]
    if not gone:
        return []
    found, owners = _components(listed)
    unnamed: list[int] = []
    for page, lost, named in gone:
        site = origin_of(page.url)
        keys = [owners.get((site, fingerprint), set[_Key]()) for fingerprint in lost]
        for key, name in named.items():
            found.setdefault(key, _Component(name))
        for key in ({next(iter(one)) for one in keys if len(one) == 1} | named.keys()) - _keys(page):
            found[key].mended |= {page.url} - found[key].has
        unnamed += [number] if not named and (number := sum(len(one) != 1 for one in keys)) else []
    mended = sorted((one for one in found.items() if one[1].mended), key=lambda one: (-len(one[1].mended), one[1].name))
    lines = [_line(issue_id, component) for (issue_id, _), component in mended[:MAX_LINES]]
    return lines + _rest(len(mended) - len(lines), unnamed)


def _gone(page: Page) -> set[str]:
    """Return the fingerprints that the page no longer has; empty if it was not scanned completely."""
    if page.result is None or not page.is_scanned:
        return set()
    changes, known = page.result.changes, page.marks.known
    gone = set(changes.fixed) if changes is not None and changes.previous else set[str]()
    if known is not None and not any(finding.is_trimmed for finding in page.findings):
        gone |= known
    return gone - {node.fingerprint for finding in page.findings for node in finding.nodes}


def _named(page: Page) -> dict[_Key, str]:
    """Return the names of the component barriers that the page's result lists as gone."""
    if page.result is None or page.result.changes is None:
        return {}
    return {(one.issue_id, one.rule): one.name for one in page.result.changes.mended_components}


def _components(pages: Iterable[Page]) -> tuple[dict[_Key, _Component], dict[tuple[str, str], set[_Key]]]:
    """Return the remaining component barriers, and the components of each fingerprint of a site."""
    found: dict[_Key, _Component] = {}
    owners: dict[tuple[str, str], set[_Key]] = {}
    for page in pages:
        site = origin_of(page.url)
        for finding in page.findings:
            for node in finding.nodes:
                if node.issue_id:
                    key = (node.issue_id, finding.rule)
                    found.setdefault(key, _Component(node.component))
                    owners.setdefault((site, node.fingerprint), set()).add(key)
        for key in _keys(page):
            found[key].has.add(page.url)
    return found, owners


def _keys(page: Page) -> set[_Key]:
    return {(node.issue_id, finding.rule) for finding in page.findings for node in finding.nodes if node.issue_id}


def _line(issue_id: str, component: _Component) -> str:
    still = f", still on {counted(len(component.has), 'page')}" if component.has else ""
    pages = f"fixed on {counted(len(component.mended), 'page')}{still}"
    return f"{one_line(component.name, limit=200)}: {pages} ({issue_id})"


def _rest(left_out: int, unnamed: Sequence[int]) -> list[str]:
    lines = [f"and {counted(left_out, 'more component barrier')} fixed on a page"] if left_out else []
    if unnamed:
        what = f"{counted(sum(unnamed), 'element')} fixed on {counted(len(unnamed), 'page')}"
        lines.append(f"{what}, of components that this report cannot name")
    return lines
