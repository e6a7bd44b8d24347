"""Marks: known and waived barriers stay in every report and fail nothing; uncertain marks are reported."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date

import pytest

from producer.contract import Impact
from producer.contract.waiver import Waiver
from producer.reports.marks import Marks
from producer.reports.page import Page, fails, page_of
from producer.reports.remarks import remarks
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample

WAIVER = Waiver("image-alt-n0", "the shop is replaced then", date(2027, 1, 31))
SERIOUS = Impact.SERIOUS


def marked(marks: Marks, *, nodes: int = 2, trimmed: int = 0) -> Page:
    """A page with ``image-alt-n0`` and following."""
    return replace(page_of(sample.scan_result("/tea.html", sample.finding(nodes=nodes, trimmed=trimmed))), marks=marks)


@pytest.mark.parametrize(
    ("marks", "is_failing"),
    [
        (Marks(), True),
        (Marks(known=frozenset()), True),
        (Marks(known=frozenset({"image-alt-n0"})), True),
        (Marks(known=frozenset({"image-alt-n0", "image-alt-n1"})), False),
        (Marks(waivers={"image-alt-n0": WAIVER}), True),
        (Marks(waivers={"image-alt-n0": WAIVER}, known=frozenset({"image-alt-n1"})), False),
        (Marks(waivers={"fp-image-alt": replace(WAIVER, fingerprint="fp-image-alt")}), False),
        (Marks(expired={"image-alt-n0": WAIVER}, known=frozenset({"image-alt-n1"})), True),
    ],
)
def test_a_page_fails_by_what_is_neither_known_nor_waived(marks: Marks, is_failing: bool) -> None:
    page = marked(marks)

    assert fails(page, SERIOUS) is is_failing
    assert summarise([page], fail_on=SERIOUS).failing == is_failing
    assert page.outcome == "barriers", "waived or known, it is no pass"


def test_elements_left_out_are_new_by_default() -> None:
    page = marked(Marks(known=frozenset()), trimmed=5)

    assert page.counted.barriers[Impact.CRITICAL] == 7


def test_elements_left_out_are_known_where_the_gate_says_so() -> None:
    known = frozenset({"image-alt-n0"})
    page = marked(Marks(known=known, unlisted_known=frozenset({"fp-image-alt"})), trimmed=5)

    assert page.counted.barriers[Impact.CRITICAL] == 1
    assert summarise([page], fail_on=None).marked == {"known": 6, "new": 1}


def test_a_new_barrier_among_those_left_out_fails_the_page() -> None:
    known = frozenset({"image-alt-n0", "image-alt-n1"})

    assert not fails(marked(Marks(known=known, unlisted_known=frozenset({"fp-image-alt"})), trimmed=5), SERIOUS)
    assert fails(marked(Marks(known=known), trimmed=5), SERIOUS)


@pytest.mark.parametrize(("today", "is_expired"), [(date(2027, 1, 31), False), (date(2027, 2, 1), True)])
def test_a_waiver_holds_through_its_last_day(today: date, is_expired: bool) -> None:
    assert WAIVER.is_expired(today) is is_expired


def test_a_waiver_without_an_end_never_expires() -> None:
    assert not replace(WAIVER, until=None).is_expired(date.max)


def test_remarks_name_what_is_not_counted_and_why() -> None:
    expired = Waiver("image-alt-n2", "too long ago", date(2001, 5, 31))
    marks = Marks(frozenset({"image-alt-n1"}), {"image-alt-n0": WAIVER}, {"image-alt-n2": expired}, note="a note")

    assert remarks([marked(marks, nodes=3), sample.passed()]) == [
        "1 known element not counted",
        "1 element waived until 2027-01-31: the shop is replaced then (image-alt-n0)",
        "1 element no longer waived: the waiver of image-alt-n2 expired on 2001-05-31 (too long ago)",
        "1 page: a note",
    ]


@pytest.mark.parametrize("name", ["table", "json", "jsonl", "csv", "markdown", "junit", "sarif", "html"])
def test_every_format_shows_a_waiver_with_its_reason_and_end(name: str) -> None:
    text = sample.render(name, [marked(Marks(waivers={"image-alt-n0": WAIVER}), nodes=1)], width=120)

    assert "the shop is replaced then" in text
    assert "2027-01-31" in text.replace("\\", "")


@pytest.mark.parametrize("name", ["json", "jsonl", "csv", "markdown", "junit", "sarif", "html"])
def test_every_full_report_tells_new_from_known(name: str) -> None:
    text, plain = (
        sample.render(name, [marked(marks)]) for marks in (Marks(known=frozenset({"image-alt-n0"})), Marks())
    )

    assert text.count("new") > plain.count("new")
    assert text.count("known") > plain.count("known")


def test_the_table_counts_the_new_ones_alone() -> None:
    page = marked(Marks(known=frozenset({"image-alt-n0"})), nodes=3)

    text = sample.render("table", [page], width=120)

    assert "2 new barriers: 2 critical" in text
    assert "1 known element not counted" in text


def test_a_page_of_known_barriers_is_no_pass_in_the_table() -> None:
    text = sample.render("table", [marked(Marks(known=frozenset({"image-alt-n0"})), nodes=1)], width=120)

    row = next(line for line in text.splitlines() if line.startswith("/tea.html"))
    assert row.split() == ["/tea.html", "none", "new", "0", "0", "0", "0"]
    assert "1 with barriers, 0 without" in text


def test_sarif_suppresses_what_is_waived_whole_and_not_what_is_waived_in_part() -> None:
    whole, part = (marked(Marks(waivers={"image-alt-n0": WAIVER}), nodes=nodes) for nodes in (1, 2))

    results = json.loads(sample.render("sarif", [whole, part]))["runs"][0]["results"]

    [suppression] = results[0]["suppressions"]
    assert suppression["kind"] == "external"
    assert suppression["justification"] == "waived until 2027-01-31: the shop is replaced then"
    assert "suppressions" not in results[1]


@pytest.mark.parametrize(
    ("known", "state"), [((), "new"), (("image-alt-n0",), "updated"), (("image-alt-n0", "image-alt-n1"), "unchanged")]
)
def test_sarif_says_the_state_against_the_baseline(known: tuple[str, ...], state: str) -> None:
    [result] = json.loads(sample.render("sarif", [marked(Marks(known=frozenset(known)))]))["runs"][0]["results"]

    assert result["baselineState"] == state


def test_junit_skips_what_is_waived() -> None:
    text = sample.render("junit", [marked(Marks(waivers={"image-alt-n0": WAIVER}), nodes=1)])

    assert "<failure" not in text
    assert "<skipped" in text
    assert 'message="critical: 1 element; waived until 2027-01-31: the shop is replaced then"' in text


def test_a_page_without_marks_is_the_document_it_was() -> None:
    assert "marks" not in sample.with_barriers().document()
    assert "marked" not in summarise([sample.with_barriers()], fail_on=None).document()


def test_a_hostile_reason_is_fit_to_print() -> None:
    waiver = Waiver("image-alt-n0", sample.HOSTILE)
    page = marked(Marks(waivers={"image-alt-n0": waiver}), nodes=1)

    assert "<script>steal()" not in sample.render("html", [page])
    assert "\x1b[2J" not in sample.render("table", [page])
    [row] = csv.DictReader(io.StringIO(sample.render("csv", [page])))
    assert row["mark"].startswith("waived: </script>")


def test_remarks_tell_of_pages_that_led_elsewhere() -> None:
    asked = sample.passed()
    assert asked.result is not None
    plain = asked.result.model_copy(update={"final_url": asked.url.replace("https://", "http://www.") + "/"})
    moved = asked.result.model_copy(update={"final_url": f"{sample.SITE}/moved"})

    pages = [replace(asked, result=result) for result in (plain, moved)]

    assert remarks(pages) == [f"1 page redirected to another address, such as {asked.url} to {sample.SITE}/moved"]
