"""Pages of one site whose barriers are two components': a header on all, cards on every second one."""

from __future__ import annotations

from typing import Final

from producer.contract import Finding
from producer.reports.page import Page, page_of
from tests.unit.reports import sample_pages as sample

HEADER: Final = "4a1f4a1f4a1f4a1f-00c0ffee"
CARD: Final = "0b5e0b5e0b5e0b5e-00c0ffee"
NAMES = {HEADER: "Header › search field has no label", CARD: "Main › card image has no text alternative"}


def finding(rule: str, issue_id: str, *, nodes: int = 1, trimmed: int = 0) -> Finding:
    made = sample.finding(rule, nodes=nodes, trimmed=trimmed)
    known = {"issue_id": issue_id, "component": NAMES[issue_id]}
    return made.revised(nodes=tuple(node.model_copy(update=known) for node in made.nodes))


def pages(count: int = 150) -> list[Page]:
    """A header on all pages, and two cards on every second one."""
    return [
        page_of(
            sample.scan_result(
                f"/{n}.html", finding("label", HEADER), *([finding("image-alt", CARD, nodes=2)] if n % 2 else [])
            ).model_copy(update={"group": "shop" if n % 2 else ""})
        )
        for n in range(count)
    ]


def alike(count: int, *, components: int = 26) -> list[Page]:
    """Pages of one template, each with the same components, whose names are as long as real ones."""
    findings = tuple(_numbered(number) for number in range(components))
    return [page_of(sample.scan_result(f"/category/page-{number}.html", *findings)) for number in range(count)]


def _numbered(number: int) -> Finding:
    made = sample.finding(f"rule-{number}")
    name = f"Header › component number {number} of the page has no text alternative"
    known = {"issue_id": f"{number:016x}-00c0ffee", "component": name}
    return made.revised(nodes=tuple(node.model_copy(update=known) for node in made.nodes))
