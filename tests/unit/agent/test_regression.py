"""Regressions of a page: new serious and critical barriers, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from producer.contract import Changes, Impact, ScanResult
from producer.keys import Keys
from tests.support.component_scans import component
from tests.support.scans import finding, scan_result
from worker.agent.assessment.regression import regression, regression_writes


def changed(result: ScanResult, *new: str, previous: str | None = "before") -> ScanResult:
    return result.model_copy(update={"changes": Changes(previous=previous, new=new)})


def nodes_of(result: ScanResult, rule: str) -> list[str]:
    return [node.fingerprint for one in result.findings if one.rule == rule for node in one.nodes]


RESULT = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))


def test_new_serious_barriers_are_counted_by_impact_with_their_rules() -> None:
    new = nodes_of(RESULT, "image-alt")[0]

    about = regression(changed(RESULT, new))

    assert about is not None
    impact = next(one.impact for one in RESULT.findings if one.rule == "image-alt")
    assert about["previous"] == "before"
    assert about["rules"] == ["image-alt"]
    assert about["new"] == 1
    assert about[str(impact or Impact.SERIOUS)] == 1


def alarms(result: ScanResult) -> list[Any]:
    return list(regression_writes(result, Keys("t"), job_id="j", seen_ms=7))


def test_what_is_not_new_or_not_serious_or_never_seen_before_is_no_regression() -> None:
    mild = tuple(one.model_copy(update={"impact": Impact.MODERATE}) for one in RESULT.findings)
    moderate = RESULT.model_copy(update={"findings": mild})

    assert alarms(RESULT) == []
    assert alarms(changed(RESULT)) == []
    assert alarms(changed(RESULT, *nodes_of(RESULT, "label"), previous=None)) == []
    assert alarms(changed(moderate, *nodes_of(moderate, "label"))) == []


def test_an_element_without_a_component_is_news_by_itself_and_a_component_is_where_it_is_counted() -> None:
    [certain] = alarms(changed(RESULT, *nodes_of(RESULT, "label")))
    [counted] = alarms(changed(scan_result(component("cafe")), "cafe-0"))

    assert json.loads(certain.head + "}")["event"] == "scan.regressed"
    assert (certain.is_certain, counted.is_certain) == (True, False)
    assert alarms(changed(scan_result(component("cafe", impact=Impact.MODERATE)), "cafe-0")) == []
