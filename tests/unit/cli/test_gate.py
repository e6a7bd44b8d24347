"""The gate: a page's previous scan, a baseline and waivers, put as marks on its barriers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from producer.cli.scan.baseline import Barrier, Baseline, renewed
from producer.cli.scan.gate import NO_EARLIER_SCAN, NO_EARLIER_SCAN_OF_PAGE, NO_SUCH_ROUTE, Gate
from producer.contract import Changes
from producer.contract.findings import ComponentChange, SpreadComponent
from producer.contract.waiver import Waiver
from producer.reports.page import Page, page_of
from producer.reports.remarks import remarks
from tests.unit.reports import component_pages as components
from tests.unit.reports import sample_pages as sample

TODAY = date(2026, 11, 23)
EARLIER = Changes(previous="s1", new=("image-alt-n1",))


def page(changes: Changes | None, *, trimmed: int = 0) -> Page:
    result = sample.scan_result("/tea.html", sample.finding(nodes=2, trimmed=trimmed))
    return page_of(result.model_copy(update={"changes": changes}))


def marks_of(marked: Page) -> Any:
    return marked.document()["marks"]["barriers"]


def baseline(*fingerprints: str, path: str = "/tea.html") -> Baseline:
    return Baseline(frozenset(Barrier(path, "image-alt", fingerprint) for fingerprint in fingerprints))


@pytest.mark.parametrize(
    ("gate", "changes", "expected"),
    [
        (Gate(only_new=True), EARLIER, ["known", "new"]),
        (Gate(only_new=True), None, ["new", "new"]),
        (Gate(only_new=True), Changes(), ["new", "new"]),
        (Gate(baseline=baseline("image-alt-n1")), EARLIER, ["new", "known"]),
        (Gate(baseline=baseline("image-alt-n1", path="/other.html")), EARLIER, ["new", "new"]),
        (Gate(baseline=Baseline()), EARLIER, ["new", "new"]),
        (Gate(only_new=True, baseline=baseline("image-alt-n1")), EARLIER, ["known", "known"]),
        (Gate(only_new=True, baseline=baseline("image-alt-n1")), None, ["new", "known"]),
    ],
)
def test_what_is_known_is_marked(gate: Gate, changes: Changes | None, expected: list[str]) -> None:
    assert list(marks_of(gate.mark(page(changes))).values()) == expected


def test_a_page_without_a_previous_scan_says_so() -> None:
    assert Gate(only_new=True).mark(page(None)).marks.note == NO_EARLIER_SCAN


def test_without_an_option_nothing_is_compared() -> None:
    assert Gate().mark(page(EARLIER)) == page(EARLIER)


def test_rules_that_could_not_be_compared_are_named() -> None:
    uncertain = EARLIER.model_copy(update={"uncertain": ("image-alt",)})

    assert Gate(only_new=True).mark(page(uncertain)).marks.note.endswith("may be new: image-alt")
    assert Gate(baseline=baseline()).mark(page(None, trimmed=3)).marks.note.endswith("may be new: image-alt")


@pytest.mark.parametrize(
    ("path", "marks", "note"),
    [
        ("/tea.html", ["new", "new"], NO_SUCH_ROUTE),  # as releases that knew no routes wrote it
        ("/tea.html#/cart", ["new", "new"], ""),
        ("/tea.html#/pay", ["known", "new"], ""),
        ("/other.html", ["new", "new"], ""),
    ],
)
def test_a_barrier_of_a_route_is_known_by_its_route_alone(path: str, marks: list[str], note: str) -> None:
    result = sample.scan_result("/tea.html#/pay", sample.finding(nodes=2))

    marked = Gate(baseline=baseline("image-alt-n0", path=path)).mark(page_of(result))

    assert (list(marks_of(marked).values()), marked.marks.note) == (marks, note)


def test_a_new_barrier_that_the_result_does_not_list_is_remembered() -> None:
    changes = Changes(previous="s1", new=("not-listed",))

    assert Gate(only_new=True).mark(page(changes, trimmed=3)).marks.unlisted_known == frozenset()
    assert Gate(only_new=True).mark(page(Changes(previous="s1"), trimmed=3)).marks.unlisted_known == {"fp-image-alt"}


def compared(*new: str, previous: str | None = "s1", **changes: Any) -> Changes:
    """Changes by component: ``new`` are ids."""
    listed = tuple(ComponentChange(issue_id=one, name=components.NAMES[one], rule="r") for one in new)
    return Changes(previous=previous, new_components=listed, **changes)


def with_changes(page: Page, changes: Changes | None) -> Page:
    assert page.result is not None
    return page_of(page.result.model_copy(update={"changes": changes}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (compared(), ["known"] * 3),
        (compared(new=("label-n0",)), ["known"] * 3),  # a second element of a known component
        (compared(components.HEADER), ["known", "known", "new"]),
        (compared(components.CARD, previous=None), ["new", "new", "known"]),
        (compared(new=("label-n0",), components_left_out=3), ["known", "known", "new"]),
        (Changes(previous="s1", new=("label-n0",)), ["known", "known", "new"]),  # of a worker of 5e536ef
        (Changes(), ["new"] * 3),
    ],
)
def test_a_component_is_new_where_the_site_did_not_have_it(changes: Changes, expected: list[str]) -> None:
    marked = Gate(only_new=True).mark(with_changes(components.pages(2)[1], changes))

    assert list(marks_of(marked).values()) == expected


def test_an_element_of_an_unnamed_component_is_known_by_itself_alone() -> None:
    [page] = components.pages(1)
    nodes = tuple(node.model_copy(update={"unnamed": True}) for node in page.findings[0].nodes)
    unnamed = page_of(sample.scan_result("/new", page.findings[0].revised(nodes=nodes)))
    gates = Gate(only_new=True), Gate(baseline=renewed(Baseline(), components.pages(1)))

    marked = [gate.mark(with_changes(unnamed, compared(new=("label-n0",)))) for gate in gates]
    assert [list(marks_of(one).values()) for one in marked] == [["new"], ["new"]]
    assert renewed(Baseline(), [unnamed]) == Baseline(frozenset({Barrier("/new", "label", "label-n0")}))


def test_a_first_scan_of_a_page_says_by_what_its_components_are_known() -> None:
    both = components.HEADER, components.CARD
    notes = [
        Gate(only_new=True).mark(with_changes(components.pages(2)[1], changes)).marks.note
        for changes in (*(compared(*new, previous=None) for new in (both, both[:1], ())), None)
    ]

    assert notes == [NO_EARLIER_SCAN, NO_EARLIER_SCAN_OF_PAGE, "", NO_EARLIER_SCAN]


def test_a_new_component_without_a_listed_element_is_remembered() -> None:
    marked = Gate(only_new=True).mark(with_changes(components.pages(1)[0], compared(components.CARD)))

    assert marked.marks.unlisted_known == frozenset()


def test_a_baseline_by_component_knows_it_on_every_page_and_every_site() -> None:
    first, second = components.pages(2)
    gate = Gate(baseline=renewed(Baseline(), [first]))
    other_site = components.HEADER.replace("00c0ffee", "0badcafe")
    nodes = tuple(node.model_copy(update={"issue_id": other_site}) for node in second.findings[-1].nodes)
    moved = page_of(sample.scan_result("/new", second.findings[-1].revised(nodes=nodes)))

    assert list(marks_of(gate.mark(second)).values()) == ["new", "new", "known"]
    assert list(marks_of(gate.mark(moved)).values()) == ["known"]


def test_known_components_on_further_pages_are_reported_once() -> None:
    spread = [
        SpreadComponent(issue_id=components.HEADER, name=components.NAMES[components.HEADER], rule="label", group=group)
        for group in ("", "checkout")
    ]
    marked = [
        Gate(only_new=True).mark(with_changes(page, compared(spread_components=(one,))))
        for page, one in zip(components.pages(2), spread, strict=True)
    ]

    [line] = [line for line in remarks(marked) if "did not have them" in line]
    assert line.endswith(f"before, not counted: {components.NAMES[components.HEADER]} (2 pages, new in checkout)")
    assert [line for line in remarks(components.pages(2)) if "did not have" in line] == []


def test_waivers_in_force_are_told_from_expired_ones_and_others_are_left_out() -> None:
    gate = Gate()
    gate.take_waivers(
        [
            Waiver("image-alt-n0", "until today", TODAY),
            Waiver("image-alt-n1", "until yesterday", date(2026, 11, 22)),
            Waiver("elsewhere", "on no page here"),
        ],
        today=TODAY,
    )

    marks = gate.mark(page(None)).marks

    assert list(marks.waivers) == ["image-alt-n0"]
    assert list(marks.expired) == ["image-alt-n1"]


def test_a_waived_component_is_waived_on_all_its_pages_and_the_rule_elsewhere_counts() -> None:
    gate = Gate()
    gate.take_waivers([Waiver(components.HEADER, "new header in March"), Waiver("label-n1", "x")], today=TODAY)

    marked = [gate.mark(one) for one in components.pages(3)]

    assert [one.marks.mark(one.findings[-1], one.findings[-1].nodes[0]) for one in marked] == ["waived"] * 3
    assert {finding.rule for one in marked for finding in one.counted.findings} == {"image-alt"}


def test_a_page_without_a_result_has_nothing_to_mark() -> None:
    dead = sample.not_scanned()[3]

    assert Gate(only_new=True).mark(dead) == dead


def test_a_finding_that_needs_review_counts_where_the_gate_asks_for_its_rule() -> None:
    review = sample.finding("live-trap", nodes=2).revised(outcome="incomplete", engine="live")
    result = sample.scan_result("/tea.html").model_copy(update={"incomplete": (review,), "changes": EARLIER})

    plain, asked = (
        Gate().mark(page_of(result)),
        Gate(only_new=True, count_review=frozenset({"live-trap"})).mark(page_of(result)),
    )

    assert (plain.outcome, len(plain.findings)) == ("passed", 0)
    assert (asked.outcome, [one.engine for one in asked.findings]) == ("barriers", ["live"])
    assert marks_of(asked) == {"live-trap-n0": "new", "live-trap-n1": "new"}


def test_the_known_barriers_of_a_rule_whose_reviews_count_stay_known() -> None:
    failed = sample.finding("color-contrast", nodes=1)
    review = sample.finding("color-contrast", nodes=2).revised(outcome="incomplete")
    review = review.revised(nodes=review.nodes[1:], node_count=1)
    result = sample.scan_result("/tea.html", failed, incomplete=(review,))
    gate = Gate(only_new=True, count_review=frozenset({"color-contrast"}))

    marked = gate.mark(page_of(result.model_copy(update={"changes": Changes(previous="s1")})))

    assert marks_of(marked) == {"color-contrast-n0": "known", "color-contrast-n1": "new"}
