"""CSV: a row per barrier, and no cell that a spreadsheet would execute."""

from __future__ import annotations

import csv
import io

import pytest

from producer.reports.csv import COLUMNS
from producer.reports.page import Page, page_of
from tests.unit.reports import sample_pages as sample


def rows(pages: list[Page]) -> list[dict[str, str]]:
    text = sample.render("csv", pages)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_element_has_a_row_and_every_page_too() -> None:
    found = rows(sample.every_kind())

    assert tuple(found[0]) == COLUMNS
    assert [row["status"] for row in found if not row["rule"]] == [
        "passed",
        "unreachable",
        "blocked",
        "failed",
        "cancelled",
        "refused",
        "waiting",
    ]
    tea = [(row["kind"], row["rule"], row["selector"]) for row in found if row["page"].endswith("/tea.html")]
    assert tea == [
        ("barrier", "image-alt", "#image-alt-0"),
        ("barrier", "image-alt", "#image-alt-1"),
        ("barrier", "image-alt", "#image-alt-2"),
        ("barrier", "meta-viewport", "#meta-viewport-0"),
        ("needs review", "color-contrast", "#color-contrast-0"),
    ]


def test_a_row_tells_the_title_and_the_group_of_its_page() -> None:
    result = sample.scan_result("/cart", sample.finding(), title="Cart").model_copy(update={"group": "shop"})

    [row] = rows([page_of(result)])

    assert (row["title"], row["group"]) == ("Cart", "shop")


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\n=1",
        "  =1",
        "\uff1d1+1",
        "\uff0b1",
        "\uff0d1",
        "\uff20A1",
    ],
)
def test_a_cell_never_begins_as_a_formula(text: str) -> None:
    page = page_of(sample.scan_result("/x", sample.finding(snippet=text)))

    [row] = rows([page])

    assert row["snippet"].startswith("'")


@pytest.mark.parametrize("text", [";=1+1", "x; =1", 'x;"=1', "x;\uff1d1", "x;-2+3;@SUM(A1)"])
def test_no_part_between_semicolons_begins_as_a_formula(text: str) -> None:
    """Spreadsheets of some locales split lines at semicolons, within quotes, too."""
    page = page_of(sample.scan_result("/x", sample.finding(snippet=text)))

    whole = sample.render("csv", [page])

    parts = [part.strip(' "') for part in whole.split(";")[1:]]
    assert parts
    assert all(part.startswith("'") for part in parts)


def test_trimmed_elements_are_reported() -> None:
    found = rows([page_of(sample.scan_result("/x", sample.finding(nodes=1, trimmed=41)))])

    assert [row["what_to_do"] for row in found] == [
        "Fix this",
        "41 more elements, omitted to keep the result small",
    ]
