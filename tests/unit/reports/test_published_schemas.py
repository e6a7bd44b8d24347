"""SARIF and JUnit by the schemas of their owners, and every finding in each of them once."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest

from producer.contract import Impact
from producer.reports.page import Page
from tests.support.published_schemas import SCHEMAS, faults, junit_faults
from tests.unit.reports import sample_pages as sample

RUNS: dict[str, list[Page]] = {
    "nothing": [],
    "one pass": [sample.passed()],
    "every outcome": sample.every_kind(),
    "hostile": [sample.hostile()],
    "marked": sample.marked(),
}


@pytest.mark.parametrize("fail_on", [Impact.SERIOUS, Impact.MINOR, None])
@pytest.mark.parametrize("run", RUNS)
def test_sarif_is_valid(run: str, fail_on: Impact | None) -> None:
    assert faults("sarif-2.1.0.json", json.loads(sample.render("sarif", RUNS[run], fail_on=fail_on))) == []


@pytest.mark.parametrize("fail_on", [Impact.SERIOUS, Impact.MINOR, None])
@pytest.mark.parametrize("run", RUNS)
def test_junit_is_valid(run: str, fail_on: Impact | None) -> None:
    assert junit_faults(sample.render("junit", RUNS[run], fail_on=fail_on)) == []


@pytest.mark.parametrize("run", RUNS)
def test_each_finding_appears_once(run: str) -> None:
    expected = Counter((page.url, finding.rule) for page in RUNS[run] for finding in page.findings)

    sarif = json.loads(sample.render("sarif", RUNS[run]))["runs"][0]["results"]
    junit = ET.fromstring(sample.render("junit", RUNS[run]))  # noqa: S314  our own output

    assert Counter((result["properties"]["url"], result["ruleId"]) for result in sarif) == expected
    cases = [(case.get("classname", ""), case.get("name", "").partition(":")[0]) for case in junit.iter("testcase")]
    assert Counter(case for case in cases if case[1] != "page was scanned") == expected


def test_the_schemas_refuse_invalid_reports() -> None:
    assert faults("sarif-2.1.0.json", {"version": "2.1.0", "runs": [{"tool": {}}]})
    assert junit_faults('<testsuites skipped="1"/>')


def test_the_schemas_are_the_ones_their_readme_names() -> None:
    readme = (SCHEMAS / "README.md").read_text()
    named = [
        (name, start)
        for row in re.findall(r"^\| `.*$", readme, re.MULTILINE)
        for name, start in zip(
            re.findall(r"`([\w.-]+\.(?:json|xsd))`", row.split("|")[1]),
            re.findall(r"`([0-9a-f]+)`", row.split("|")[4]),
            strict=True,
        )
    ]

    digests = {name: hashlib.sha256((SCHEMAS / name).read_bytes()).hexdigest() for name, _ in named}
    assert {path.name for path in SCHEMAS.iterdir() if path.suffix in {".json", ".xsd"}} == set(digests)
    assert [name for name, start in named if not digests[name].startswith(start)] == []
