"""Reports of pages in several states: one row per component barrier, each element once, with its states."""

from __future__ import annotations

import csv
import io
import json

import pytest

from producer.contract import Finding, ScanStatus
from producer.reports.components import by_component
from producer.reports.mended import mended_lines
from producer.reports.page import Page, page_of
from producer.reports.states import only_text
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import CARD, HEADER, finding


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
