"""SARIF: each finding once, recognised by its fingerprint, at a location that GitHub accepts."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from producer.contract import Impact
from producer.contract.addresses import relative_uri
from producer.reports import sarif
from producer.reports.page import Page, page_of, refused_page
from tests.unit.reports import sample_pages as sample


def run_of(pages: list[Page]) -> Any:
    log = json.loads(sample.render("sarif", pages))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    return run


def test_each_finding_is_one_result_with_its_fingerprint() -> None:
    run = run_of(sample.every_kind())

    found = [(result["ruleId"], result["properties"]["url"][20:]) for result in run["results"]]
    assert found == [("image-alt", "/tea.html"), ("image-alt", "/half.html"), ("meta-viewport", "/tea.html")]
    assert run["results"][0]["partialFingerprints"] == {
        "sightlineFinding/v1": "fp-image-alt",
        "primaryLocationLineHash": "fp-image-alt",
    }


def test_an_address_of_a_page_makes_no_link_in_a_message() -> None:
    link = "[sign in](https://evil.example/)"
    found = page_of(sample.scan_result(f"/?q={link}", sample.finding()))
    failed = refused_page(f"https://shop.example/?q={link}", f"see {link}")

    run = run_of([found, failed])

    messages = [run["results"][0]["message"]["text"]]
    messages += [told["message"]["text"] for told in run["invocations"][0]["toolExecutionNotifications"]]
    assert len(messages) == 2
    assert all("[sign in\\](https://evil.example/)" in text for text in messages)
    assert not any("in](" in text for text in messages)


def test_braces_of_a_page_are_no_placeholders_of_a_message() -> None:
    found = page_of(sample.scan_result("/?q={0}", sample.finding()))
    failed = refused_page("https://shop.example/{1}", "see {2}")

    run = run_of([found, failed])

    told = run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert "/?q={{0}}" in run["results"][0]["message"]["text"]
    assert ("/{{1}}" in told, "see {{2}}" in told) == (True, True)


def test_a_result_points_at_its_rule() -> None:
    run = run_of(sample.every_kind())

    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [r["ruleId"] for r in run["results"]]
    assert len({rule["id"] for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    ("impact", "level"),
    [
        (Impact.CRITICAL, "error"),
        (Impact.SERIOUS, "error"),
        (Impact.MODERATE, "warning"),
        (Impact.MINOR, "note"),
        (None, "error"),
    ],
)
def test_the_level_follows_the_impact(impact: Impact | None, level: str) -> None:
    run = run_of([page_of(sample.scan_result("/x", sample.finding(impact=impact)))])

    assert run["results"][0]["level"] == level


def test_every_element_is_a_location() -> None:
    run = run_of([sample.with_barriers()])

    places = run["results"][0]["locations"]
    assert [place["logicalLocations"][0]["fullyQualifiedName"] for place in places] == [
        "#image-alt-0",
        "#image-alt-1",
        "#image-alt-2",
    ]


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://shop.example/tea.html", "shop.example/tea.html"),
        ("https://shop.example", "shop.example/index"),
        ("https://shop.example/", "shop.example/index"),
        ("http://127.0.0.1:8080/a b?c=d e&f", "127.0.0.1_8080/a%20b%3Fc=d%20e&f"),
        ("https://bücher.example/ü", "b%C3%BCcher.example/%C3%BC"),
    ],
)
def test_a_location_is_relative_because_github_refuses_other_schemes(url: str, uri: str) -> None:
    made = relative_uri(url)

    assert made == uri
    assert urlsplit(made).scheme == ""


def test_pages_that_were_not_scanned_make_the_invocation_unsuccessful() -> None:
    [invocation] = run_of(sample.every_kind())["invocations"]

    assert invocation["executionSuccessful"] is False
    assert len(invocation["toolExecutionNotifications"]) == 7


def test_a_run_that_scanned_all_pages_is_successful_also_with_findings() -> None:
    [invocation] = run_of([sample.passed(), sample.with_barriers()])["invocations"]

    assert invocation["executionSuccessful"] is True
    assert "toolExecutionNotifications" not in invocation


def test_a_file_stays_within_what_code_scanning_takes_and_says_what_it_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sarif, "RESULTS", 3)
    monkeypatch.setattr(sarif, "ALL_LOCATIONS", 6)
    pages = [
        page_of(sample.scan_result(f"/{impact.value}", sample.finding(impact.value, impact, nodes=5)))
        for impact in (Impact.MINOR, Impact.CRITICAL, Impact.MODERATE, Impact.SERIOUS)
    ]

    run = run_of(pages)

    assert [result["ruleId"] for result in run["results"]] == ["critical", "serious", "moderate"]
    assert {len(result["locations"]) for result in run["results"]} == {2}
    [told] = run["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"].startswith("1 result left out: code scanning takes 3")
    assert run["invocations"][0]["executionSuccessful"] is True


def test_of_too_many_findings_a_waived_one_is_left_out_before_a_milder_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = [*sample.marked(), page_of(sample.scan_result("/new", sample.finding("milder", Impact.MINOR)))]
    monkeypatch.setattr(sarif, "RESULTS", 3)

    kept = run_of(pages)["results"]

    assert sorted(result["ruleId"] for result in kept) == ["image-alt", "label", "milder"]
    assert not any("suppressions" in result for result in kept)
