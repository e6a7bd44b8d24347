"""Tried fixes in every report: only effective ones, with any markup, and never at an invented position."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from producer.contract.fixes import FixVerdict, Replacement, TriedFix
from producer.reports.page import Page, page_of
from tests.support.published_schemas import faults, junit_faults
from tests.unit.reports import component_pages as sites
from tests.unit.reports import sample_pages as sample

DIFF = '-<input name="q">\n+<input name="q" aria-label="Search">'
HOSTILE = '-<input>\n+<input aria-label="```\x1b[31m</pre><script>alert(1)</script> ]]> @team =1+1 &quot;\u202e">'


def fixed(verdict: FixVerdict = "removes", *, diff: str = DIFF, **more: Any) -> TriedFix:
    return TriedFix(issue_id=sites.HEADER, rule="label", verdict=verdict, diff=diff, **more)


def pages(*fixes: TriedFix, elements: int = 1) -> list[Page]:
    result = sample.scan_result("/a.html", sites.finding("label", sites.HEADER, nodes=elements))
    return [page_of(result.revised(fixes=fixes, fixes_state="tried"))]


SHOWN = {
    "html": "this change removes the barrier and adds none.",
    "markdown": '```diff\n-<input name="q">\n+<input name="q" aria-label="Search">\n```',
    "sarif": "triedFix",
    "junit": '+&lt;input name="q" aria-label="Search"&gt;',
    "csv": 'aria-label=""Search""',
    "table": 'tried, removes it: <input name="q" aria-label="Search">',
    "json": '"verdict": "removes"',
}


@pytest.mark.parametrize("kind", SHOWN)
def test_a_fix_that_helps_is_in_every_report(kind: str) -> None:
    shown = sample.render(kind, pages(fixed()))

    assert SHOWN[kind] in shown or SHOWN[kind].replace(": ", ":") in shown


@pytest.mark.parametrize("kind", [kind for kind in SHOWN if kind != "json"])
@pytest.mark.parametrize("verdict", ["no_effect", "adds_others", "refused", "not_tried"])
def test_a_change_that_does_not_help_is_shown_as_a_fix_in_no_report(kind: str, verdict: FixVerdict) -> None:
    assert SHOWN[kind] not in sample.render(kind, pages(fixed(verdict)))


def test_a_change_of_one_of_several_elements_says_so_and_where_it_was_tried() -> None:
    shown = sample.render("html", pages(fixed(url="https://shop.example/other", by="qwen"), elements=3))

    assert (
        "Tried on https://shop.example/other for one of the elements: "
        "this change removes the barrier and adds none, proposed by qwen." in shown
    )


@pytest.mark.parametrize("kind", SHOWN)
def test_hostile_markup_stays_text(kind: str) -> None:
    place = Replacement(start_line=1, start_column=1, end_line=1, end_column=8, text=HOSTILE)

    shown = sample.render(kind, pages(fixed(diff=HOSTILE, replacement=place)))

    if kind == "html":
        assert "<script>alert" not in shown
        assert "</pre><script>" not in shown
    if kind != "json":
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    if kind == "markdown":
        assert "````diff\n" in shown
    if kind == "sarif":
        assert faults("sarif-2.1.0.json", json.loads(shown)) == []
    if kind == "junit":
        assert junit_faults(shown) == []


def test_sarif_has_a_fix_where_its_place_is_known_and_a_property_else() -> None:
    place = Replacement(start_line=7, start_column=3, end_line=7, end_column=19, text="<input>")
    with_place, without = (
        json.loads(sample.render("sarif", pages(fixed(replacement=given))))["runs"][0]["results"][0]
        for given in (place, None)
    )

    (change,) = with_place["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["deletedRegion"] == {
        "startLine": 7,
        "startColumn": 3,
        "endLine": 7,
        "endColumn": 19,
    }
    assert change["artifactLocation"] == with_place["locations"][0]["physicalLocation"]["artifactLocation"]
    assert "fixes" not in without
    assert without["properties"]["triedFix"]["diff"] == DIFF


def test_a_spreadsheet_has_the_new_markup_in_a_cell_that_is_no_formula() -> None:
    (row,) = csv.DictReader(sample.render("csv", pages(fixed(diff="-x\n+=1+1"))).splitlines())

    assert row["tried_fix"] == "'=1+1"


def test_a_diff_too_long_for_a_comment_is_only_named_there() -> None:
    shown = sample.render("markdown", pages(fixed(diff=f"+{'x' * 1_900}")))

    assert "xxx" not in shown
    assert "It is in the HTML report" in shown
