from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract import Changes, Impact, ScanResult
from tests.support.scans import finding, scan_result
from worker.memory.history.scan_record import (
    MAX_FINGERPRINTS,
    ScanRecord,
    compare,
    document,
    host_of,
    parse,
    recorded_findings,
    signature,
)
from worker.memory.vectors.embeddings import Embedded
from worker.memory.vectors.indexes import exact_tag


def record_of(result: ScanResult, scan_id: str = "before") -> ScanRecord:
    fields = document(result, page="p1", at_ms=1_000, seen_ms=2_000, embedded=Embedded("t", {}))
    return parse(scan_id, fields)


def changes(before: ScanResult, now: ScanResult, *, is_whole: bool = True) -> Changes:
    return compare(record_of(before), recorded_findings(now.findings), is_whole=is_whole)


def test_a_title_that_was_cut_is_marked():
    long, short = (record_of(scan_result(title="t" * count)).title for count in (301, 300))

    assert (len(long), long[-1], short) == (300, "…", "t" * 300)


def test_a_document_keeps_what_history_needs():
    page = scan_result(finding("image-alt", "a", "b"), finding("label", "c", impact=Impact.SERIOUS), group="shop, new")

    record = record_of(page.model_copy(update={"scan_id": "j1"}), "j1")

    assert (record.host, record.group, record.title) == ("shop.example", "shop, new", "Home")
    assert (record.at_ms, record.last_seen_ms) == (1_000, 2_000)
    assert record.counts == page.counts
    assert [(one.rule, one.nodes, one.criteria) for one in record.findings] == [
        ("image-alt", ("a", "b"), ("1.1.1",)),
        ("label", ("c",), ("1.1.1",)),
    ]


def test_a_document_leaves_out_the_default_standard_and_counts_of_0():
    page = scan_result(finding("image-alt", "a", "b"))

    usual = document(page, page="p1", at_ms=1, seen_ms=1, embedded=Embedded("", {}))
    other = document(
        page.model_copy(update={"standard": "wcag21aa"}), page="p1", at_ms=1, seen_ms=1, embedded=Embedded("", {})
    )

    assert (usual["counts"], usual["barriers"]) == ('{"critical":1}', '{"critical":2}')
    assert ("standard" in usual, other["standard"]) == (False, "wcag21aa")
    assert (parse("j", usual).standard, parse("j", other).standard) == ("wcag22aa", "wcag21aa")
    assert (parse("j", usual).counts, parse("j", usual).barriers) == (page.counts, page.barriers)


def test_a_record_of_an_earlier_release_is_read_with_its_standard_and_counts():
    zeros = '{"critical":1,"serious":0,"moderate":0,"minor":0}'

    record = parse("j", {"standard": "wcag22aa", "counts": zeros, "barriers": zeros})

    assert (record.standard, record.counts.critical, record.barriers.total) == ("wcag22aa", 1, 1)


def test_a_document_without_a_vector_has_no_vector_field():
    without = document(scan_result(), page="p", at_ms=1, seen_ms=1, embedded=Embedded("x", {}))
    with_two = document(scan_result(), page="p", at_ms=1, seen_ms=1, embedded=Embedded("x", {1: b"old", 3: b"new"}))

    assert (without["text"], without["embedded"], "vector" in without) == ("x", "", False)
    assert (with_two["embedded"], with_two["vector"], with_two["vector_3"]) == ("1,3", b"old", b"new")


def test_changes_are_listed_by_node_and_rule():
    before = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))
    now = scan_result(finding("image-alt", "b", "d"), finding("region", "e"))

    told = changes(before, now)

    assert (told.previous, told.new, told.fixed, told.unchanged) == ("before", ("d", "e"), ("a", "c"), 1)


def test_a_page_read_in_part_fixes_nothing():
    told = changes(scan_result(finding("image-alt", "a", "b")), scan_result(finding("image-alt", "a")), is_whole=False)

    assert told.fixed == ()
    assert told.uncertain == ("image-alt",)


def test_a_node_missing_from_a_trimmed_finding_is_neither_new_nor_fixed():
    whole = scan_result(finding("image-alt", "a", "b", "c"))
    trimmed = scan_result(finding("image-alt", "a", count=3))

    assert changes(whole, trimmed).fixed == ()
    assert changes(trimmed, whole).new == ()
    assert changes(trimmed, whole).unchanged == 1


def test_large_findings_are_trimmed_before_small_ones():
    large = finding("region", *(f"r{number}" for number in range(MAX_FINGERPRINTS)))
    small = finding("label", "a", "b")

    kept = {one.rule: one for one in recorded_findings([large, small])}

    assert kept["label"].nodes == ("a", "b")
    assert len(kept["region"].nodes) == MAX_FINGERPRINTS - 2
    assert kept["region"].is_trimmed


def test_two_elements_of_one_fingerprint_do_not_make_a_finding_look_trimmed():
    (kept,) = recorded_findings([finding("label", "a", "a", "b")])

    assert kept.nodes == ("a", "b")
    assert not kept.is_trimmed


def test_the_signature_changes_with_the_barriers_and_not_with_their_order():
    first = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))
    shuffled = scan_result(finding("label", "c"), finding("image-alt", "b", "a"))
    other = scan_result(finding("image-alt", "a", "x"), finding("label", "c"))

    assert signature(first) == signature(shuffled)
    assert signature(first) != signature(other)
    assert signature(first) != signature(first.model_copy(update={"status": "partial"}))


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://User@Shop.Example:8443/x", "shop.example"), ("", ""), ("http://[::1]:8000/", "::1")],
)
def test_the_host_is_without_port_and_case(url: str, host: str):
    assert host_of(url) == host


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_values_have_one_tag_only_if_they_are_equal(first: str, second: str):
    assert (exact_tag(first) == exact_tag(second)) == (first == second)


@pytest.mark.parametrize("value", ["", "a,b", "a|b", "A", " a", "*", "x" * 10_000, "ünï", "a b", "{a}"])
def test_a_tag_holds_nothing_that_a_query_could_misread(value: str):
    assert all(letter in "0123456789abcdef~" for letter in exact_tag(value))
