"""The exit code: pages that were not scanned outrank findings."""

from __future__ import annotations

import pytest

from producer.cli.scan.gate import exit_code, threshold
from producer.contract import Impact
from producer.reports.page import Page, page_of
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample

SERIOUS = page_of(sample.scan_result("/x", sample.finding(impact=Impact.SERIOUS)))


@pytest.mark.parametrize(
    ("pages", "fail_on", "timed_out", "expected"),
    [
        ([sample.passed()], "minor", False, 0),
        ([SERIOUS], "critical", False, 0),
        ([SERIOUS], "serious", False, 1),
        ([SERIOUS], "never", False, 0),
        ([sample.passed(), *sample.not_scanned()[:1]], "never", False, 2),
        ([SERIOUS, *sample.not_scanned()[:1]], "minor", False, 2),
        ([SERIOUS, sample.not_scanned()[-1]], "minor", True, 3),
        ([], "minor", False, 0),
    ],
)
def test_the_exit_code(pages: list[Page], fail_on: str, timed_out: bool, expected: int) -> None:
    summary = summarise(pages, fail_on=threshold(fail_on))

    assert exit_code(summary, timed_out=timed_out) == expected
