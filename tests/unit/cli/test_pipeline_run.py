"""The pipeline run of a scan: from the variables of CI systems, or as given."""

from __future__ import annotations

import pytest

from producer.cli.scan.options import ScanOptions
from producer.cli.scan.pipeline_run import pipeline_run
from producer.cli.scan.run import run_of
from producer.cli.scan.submit import ScanPlan


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"GITHUB_RUN_ID": "12", "GITHUB_REPOSITORY": "o/shop", "GITHUB_RUN_ATTEMPT": "2"}, "o/shop/12"),
        ({"GITHUB_RUN_ID": "12"}, "12"),
        ({"CI_PIPELINE_ID": "7", "CI_JOB_ID": "99"}, "7"),
        ({"BUILD_TAG": "jenkins-shop-31", "BUILD_NUMBER": "31"}, "jenkins-shop-31"),
        ({"BUILD_NUMBER": "31"}, ""),
        ({"DRONE_BUILD_NUMBER": "3"}, ""),
        ({"DRONE_REPO": "o/shop", "DRONE_BUILD_NUMBER": "3"}, "o/shop/3"),
        ({"CI_PIPELINE_ID": " "}, ""),
        ({}, ""),
    ],
)
def test_a_run_is_known_by_what_stays_when_it_is_repeated(variables: dict[str, str], name: str) -> None:
    assert pipeline_run(variables) == name


def test_a_scan_is_of_the_pipeline_s_run_if_it_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_RUN_ID", "GITHUB_REPOSITORY", "BUILD_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CI_PIPELINE_ID", "7")

    assert run_of(ScanOptions(only_new=True)) == "7"
    assert run_of(ScanOptions(only_new=True, run="mine")) == run_of(ScanOptions(run="mine")) == "mine"
    assert run_of(ScanOptions()) == ""  # a scan before it, to have something to compare with, is of no run


def test_a_name_from_the_environment_fits_into_a_request() -> None:
    assert pipeline_run({"BUILD_TAG": "a\nb" + "c" * 300}) == "c" * 200


def test_the_run_is_in_the_payload_and_in_no_job_id() -> None:
    first, again = (ScanPlan(("https://shop.example/",), {}, "b", run=run) for run in ("7", ""))

    assert [payload.get("run") for payload in first.payloads()] == ["7"]
    assert list(first.job_ids()) == list(again.job_ids())
