"""The gate: a page's previous scan, a baseline and waivers, put as marks on its barriers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from producer.cli.scan.baseline import Barrier
from producer.cli.scan.gate import NO_EARLIER_SCAN, NO_SUCH_ROUTE, Gate
from producer.contract import Changes
from producer.contract.waiver import Waiver
from producer.reports.page import Page, page_of
from tests.unit.reports import component_pages as components
from tests.unit.reports import sample_pages as sample

TODAY = date(2026, 11, 23)
EARLIER = Changes(previous="s1", new=("image-alt-n1",))


def page(changes: Changes | None, *, trimmed: int = 0) -> Page:
    result = sample.scan_result("/tea.html", sample.finding(nodes=2, trimmed=trimmed))
    return page_of(result.model_copy(update={"changes": changes}))


def marks_of(marked: Page) -> Any:
    return marked.document()["marks"]["barriers"]


def baseline(*fingerprints: str, path: str = "/tea.html") -> frozenset[Barrier]:
    return frozenset(Barrier(path, "image-alt", fingerprint) for fingerprint in fingerprints)


@pytest.mark.parametrize(
    ("gate", "changes", "expected"),
    [
        (Gate(only_new=True), EARLIER, ["known", "new"]),
        (Gate(only_new=True), None, ["new", "new"]),
        (Gate(only_new=True), Changes(), ["new", "new"]),
        (Gate(baseline=baseline("image-alt-n1")), EARLIER, ["new", "known"]),
        (Gate(baseline=baseline("image-alt-n1", path="/other.html")), EARLIER, ["new", "new"]),
        (Gate(baseline=frozenset()), EARLIER, ["new", "new"]),
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

    assert Gate(only_new=True).mark(page(uncertain)).marks.note.endswith("count as known: image-alt")
    assert Gate(baseline=baseline()).mark(page(None, trimmed=3)).marks.note.endswith("count as known: image-alt")


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


def test_a_new_barrier_that_the_result_does_not_list_is_kept_in_mind() -> None:
    changes = Changes(previous="s1", new=("not-listed",))

    assert Gate(only_new=True).mark(page(changes, trimmed=3)).marks.unlisted_new


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
