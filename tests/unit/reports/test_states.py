"""Reports of pages in several states: one row per component barrier, each element once, with its states."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date

import pytest

from producer.cli.scan.gate import Gate
from producer.cli.scan.limits import Count, Limits
from producer.contract import Finding, Impact, ScanStatus
from producer.contract.decision import Decision
from producer.reports.components import by_component
from producer.reports.decisions import decision_lines
from producer.reports.marks import Marks
from producer.reports.mended import mended_lines
from producer.reports.page import Page, page_of
from producer.reports.states import only_text
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import CARD, HEADER, NAMES, finding


def shown(path: str, state: str, *findings: Finding, status: ScanStatus = "scanned") -> Page:
    result = sample.scan_result(path, *findings, status=status)
    job = f"job{path.replace('/', '-')}-{state.replace(' ', '-')}"
    return page_of(result.model_copy(update={"page_state": state, "job_id": job}), state=state)


def pages() -> list[Page]:
    """A header that fails everywhere, and cards: two in the dark, of which one also at 390 px."""
    header = finding("label", HEADER)
    return [
        shown("/tea", "", header),
        shown("/tea", "dark", header, finding("image-alt", CARD, nodes=2)),
        shown("/tea", "390 px", header, finding("image-alt", CARD)),
        shown("/cup", "", header),
        shown("/cup", "dark", header),
        shown("/cup", "390 px", header),
    ]


def test_a_component_barrier_is_one_row_and_says_which_states_alone_have_it() -> None:
    found = {one.issue_id: one for one in by_component(pages())}

    header, card = found[HEADER], found[CARD]
    assert (header.node_count, header.page_count, header.only_text) == (2, 2, "")
    assert [page.name for page, _ in header.places] == ["https://shop.example/tea", "https://shop.example/cup"]
    assert (card.node_count, card.page_count, card.only_text) == (2, 1, "only at 390 px and dark")


@pytest.mark.parametrize(
    ("states", "text"),
    [
        (("dark", "iPhone 14, dark"), "only dark"),
        (("", "dark"), "not iPhone 14"),
        (("iPhone 14, dark",), "only iPhone 14 + dark"),
        (("", "iPhone 14, dark"), "only in the default state and iPhone 14 + dark"),
        ((), ""),
    ],
)
def test_a_setting_that_states_share_stands_for_them(states: tuple[str, ...], text: str) -> None:
    assert only_text(states, ("", "dark", "iPhone 14", "iPhone 14, dark")) == text


def test_an_element_with_another_number_in_another_state_is_the_same_one() -> None:
    first, second = finding("image-alt", CARD, nodes=2).nodes
    one = finding("image-alt", CARD)
    found = [shown("/tea", "", one.revised(nodes=(first,))), shown("/tea", "dark", one.revised(nodes=(second,)))]

    assert by_component(found)[0].node_count == 1
    assert summarise(found, fail_on=None).total == 1
    assert json.loads(sample.render("json", found))["component_barriers"][0]["elements"] == 1


def test_a_partially_read_state_fixes_nothing() -> None:
    unread = [shown("/tea", "", status="partial"), shown("/tea", "dark", finding("image-alt", CARD))]

    assert by_component(unread)[0].only == ()


@pytest.mark.parametrize("order", [1, -1])
def test_sums_count_an_element_once_whatever_the_order(order: int) -> None:
    summary = summarise(pages()[::order], fail_on=None)

    assert (summary.total, summary.pages, summary.addresses) == (4, 6, 2)
    assert summary.pages_text == "6 scans (2 pages in 3 states)"


def test_results_without_states_are_counted_as_before() -> None:
    twice = [page_of(sample.scan_result("/tea", finding("label", HEADER))) for _ in range(2)]

    assert summarise(twice, fail_on=None).total == 2
    assert by_component(twice)[0].node_count == 2


@pytest.mark.parametrize("name", ["table", "markdown", "html", "sarif", "junit"])
def test_each_report_says_the_state_and_lists_nothing_twice(name: str) -> None:
    text = sample.render(name, pages())

    assert "only at 390 px and dark" in text
    assert "/tea [dark]" in text


def test_json_and_csv_have_the_state_of_each_scan() -> None:
    document = json.loads(sample.render("json", pages()))
    rows = list(csv.DictReader(io.StringIO(sample.render("csv", pages()))))

    assert [page.get("page_state", "") for page in document["pages"]] == ["", "dark", "390 px"] * 2
    [card] = [one for one in document["component_barriers"] if one["issue_id"] == CARD]
    assert (card["elements"], card["pages"], card["only_in_states"]) == (
        2,
        ["https://shop.example/tea"],
        ["390 px", "dark"],
    )
    assert document["summary"]["states"] == ["", "390 px", "dark"]
    assert {row["state"] for row in rows} == {"", "dark", "390 px"}


def test_a_barrier_that_only_one_of_two_states_lost_is_not_fixed() -> None:
    gone = {"issue_id": HEADER, "name": "Header", "rule": "label"}
    changes = {"previous": "s", "new_components": (), "mended_components": (gone,)}
    dark = shown("/tea", "dark")
    assert dark.result is not None
    result = type(dark.result).model_validate({**dark.result.model_dump(), "changes": changes})

    assert mended_lines([shown("/tea", "", finding("label", HEADER)), page_of(result)]) == []
    assert mended_lines([shown("/tea", ""), page_of(result)]) == [f"Header: fixed on 1 page ({HEADER})"]


def test_an_older_worker_s_result_is_no_pass_in_another_state() -> None:
    page = page_of(sample.scan_result("/tea"), state="dark")

    assert (page.outcome, page.error, page.is_scanned) == ("failed", "WorkerOutdated", False)


def test_what_needs_review_or_was_decided_is_counted_once_for_all_states_in_every_format() -> None:
    card = finding("image-alt", CARD, nodes=2)
    undecided = [_undecided("", card), _undecided("dark", card)]
    gate = Gate(decisions={CARD: Decision(CARD, "barrier", "too light", "Anna", date(2026, 11, 28))})
    decided = [gate.mark(page) for page in undecided]

    numbers = json.loads(sample.render("sarif", undecided))["runs"][0]["properties"]["needsReview"]
    count = Count(Limits(review=0), None)
    for page in reversed(undecided):
        count.add(page)

    assert numbers == summarise(undecided, fail_on=None).needs_review == next(count.measured()).found == 1
    assert decision_lines(undecided) == [f"needs review: {NAMES[CARD]}, image-alt, 2 elements on 1 page ({CARD})"]
    assert decision_lines(decided)[0].startswith("2 elements barrier, decided by Anna")
    assert json.loads(sample.render("json", decided))["summary"]["decided"] == {"barrier": 2}


def _undecided(state: str, card: Finding) -> Page:
    page = shown("/tea", state)
    assert page.result is not None
    return replace(page, result=page.result.revised(incomplete=(card,)))


def test_a_barrier_known_in_one_state_and_new_in_another_fails_in_every_report() -> None:
    card = finding("image-alt", CARD)
    fingerprints = frozenset(node.fingerprint for node in card.nodes)
    found = [
        replace(shown("/tea", "", card), marks=Marks(known=fingerprints)),
        replace(shown("/tea", "dark", card), marks=Marks(known=frozenset())),
    ]

    assert summarise(found, fail_on=Impact.SERIOUS).failing == 1
    assert 'failures="1"' in sample.render("junit", found)
    assert "<dt>new component barrier</dt><dd>1</dd>" in sample.render("html", found)
    assert "Known: " not in sample.render("markdown", found)
    assert "only dark" not in sample.render("table", found)
    assert json.loads(sample.render("json", found))["summary"]["marked"] == {"new": 1}
    [result] = json.loads(sample.render("sarif", found))["runs"][0]["results"]
    assert result["baselineState"] == "new"


def test_the_html_report_counts_scans_where_pages_have_several_states() -> None:
    unread = shown("/cup", "zoom", status="partial")

    text = sample.render("html", [*pages(), unread])
    table = sample.render("table", [*pages(), unread])

    assert "<dt>pages in 4 states</dt><dd>2</dd>" in text
    assert "<dt>scans with barriers</dt><dd>6</dd>" in text
    assert "<dt>scan not completed</dt><dd>1</dd>" in text
    assert "1 scan could not be completed, so this is not a pass." in text
    assert "Not scanned, so not a pass: 1 scan\n" in table


def test_the_json_report_has_the_numbers_of_the_others_whatever_the_order_of_the_scans() -> None:
    first, *rest = pages()

    mixed = json.loads(sample.render("json", [*rest, first]))
    ordered = json.loads(sample.render("json", pages()))

    assert mixed["summary"] == ordered["summary"]
    assert [one["elements"] for one in mixed["component_barriers"]] == [2, 2]
    assert [len(one["pages"]) for one in mixed["component_barriers"]] == [2, 1]
