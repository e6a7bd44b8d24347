"""axe-core's summary of what to fix, in parts and on one line."""

from __future__ import annotations

import pytest

from producer.reports.failure_summary import Step, steps, summary_line
from producer.reports.page import page_of
from tests.unit.reports import sample_pages as sample

AXE = "Fix any of the following:\n  No alt\n  No title\n\nFix all of the following:\n  Role is wrong"


def test_each_part_has_a_heading_and_its_ways() -> None:
    assert steps(AXE) == [
        Step("Fix any of the following:", ("No alt", "No title")),
        Step("Fix all of the following:", ("Role is wrong",)),
    ]
    assert steps("") == []
    assert steps("  alone") == [Step("alone", ())]


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (AXE, "Fix any of the following: No alt; No title. Role is wrong"),
        (
            "Fix all of the following:\n  Role is wrong.\n\nFix any of the following:\n  A\n  B",
            "Role is wrong. Fix any of the following: A; B",
        ),
        ("Fix this", "Fix this"),
        ("Fix any of the following:", "Fix any of the following:"),
        ("", ""),
    ],
)
def test_on_one_line_the_ways_are_told_apart(summary: str, line: str) -> None:
    assert summary_line(summary) == line


@pytest.mark.parametrize("name", ["csv", "junit", "sarif"])
def test_reports_of_one_line_an_element_tell_the_ways_apart(name: str) -> None:
    found = sample.finding()
    node = found.nodes[0].model_copy(update={"failure_summary": AXE})

    text = sample.render(name, [page_of(sample.scan_result("/x", found.model_copy(update={"nodes": (node,)})))])

    assert "Fix any of the following: No alt; No title. Role is wrong" in text
