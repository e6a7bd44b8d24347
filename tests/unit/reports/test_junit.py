"""JUnit: failures by the threshold, errors for what was not scanned, and only what Jenkins' XSD knows."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from junitparser import TestSuite

from producer.contract import Impact
from producer.reports.page import Page
from tests.unit.reports import sample_pages as sample

KNOWN = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
    "testcase": {"name", "time", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}
"""Elements and attributes of the report, all of them in Jenkins' junit-10.xsd (which has no skipped="" at the root)."""


def parse(pages: list[Page], *, fail_on: Impact | None = Impact.SERIOUS) -> ET.Element:
    return ET.fromstring(sample.render("junit", pages, fail_on=fail_on))  # noqa: S314  our own output


def outcomes(root: ET.Element) -> dict[str, str]:
    return {
        case.get("name", "").partition(":")[0]: next((one.tag for one in case if one.tag != "system-out"), "passed")
        for case in root.iter("testcase")
    }


@pytest.mark.parametrize(
    ("fail_on", "image", "viewport"),
    [
        (Impact.SERIOUS, "failure", "skipped"),
        (Impact.MINOR, "failure", "failure"),
        (None, "skipped", "skipped"),
    ],
)
def test_a_finding_fails_at_and_over_the_threshold_and_is_skipped_under_it(
    fail_on: Impact | None, image: str, viewport: str
) -> None:
    root = parse([sample.with_barriers()], fail_on=fail_on)

    assert outcomes(root) == {"page was scanned": "passed", "image-alt": image, "meta-viewport": viewport}


@pytest.mark.parametrize("page", sample.not_scanned(), ids=lambda page: page.outcome)
def test_a_page_that_was_not_scanned_is_an_error(page: Page) -> None:
    root = parse([page])

    assert outcomes(root)["page was scanned"] == "error"
    assert root.get("errors") == "1"


def test_a_page_without_findings_is_seen_to_have_been_scanned() -> None:
    assert outcomes(parse([sample.passed()])) == {"page was scanned": "passed"}


def test_each_finding_appears_once_and_the_counts_are_true() -> None:
    root = parse(sample.every_kind())

    assert len(list(root.iter("testcase"))) == int(root.get("tests", "0")) == 9 + 3
    assert len(list(root.iter("failure"))) == int(root.get("failures", "0")) == 2
    assert len(list(root.iter("error"))) == int(root.get("errors", "0")) == 7


def test_only_elements_and_attributes_of_the_jenkins_schema_are_written() -> None:
    root = parse([*sample.every_kind(), sample.hostile()])

    unknown = {(item.tag, name) for item in root.iter() for name in item.attrib if name not in KNOWN[item.tag]}
    assert unknown == set()


def test_a_page_took_as_long_as_its_scan() -> None:
    [suite] = parse([sample.passed()])

    assert float(suite.get("time", "0")) == 1.25


def test_a_page_is_not_compared_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []

    def equals(suite: object, other: object) -> bool:
        compared.append(suite)
        return suite is other

    monkeypatch.setattr(TestSuite, "__eq__", equals)
    root = parse([sample.with_barriers(), sample.passed(), *sample.not_scanned()])

    assert len(root) == 9
    assert compared == [], "5,000 pages took 17 s"
