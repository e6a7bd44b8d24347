"""Pages: what counts as scanned, as a pass and as failing."""

from __future__ import annotations

import pytest

from producer.contract import FunctionResult, Impact
from producer.reports.page import (
    Page,
    by_rule,
    fails,
    impact_of,
    labels,
    page_of,
    priorities,
    refused_page,
    selector_text,
)
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample


def test_only_a_whole_page_without_findings_is_a_pass() -> None:
    outcomes = [page.outcome for page in sample.every_kind()]

    assert outcomes == [
        "passed",
        "barriers",
        "unreachable",
        "blocked",
        "partial",
        "failed",
        "cancelled",
        "refused",
        "waiting",
    ]


@pytest.mark.parametrize("page", sample.not_scanned(), ids=lambda page: page.outcome)
def test_a_page_that_was_not_read_whole_is_not_scanned_and_says_why(page: Page) -> None:
    summary = summarise([page], fail_on=Impact.MINOR)

    assert not page.is_scanned
    assert page.problem
    assert (summary.not_scanned, summary.passed) == (1, 0)


def test_a_job_of_another_kind_is_not_a_scanned_page() -> None:
    page = page_of(FunctionResult(job_id="q1", kind="query"), url="https://shop.example/")

    assert page.outcome == "failed"
    assert "not a scan" in page.problem


def test_a_result_keeps_its_address_where_the_job_lost_it() -> None:
    page = page_of(sample.scan_result("/a?b=c"), url="https://user:secret@shop.example/a?b=c")

    assert page.url == "https://shop.example/a?b=c"


def test_findings_come_worst_first_and_then_most_frequent_first() -> None:
    rare = sample.finding("button-name", nodes=1)
    frequent = sample.finding("label", nodes=5)
    mild = sample.finding("meta-viewport", Impact.MODERATE, nodes=9)

    page = page_of(sample.scan_result("/x", mild, rare, frequent))

    assert [item.rule for item in page.findings] == ["label", "button-name", "meta-viewport"]


@pytest.mark.parametrize(
    ("fail_on", "expected"),
    [(Impact.MINOR, True), (Impact.MODERATE, True), (Impact.SERIOUS, False), (Impact.CRITICAL, False), (None, False)],
)
def test_a_page_fails_at_and_over_the_threshold(fail_on: Impact | None, expected: object) -> None:
    page = page_of(sample.scan_result("/x", sample.finding("meta-viewport", Impact.MODERATE)))

    assert fails(page, fail_on) is expected


def test_a_finding_without_an_impact_does_not_slip_by_the_default_threshold() -> None:
    unrated = sample.finding(impact=None)

    assert impact_of(unrated) == Impact.SERIOUS
    assert fails(page_of(sample.scan_result("/x", unrated)), Impact.SERIOUS)


def test_sums_count_elements_that_were_trimmed_from_the_result() -> None:
    page = page_of(sample.scan_result("/x", sample.finding(nodes=2, trimmed=98)))

    summary = summarise([page], fail_on=None)

    assert summary.elements[Impact.CRITICAL] == 100


def test_what_needs_review_is_counted_apart_and_fails_nothing() -> None:
    page = page_of(sample.scan_result("/x", incomplete=(sample.finding(),)))

    summary = summarise([page], fail_on=Impact.MINOR)

    assert (summary.needs_review, summary.total, summary.failing, summary.passed) == (1, 0, 0, 1)


def test_rules_are_grouped_over_pages_with_the_models_advice() -> None:
    pages = [page_of(sample.scan_result(f"/{n}", sample.finding(nodes=n))) for n in (1, 2)]

    [group] = by_rule(pages)

    assert (group.rule, group.node_count, len(group.places)) == ("image-alt", 3, 2)
    assert group.advice is not None
    assert (group.advice[0].fix, group.advice[1]) == ("mend image-alt", "builtin")


def test_advice_is_found_by_fingerprint() -> None:
    page = sample.with_barriers()

    assert priorities(page)["fp-image-alt"].fix == "mend image-alt"
    assert priorities(sample.passed()) == {}


def test_pages_of_one_site_are_labelled_by_their_path() -> None:
    pages = [*sample.every_kind()]

    assert next(labels(pages)) == "/story.html"
    assert list(labels([refused_page("nonsense", "no")])) == ["nonsense"]


def test_pages_of_several_sites_are_labelled_with_their_host() -> None:
    other = page_of(sample.scan_result("/x"), url="https://other.example:8443/x?y=1")

    assert list(labels([sample.passed(), other])) == ["shop.example/story.html", "other.example:8443/x?y=1"]


def test_a_selector_shows_frames_and_shadow_roots() -> None:
    assert selector_text(("iframe", ("my-app", "button"))) == "iframe » my-app >>> button"


def test_a_page_without_a_result_is_still_a_json_document_with_its_error() -> None:
    document = refused_page("nonsense", "no scheme").document()

    assert document["url"] == "nonsense"
    assert document["error"] == {"type": "InvalidJob", "message": "no scheme"}
