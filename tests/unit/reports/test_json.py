"""JSON and JSON lines: exactly the data in Redis."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

from producer.contract import decode_result
from producer.reports.formats import ReportContext, load_report
from producer.reports.page import Page
from tests.unit.reports import sample_pages as sample


def test_each_line_is_the_result_as_it_is_in_redis() -> None:
    result = sample.scan_result("/tea.html", sample.finding())

    [line] = sample.render("jsonl", [sample.with_barriers()]).splitlines()

    decoded = decode_result(line)
    assert type(decoded) is type(result)
    assert decoded == sample.with_barriers().result


def test_hostile_text_is_escaped_and_not_lost() -> None:
    [line] = sample.render("jsonl", [sample.hostile()]).splitlines()

    assert json.loads(line)["title"] == sample.HOSTILE


def test_a_line_is_written_before_the_next_page_is_known() -> None:
    out = io.StringIO()
    seen: list[int] = []

    def pages() -> Iterator[Page]:
        yield sample.passed()
        seen.append(len(out.getvalue().splitlines()))
        yield sample.with_barriers()

    load_report("jsonl")(pages(), ReportContext(sample.AT), out)

    assert seen == [1]


def test_the_end_of_the_scan_is_in_the_document_if_it_is_known() -> None:
    out = io.StringIO()
    load_report("json")([sample.passed()], ReportContext(sample.AT, scanned_ms=1_763_865_000_250), out)

    assert json.loads(out.getvalue())["scanned_at"] == "2025-11-23T02:30:00.250+00:00"
    assert "scanned_at" not in json.loads(sample.render("json", [sample.passed()]))


def test_the_document_holds_all_pages_and_the_sums() -> None:
    document = json.loads(sample.render("json", sample.every_kind()))

    assert [page["url"] for page in document["pages"]] == [page.url for page in sample.every_kind()]
    assert document["generated_at"] == "2026-11-23T02:30:00+00:00"
    assert document["fail_on"] == "serious"
    assert document["summary"] == {
        "pages": 9,
        "passed": 1,
        "with_barriers": 1,
        "not_scanned": 7,
        "failing": 2,
        "needs_review": 1,
        "barriers": {"minor": 0, "moderate": 1, "serious": 0, "critical": 4},
        "rules": 2,
        "component_barriers": 0,
    }


def test_a_run_that_never_fails_says_so() -> None:
    document = json.loads(sample.render("json", [sample.with_barriers()], fail_on=None))

    assert document["fail_on"] is None
    assert document["summary"]["failing"] == 0
