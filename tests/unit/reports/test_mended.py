"""Fixed barriers are named by the component that other pages still have, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from producer.contract import Changes, Finding
from producer.contract.findings import ComponentChange
from producer.reports.marks import Marks
from producer.reports.mended import HEADING, mended_lines
from producer.reports.page import Page, page_of
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import CARD, HEADER, NAMES, finding, pages


def page(path: str, *findings: Finding, fixed: Sequence[str] = (), known: Sequence[str] | None = None) -> Page:
    """A page that differs from its previous scan by ``fixed``, and has the baseline ``known``."""
    changes = Changes(previous="p", fixed=tuple(fixed))
    result = sample.scan_result(path, *findings).model_copy(update={"changes": changes})
    return replace(page_of(result), marks=Marks(known=None if known is None else frozenset(known)))


HEADER_LINE = f"{NAMES[HEADER]}: fixed on 2 pages, still on 1 page ({HEADER})"


def mended() -> list[Page]:
    """The header is mended on two of three pages: since the previous scan of one, against the baseline on the other."""
    return [
        page("/still", finding("label", HEADER)),
        page("/scanned", fixed=["label-n0"]),
        page("/baseline", known=["label-n0"]),
    ]


@pytest.mark.parametrize("name", ["table", "markdown", "html"])
def test_a_component_fixed_on_some_pages_is_named_in_the_same_words(name: str) -> None:
    text = sample.render(name, mended(), width=200)

    assert HEADING in text
    assert HEADER_LINE in text.replace("\\", ""), "Markdown escapes the colon"


@pytest.mark.parametrize("name", ["table", "markdown", "html"])
def test_a_report_without_fixed_components_does_not_mention_any(name: str) -> None:
    assert HEADING not in sample.render(name, pages(3))


def test_a_component_that_is_gone_from_all_pages_is_named_from_the_results() -> None:
    gone = ComponentChange(issue_id=CARD, name=NAMES[CARD], rule="image-alt")
    changes = Changes(previous="p", fixed=("image-alt-n0",), new_components=(), mended_components=(gone,))
    lost = [page_of(sample.scan_result(f"/{n}").model_copy(update={"changes": changes})) for n in range(3)]

    assert mended_lines(lost) == [f"{NAMES[CARD]}: fixed on 3 pages ({CARD})"]
    assert mended_lines([*lost, page("/9", finding("image-alt", CARD))]) == [
        f"{NAMES[CARD]}: fixed on 3 pages, still on 1 page ({CARD})"
    ]


def test_elements_of_components_that_no_page_names_are_counted() -> None:
    lost = [page("/1", fixed=["gone", "lost"]), page("/2", fixed=["gone"])]

    assert mended_lines(lost) == ["3 elements fixed on 2 pages, of components that this report cannot name"]


def test_a_component_with_fewer_elements_than_before_is_not_fixed() -> None:
    fewer = page("/1", finding("image-alt", CARD), fixed=["image-alt-n1"])
    other = page("/2", finding("image-alt", CARD, nodes=2))

    assert mended_lines([fewer, other]) == []


def test_an_element_that_may_be_of_two_components_is_not_named() -> None:
    both = [page("/1", finding("label", HEADER)), page("/2", finding("label", CARD)), page("/3", fixed=["label-n0"])]

    assert mended_lines(both) == ["1 element fixed on 1 page, of components that this report cannot name"]


def test_the_name_comes_from_no_other_site() -> None:
    elsewhere = replace(page("/1", finding("label", HEADER)), url="https://other.example/")

    [line] = mended_lines([elsewhere, page("/2", fixed=["label-n0"])])

    assert NAMES[HEADER] not in line


def test_a_barrier_on_an_unread_part_of_a_page_is_not_fixed() -> None:
    unread = replace(page("/2", known=["label-n0"], fixed=["label-n0"]), outcome="partial")
    trimmed = page("/3", finding("image-alt", CARD, trimmed=5), known=["label-n0"])

    assert mended_lines([page("/1", finding("label", HEADER)), unread, trimmed]) == []
