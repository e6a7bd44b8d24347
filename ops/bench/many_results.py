"""Results of many pages, made from a template instead of by scanning: a shop of four templates with planted barriers.

Six component barriers are planted: two of the header and one of the footer on every page, and one each of cards, of the
list and of the product. ``more`` adds further ones to each template, as on real sites; a page's JSON is then as large
as those of ``make demo``. Used by the rows about reports, and by their tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from producer.contract import Counts, Finding, Impact, Node, ScanResult

SITE: Final = "https://shop.example"
TEMPLATES: Final = ("home", "category", "product", "article")
GROUPS: Final = {"home": "", "category": "shop", "product": "shop", "article": "journal"}
_SITE_ID: Final = "00c0ffee"
_ADVICE: Final = (
    "Fix any of the following:\n  Element does not have an alt attribute\n"
    "  aria-label attribute does not exist or is empty\n"
    "  aria-labelledby attribute does not exist, references elements that do not exist or are empty\n"
    '  Element has no title attribute\n  Element\'s default semantics were not overridden with role="none"'
)
_TAGS: Final = ("cat.text-alternatives", "wcag2a", "wcag111", "section508", "TTv5", "EN-301-549", "EN-9.1.1.1", "ACT")


@dataclass(frozen=True, slots=True)
class Planted:
    """A component barrier of templates, with ``elements`` on each page."""

    name: str
    rule: str
    impact: Impact
    templates: tuple[str, ...] = TEMPLATES
    elements: int = 1

    @property
    def issue_id(self) -> str:
        """Its id on the site."""
        return f"{sha256(self.name.encode()).hexdigest()[:16]}-{_SITE_ID}"


PLANTED: Final = (
    Planted("Header › search field has no label", "label", Impact.CRITICAL),
    Planted("Header › cart link has no name", "link-name", Impact.SERIOUS),
    Planted("Footer › legal note has too little contrast", "color-contrast", Impact.SERIOUS),
    Planted("Main › card image has no text alternative", "image-alt", Impact.CRITICAL, ("home", "category"), 4),
    Planted("Main › sort list has no name", "select-name", Impact.CRITICAL, ("category",)),
    Planted("Main › amount field has no label", "label", Impact.CRITICAL, ("product",)),
)
_RULES: Final = ("image-alt", "button-name", "link-name", "color-contrast", "label", "aria-allowed-role")


def planted(*, more: int = 0) -> list[Planted]:
    """Return all component barriers of the site."""
    further = [
        Planted(f"Main › {template} part {number} has no name", _RULES[number % len(_RULES)], list(Impact)[number % 4],
                (template,))
        for template in TEMPLATES for number in range(more)
    ]  # fmt: skip
    return [*PLANTED, *further]


def results(count: int, *, more: int = 0) -> Iterator[ScanResult]:
    """Yield the results of ``count`` pages; those of the template "article" have no card, no list and no product."""
    site = planted(more=more)
    for number in range(count):
        yield _result(number, TEMPLATES[number % len(TEMPLATES)], site)


def _result(number: int, template: str, site: list[Planted]) -> ScanResult:
    by_rule: dict[str, list[Planted]] = {}
    for one in site:
        if template in one.templates:
            by_rule.setdefault(one.rule, []).append(one)
    findings = tuple(_finding(rule, some) for rule, some in by_rule.items())
    url = f"{SITE}/{template}/{number:05d}-green-tea-of-the-first-harvest.html"
    return ScanResult(
        job_id=f"{number:032x}",
        url=url,
        final_url=url,
        title=f"Green tea of the first harvest, {number} - Moss & Kettle",
        group=GROUPS[template],
        status="scanned",
        http_status=200,
        engine={"axe-core": "4.14.0", "browser": "Chrome/143.0.7499.40"},
        findings=findings,
        counts=_sum(Counter(one.impact for one in findings)),
        barriers=_sum(Counter(one.impact for one in findings for _ in one.nodes)),
    )


def _finding(rule: str, some: list[Planted]) -> Finding:
    nodes = tuple(
        Node(
            selector=(f".{rule} > li:nth-child({number + 1}) > .{one.issue_id[:6]}",),
            snippet=f'<img src="img/hills-{number}.svg" class="card__image card__image--{one.issue_id[:4]}">',
            failure_summary=_ADVICE,
            fingerprint=sha256(f"{one.name} {number}".encode()).hexdigest()[:24],
            issue_id=one.issue_id,
            component=one.name,
        )
        for one in some
        for number in range(one.elements)
    )
    return Finding(
        rule=rule,
        impact=some[0].impact,
        criteria=("1.1.1",),
        tags=_TAGS,
        help="Images must have alternative text",
        help_url=f"https://dequeuniversity.com/rules/axe/4.14/{rule}?application=axeAPI",
        description="Ensure <img> elements have alternative text or a role of none or presentation",
        nodes=nodes,
        node_count=len(nodes),
        fingerprint=sha256(rule.encode()).hexdigest()[:24],
    )


def _sum(counts: Counter[Impact | None]) -> Counts:
    return Counts(**{impact.value: number for impact, number in counts.items() if impact})
