"""Two routes of one document are two pages in every report."""

from __future__ import annotations

import pytest

from producer.reports.formats import FORMATS
from producer.reports.page import page_of
from tests.unit.reports import sample_pages as sample


@pytest.mark.parametrize("name", FORMATS)
def test_two_routes_of_one_document_are_two_pages(name: str):
    results = [sample.scan_result(f"/app.html#/{route}", sample.finding()) for route in ("pay", "cart")]

    text = sample.render(name, [page_of(result) for result in results])

    escaped = name == "sarif"
    for route in ("pay", "cart"):
        assert (f"app.html%23%2F{route}" if escaped else f"app.html#/{route}") in text


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_in_a_page_and_a_password_are_in_no_report(name: str):
    result = sample.scan_result("/tea.html", sample.finding())

    text = sample.render(name, [page_of(result, url="https://user:hunter2@shop.example/tea.html#top")])

    assert "tea.html" in text
    assert "hunter2" not in text
    assert "tea.html#top" not in text
