"""Two routes of one document are two pages in every report."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote

import pytest

from producer.reports.formats import FORMATS
from producer.reports.page import page_of
from producer.reports.remarks import remarks
from tests.unit.reports import sample_pages as sample

PAGES: Final[dict[str, Callable[[str], Iterable[str]]]] = {
    "table": lambda text: re.findall(r"^(/app\S*) +barriers", text, re.MULTILINE),
    "json": lambda text: [page["url"] for page in json.loads(text)["pages"]],
    "jsonl": lambda text: [json.loads(line)["url"] for line in text.splitlines()],
    "csv": lambda text: [row["page"] for row in csv.DictReader(io.StringIO(text))],
    "markdown": lambda text: re.findall(r"^\| `(\S+)` \|", text, re.MULTILINE),
    "junit": lambda text: re.findall(r'<testsuite name="(\S+)"', text),
    "sarif": lambda text: [made["location"]["uri"] for made in json.loads(text)["runs"][0]["artifacts"]],
    "gitlab": lambda text: [made["location"]["path"] for made in json.loads(text)],
    "html": lambda text: re.findall(r'class="address"><a href="(\S+)"', text),
}
"""How a reader of each format tells its pages apart."""


@pytest.mark.parametrize("name", FORMATS)
def test_two_routes_of_one_document_are_two_pages(name: str):
    results = [sample.scan_result(f"/app.html#/{route}", sample.finding()) for route in ("pay", "cart")]

    text = sample.render(name, [page_of(result) for result in results])

    pages = [unquote(page) for page in PAGES[name](text)]
    assert sorted(page[page.index("/app") :] for page in pages) == ["/app.html#/cart", "/app.html#/pay"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_in_a_page_and_a_password_are_in_no_report(name: str):
    result = sample.scan_result("/tea.html", sample.finding())

    text = sample.render(name, [page_of(result, url="https://user:hunter2@shop.example/tea.html#top")])

    assert "tea.html" in text
    assert "hunter2" not in text
    assert "tea.html#top" not in text


def test_a_route_that_led_to_another_is_reported():
    led = [
        sample.scan_result(f"/app.html#/{asked}").model_copy(update={"final_url": f"{sample.SITE}/app.html#/{shown}"})
        for asked, shown in (("pay", "sign-in"), ("cart", "cart/"))
    ]

    assert remarks(map(page_of, led)) == [
        f"1 page redirected to another address, such as {sample.SITE}/app.html#/pay to {sample.SITE}/app.html#/sign-in"
    ]
