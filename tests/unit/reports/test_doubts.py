"""Doubts about pages: one line each in every format, counted in the totals, and no pass with ``--strict``."""

from __future__ import annotations

import csv
import io
import json

import pytest
from junitparser import Error, JUnitXml

from producer.cli.scan.gate import Gate, exit_code
from producer.contract import Doubt, ScanResult
from producer.reports.doubts import MAX_LINES, doubt_lines, lines_by_kind
from producer.reports.formats import FORMATS
from producer.reports.page import page_of
from producer.reports.summary import summarise
from tests.unit.reports import sample_pages as sample

SIGN_IN = Doubt(kind="sign-in", what="the page asks for a sign-in", certainty="likely")
FRAME = Doubt(kind="unread-frame", what="1 frame could not be read (net::ERR)", where="http://ads.example/ad")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_each_doubt_of_a_page(name: str) -> None:
    text = sample.render(name, [sample.in_doubt("/account.html", SIGN_IN, FRAME)], width=200).replace("\\", "")

    for doubt in (SIGN_IN, FRAME):
        assert doubt.kind in text
        assert doubt.what in text
        assert doubt.where in text


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_lets_a_doubt_inject_markup_or_control_characters(name: str) -> None:
    hostile = Doubt(kind="wait-for" + sample.HOSTILE, what=sample.HOSTILE + "x" * 5_000, where=sample.HOSTILE * 40)

    text = sample.render(name, [sample.in_doubt("/evil.html", hostile)])

    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    if name in {"html", "markdown", "junit"}:
        assert "<img src=x" not in text.replace("\\<", "")
    if name != "html":
        assert "\n::error::" not in text
    if name not in {"json", "jsonl"}:  # those have the result as it is
        assert "x" * 301 not in text


@pytest.mark.parametrize(("flag", "kind"), [("soft_404", "soft-404"), ("sign_in", "sign-in")])
def test_flags_of_an_older_release_become_doubts(flag: str, kind: str) -> None:
    older = ScanResult.model_validate({**sample.scan_result("/old.html").model_dump(), flag: True})

    page = page_of(older)

    assert [doubt.kind for doubt in page.doubts] == [kind]
    assert kind in sample.render("table", [page], width=120)


def test_a_doubt_with_a_flag_is_reported_once() -> None:
    page = sample.in_doubt("/account.html", SIGN_IN, sign_in=True)

    assert page.doubts == (SIGN_IN,)


def test_what_the_problem_of_a_page_says_is_not_said_twice_in_the_table() -> None:
    result = sample.scan_result("/half.html", status="partial", reason=FRAME.what)
    page = page_of(result.model_copy(update={"doubts": (FRAME, SIGN_IN)}))

    text = " ".join(sample.render("table", [page], width=200).split())

    assert text.count(FRAME.what) == 1
    assert "sign-in: the page asks for a sign-in (likely)" in text


def test_the_sums_count_pages_by_kind_of_doubt() -> None:
    pages = [sample.in_doubt(), sample.in_doubt("/b", SIGN_IN, FRAME, FRAME), sample.passed()]

    document = summarise(pages, fail_on=None).document()

    assert (document["in_doubt"], document["doubts"]) == (2, {"sign-in": 2, "unread-frame": 1})
    assert "2 pages in doubt: 2 sign-in, 1 unread-frame" in sample.render("table", pages, width=120)
    assert "doubts" not in summarise([sample.passed()], fail_on=None).document()


def test_a_thousand_doubts_are_a_few_lines_and_a_number() -> None:
    many = [Doubt(kind="failed-request", what=f"number {number}") for number in range(50)]
    page = sample.in_doubt("/many.html", *many, doubts_left_out=950)

    lines = doubt_lines(page)

    assert (len(lines), lines[-1]) == (MAX_LINES + 1, f"and {1000 - MAX_LINES} more doubts")
    assert lines_by_kind([page]) == [f"1 page in doubt (failed-request), such as {page.url}: number 0"]


def test_csv_has_the_doubts_in_a_column() -> None:
    [row] = csv.DictReader(io.StringIO(sample.render("csv", [sample.in_doubt("/a", SIGN_IN, FRAME)])))

    assert row["doubts"].startswith("sign-in: the page asks for a sign-in (likely); unread-frame: 1 frame")


def test_sarif_distinguishes_partial_doubts_from_remarks() -> None:
    document = json.loads(sample.render("sarif", [sample.in_doubt("/a", SIGN_IN, FRAME)]))

    [invocation] = document["runs"][0]["invocations"]
    told = [(one["descriptor"]["id"], one["level"]) for one in invocation["toolExecutionNotifications"]]
    assert told == [("doubt/sign-in", "note"), ("doubt/unread-frame", "warning")]
    assert invocation["executionSuccessful"] is True


def test_without_strict_a_remark_fails_nothing_and_with_it_the_page_is_no_pass() -> None:
    page, fine = sample.in_doubt(), sample.passed()

    lax = summarise(map(Gate().mark, [page, fine]), fail_on=None)
    strict = summarise(map(Gate(strict=True).mark, [page, fine]), fail_on=None)

    assert (exit_code(lax, timed_out=False), exit_code(strict, timed_out=False)) == (0, 2)
    assert (strict.passed, strict.not_scanned, strict.doubtful) == (1, 1, 1)
    assert "1 page is in doubt, so this is not a pass" in sample.render("html", [Gate(strict=True).mark(page)])


def test_what_the_request_allows_is_shown_but_not_held_strictly() -> None:
    page = sample.in_doubt("/account.html", SIGN_IN, allow_partial=("sign-in",))

    held = Gate(strict=True).mark(page)

    assert held.outcome == "passed"
    assert held.doubts == (SIGN_IN,)


@pytest.mark.parametrize("name", ["table", "html", "markdown", "junit", "csv", "sarif"])
def test_a_page_held_strictly_is_shown_as_in_doubt_with_the_reason(name: str) -> None:
    text = sample.render(name, [Gate(strict=True).mark(sample.in_doubt())], width=200)

    assert "doubt" in text.lower()
    assert "the page asks for a sign-in" in text
    assert "could not be scanned, so" not in text


def test_junit_has_an_error_with_the_doubt_for_a_page_held_strictly() -> None:
    report = JUnitXml.fromstring(sample.render("junit", [Gate(strict=True).mark(sample.in_doubt())]).encode())

    [case] = [case for suite in report for case in suite]
    [error] = case.result
    assert isinstance(error, Error)
    assert (error.type, error.message) == ("PageInDoubt", "doubtful: the page asks for a sign-in (likely)")
    assert case.system_out == "in doubt: sign-in: the page asks for a sign-in (likely)"
