"""A category tells reports of two sites and of two states of one site apart."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from producer.contract import JsonObject
from producer.reports.category import category_of, states_of
from producer.reports.formats import ReportContext, load_report
from producer.reports.page import page_of, refused_page
from tests.unit.reports import sample_pages as sample


def page(url: str):
    return replace(sample.passed(), url=url)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, "sightline/shop.example"),
        ({"viewport": {"width": 1280, "height": 800}}, "sightline/shop.example"),
        ({"viewport": {"width": 390, "height": 844}}, "sightline/shop.example/390x844"),
    ],
)
def test_a_category_is_made_of_site_and_state(request_: JsonObject, expected: str) -> None:
    assert category_of([sample.passed(), refused_page("x", "y")], states_of(request_)) == expected


def test_ports_are_sites_and_many_sites_are_counted() -> None:
    many = [page(f"http://localhost:{8000 + n}/") for n in range(5)]

    assert category_of(many[:2]) == "sightline/localhost:8000+localhost:8001"
    assert category_of(many).endswith("+2 more")


@pytest.mark.parametrize(
    ("named", "expected"), [("preview/", "preview"), ("--> <b>x", "- -b-x"), ("a" * 500, "a" * 150)]
)
def test_a_chosen_category_is_kept_and_can_end_no_comment(named: str, expected: str) -> None:
    assert category_of([], named=named) == expected


def test_sarif_and_markdown_carry_it() -> None:
    context = ReportContext(sample.AT, category="sightline/shop.example/390x844")
    sarif, markdown = io.StringIO(), io.StringIO()

    load_report("sarif")([page_of(sample.scan_result())], context, sarif)
    load_report("markdown")([page_of(sample.scan_result())], context, markdown)

    assert json.loads(sarif.getvalue())["runs"][0]["automationDetails"] == {"id": "sightline/shop.example/390x844/"}
    assert markdown.getvalue().startswith("<!-- sightline: sightline/shop.example/390x844 -->\n## ")


def test_a_report_of_earlier_scans_has_the_states_of_its_pages() -> None:
    dark = replace(sample.passed(), state="dark")

    assert category_of([dark, refused_page("x", "y")]) == "sightline/shop.example/dark"
    assert category_of([dark, sample.passed()]) == "sightline/shop.example/dark+default"
