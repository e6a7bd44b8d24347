"""A model's proposals for elements that need review: shown by every report as proposals, counted by none."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree as ET

import pytest

from producer.contract import Impact, MeasuredContrast
from producer.reports.markdown import MAX_CHARS
from producer.reports.sarif import PROPOSALS
from tests.unit.reports import sample_pages as sample

FORMATS = ("table", "json", "jsonl", "csv", "markdown", "junit", "sarif", "html")


def verdicts(verdict: sample.Verdict, number: int) -> list[sample.Verdict]:
    return [verdict] * number


@pytest.mark.parametrize("name", FORMATS)
def test_every_report_shows_a_proposal_with_its_model(name: str) -> None:
    with_it = sample.render(name, [sample.with_proposals("barrier")])
    without = sample.render(name, [sample.with_proposals()])

    assert "The words lie on a photograph." in with_it
    assert "m:1b" in with_it.replace("&#58;", ":")
    assert "m:1b" not in without.replace("&#58;", ":")


def test_the_table_puts_barriers_first_and_says_who_decides() -> None:
    text = sample.render("table", [sample.with_proposals("no_barrier", "cannot_tell", "barrier")])

    start = text.index("review  ")
    assert text[start:].splitlines()[:7] == [
        "review  m:1b proposes for 3 elements: barrier 1, no barrier 1, cannot tell 1",
        "    needs a decision",
        "    /photo.html  #color-contrast-2  color-contrast",
        "      barrier: The words lie on a photograph. Look at: The sky.",
        "    /photo.html  #color-contrast-1  color-contrast",
        "      cannot tell: The words lie on a photograph. Look at: The sky.",
        "    /photo.html  #color-contrast-0  color-contrast",
    ]
    assert text.splitlines()[-3:] == [
        "1 page: 0 with barriers, 1 without",
        "1 finding to review",
        "0 pages with findings that are serious or worse",
    ]


def test_the_table_shows_the_first_few_and_how_many_more() -> None:
    text = sample.render("table", [sample.with_proposals(*verdicts("barrier", 7))])

    assert text.count("barrier: The words") == 4
    assert "and 3 more elements; all are in the HTML report" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_of_a_long_proposal_is_wider_than_the_terminal(width: int) -> None:
    text = sample.render("table", [sample.with_proposals("barrier", why="word " * 300)], width=width)

    assert max(map(len, text.splitlines())) <= width


def test_markdown_collapses_proposals_below_the_rules() -> None:
    text = sample.render("markdown", [sample.with_barriers(), sample.with_proposals("barrier", "no_barrier")])

    block = text[text.index("<details><summary><b>needs a person's decision</b>") :]
    assert "m&#58;1b proposes for 2 elements&#58; barrier 1, no barrier 1</summary>" in block
    assert "- `/photo.html` `#color-contrast-0` color-contrast: barrier\\: The words lie on a photograph." in block
    assert "2 findings to review." in text
    assert text.index("image-alt") < text.index("needs a person's decision")


def test_markdown_fits_into_a_comment_with_any_number_of_proposals() -> None:
    pages = [sample.with_proposals(*verdicts("barrier", 30), why="*|`@all " * 100) for _ in range(50)]

    text = sample.render("markdown", pages)

    assert len(text) <= MAX_CHARS
    assert "… and 1,480 more elements; all are in the other reports." in text


def test_csv_has_proposals_in_separate_columns() -> None:
    text = sample.render("csv", [sample.with_proposals("cannot_tell", why="=1+1")])

    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert (first["kind"], first["proposal"], first["proposed_by"]) == ("needs review", "cannot tell", "m:1b")
    assert first["proposal_why"] == "'=1+1 Look at: The sky."
    assert (second["kind"], second["proposal"], second["proposal_why"]) == ("needs review", "", "")


def test_junit_has_proposals_in_the_output_of_the_page_and_fails_nothing() -> None:
    root = ET.fromstring(sample.render("junit", [sample.with_proposals("barrier")], fail_on=Impact.MINOR))  # noqa: S314  our own output

    (case,) = root.iter("testcase")
    assert case.findtext("system-out") == (
        "needs review: color-contrast: Text needs contrast (2 elements)\n"
        "  #color-contrast-0: proposed by m:1b, not counted: barrier: The words lie on a photograph. "
        "Look at: The sky."
    )
    assert (root.get("failures"), root.get("errors"), case.find("failure")) == ("0", "0", None)


def test_sarif_has_proposals_outside_the_results_so_that_none_raises_an_alert() -> None:
    (run,) = json.loads(sample.render("sarif", [sample.with_proposals("no_barrier")]))["runs"]

    assert run["results"] == []
    assert run["properties"]["needsReview"] == 1
    assert run["properties"]["proposals"] == [
        {
            "url": "https://shop.example/photo.html",
            "rule": "color-contrast",
            "element": "#color-contrast-0",
            "fingerprint": "color-contrast-n0",
            "verdict": "no barrier",
            "why": "The words lie on a photograph.",
            "lookAt": "The sky.",
            "proposedBy": "m:1b",
        }
    ]


def test_sarif_keeps_a_limited_number_of_proposals_with_barriers_first() -> None:
    page = sample.with_proposals(*verdicts("no_barrier", PROPOSALS), "barrier")

    (run,) = json.loads(sample.render("sarif", [page]))["runs"]

    listed = run["properties"]["proposals"]
    assert (len(listed), listed[0]["verdict"]) == (PROPOSALS, "barrier")


@pytest.mark.parametrize("name", FORMATS)
def test_a_proposal_about_a_hostile_page_is_fit_to_print(name: str) -> None:
    text = sample.render(name, [sample.with_proposals("barrier", why=sample.HOSTILE)])

    assert "\x1b[2J" not in text
    assert name in {"json", "jsonl", "csv", "sarif", "table"} or "<script>steal()" not in text
    assert name == "html" or "\n::error::x" not in text


DIM = MeasuredContrast(lowest=1.9, highest=2.1, needed=4.5, verdict="fails")
MIXED = MeasuredContrast(lowest=1.0, highest=21.0, needed=3.0, verdict="undecided")
PLAIN = MeasuredContrast(lowest=12.6, highest=12.6, needed=4.5, verdict="passes")


@pytest.mark.parametrize("name", FORMATS)
def test_every_report_shows_a_measured_contrast_and_counts_nothing_of_it(name: str) -> None:
    page = sample.with_contrast(DIM)
    text = sample.render(name, [page], fail_on=Impact.MINOR)

    shown = '"lowest"' if name in {"json", "jsonl", "sarif"} else "contrast measured 1.9:1 to 2.1:1, needs 4.5:1"
    assert shown in text.replace("\\", "")
    assert "fails" in text
    assert page.outcome == "passed"
    assert "1.9:1" not in sample.render(name, [sample.with_proposals()])


def test_the_table_puts_what_fails_first_and_says_of_how_many() -> None:
    text = sample.render("table", [sample.with_contrast(PLAIN, DIM, MIXED)], width=100)

    start = text.index("review  ")
    assert text[start:].splitlines()[:7] == [
        "review  contrast measured for 3 of 4 elements: fails 1, undecided 1, passes 1  needs a decision",
        "    /photo.html  #color-contrast-1  color-contrast",
        "      fails: contrast measured 1.9:1 to 2.1:1, needs 4.5:1",
        "    /photo.html  #color-contrast-2  color-contrast",
        "      undecided: contrast measured 1:1 to 21:1, needs 3:1",
        "    /photo.html  #color-contrast-0  color-contrast",
        "      passes: contrast measured 12.6:1, needs 4.5:1",
    ]


def test_markdown_has_room_for_both_ratios_and_proposals() -> None:
    many = [sample.with_contrast(*[DIM] * 40) for _ in range(30)]
    said = [sample.with_proposals(*verdicts("barrier", 30), why="*|`@all " * 100) for _ in range(30)]

    text = sample.render("markdown", [*many, *said])

    assert len(text) <= MAX_CHARS
    assert text.count("<b>needs a person's decision</b>") == 2
    assert "contrast measured for 1,200 of 1,230 elements" in text.replace("&#58;", ":")
