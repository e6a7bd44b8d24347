"""When a page got worse: new serious and critical barriers, and nothing else."""

from __future__ import annotations

from producer.contract import Changes, Impact, ScanResult
from tests.support.scans import finding, scan_result
from worker.agent.assessment.regression import regression


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


def test_what_is_not_new_or_not_serious_or_never_seen_before_is_no_regression() -> None:
    mild = tuple(one.model_copy(update={"impact": Impact.MODERATE}) for one in RESULT.findings)
    moderate = RESULT.model_copy(update={"findings": mild})

    assert regression(RESULT) is None
    assert regression(changed(RESULT)) is None
    assert regression(changed(RESULT, *nodes_of(RESULT, "label"), previous=None)) is None
    assert regression(changed(moderate, *nodes_of(moderate, "label"))) is None
