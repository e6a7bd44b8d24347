"""A comparison in every format: new, fixed, moved and uncertain component barriers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from producer.contract import Impact
from producer.reports.comparison import Change, Comparison, ComponentChange, Side
from producer.reports.comparison_formats import MAX_COMPONENTS, WRITERS, write_comparison
from tests.unit.reports.sample_pages import HOSTILE

THEN, NOW = Side("nightly-1", "batch", 1_764_000_000_000), Side("now", "time", 1_764_086_400_000)
SHOP = "https://shop.example"


def change(kind: Change, name: str, *, gained: int = 0, lost: int = 0, uncertain: int = 0) -> ComponentChange:
    pages = [
        tuple(f"{SHOP}/{word}-{n}" for n in range(k)) for word, k in (("g", gained), ("l", lost), ("u", uncertain))
    ]
    about = ("image-alt", Impact.CRITICAL)
    return ComponentChange(
        kind, f"{'a' * 16}-00c0ffee", name, *about, lost, gained, *pages, groups=("shop",), scan="s1"
    )


def comparison(*changes: ComponentChange) -> Comparison:
    return Comparison(THEN, NOW, changes, compared=150, unchanged=3, only_after=2, not_whole=1)


def written(name: str, found: Comparison) -> str:
    out = io.StringIO()
    write_comparison(name, found, out)
    return out.getvalue()


BOTH = comparison(change("new", "Header › logo", gained=150), change("mended", "Footer › link", lost=150))


@pytest.mark.parametrize("name", [one for one in WRITERS if one not in {"json", "jsonl", "csv"}])
def test_the_report_for_people_has_names_pages_and_what_was_not_compared(name: str):
    text = written(name, BOTH)

    assert "Header › logo" in text
    assert "Footer › link" in text
    assert "worse and better" in text.lower()
    assert "2 pages were first scanned later" in text
    assert "gone from 150 pages" in text
    assert "more pages" in text


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_lists_examples_beside_that_in_a_name(name: str):
    files = ("bullet.gif", *(f"offer{number}.gif" for number in range(6)))
    images = replace(change("mended", "Main › image “bullet.gif” has no text", lost=1), examples=files)

    text = written(name, comparison(images))

    assert "offer0.gif" in text
    if name in {"json", "jsonl", "csv"}:
        assert "offer5.gif" in text
    else:
        assert "also “offer0.gif”, “offer1.gif”, “offer2.gif”, “offer3.gif”, “offer4.gif” and others" in text
    assert "examples" not in written("jsonl", BOTH)


def test_the_report_for_programs_has_all_pages():
    whole = json.loads(written("json", BOTH))
    lines = [json.loads(line) for line in written("jsonl", BOTH).splitlines()]
    rows = list(csv.DictReader(io.StringIO(written("csv", BOTH))))

    assert whole["component_barriers"] == {"new": 1, "moved": 0, "mended": 1, "uncertain": 0, "unchanged": 3}
    assert whole["pages"]["compared"] == 150
    assert [one["change"] for one in lines] == ["new", "mended"]
    assert len(lines[0]["gained"]) == 150
    assert [(rows[0]["on_page"], rows[-1]["on_page"], len(rows))] == [("new on", "gone from", 300)]


def test_an_uncertain_change_is_neither_new_nor_fixed():
    found = comparison(change("uncertain", "Header › logo", uncertain=1))

    assert found.verdict == "same"
    assert "Uncertain, so neither new nor fixed" in written("table", found)


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_hostile_name_stays_text(name: str):
    text = written(name, comparison(change("new", HOSTILE, gained=1)))

    assert "\x1b" not in text
    assert "\n::error" not in text
    assert name not in {"html", "markdown"} or "<script>steal" not in text


def test_a_comment_stays_within_what_github_takes():
    found = comparison(*(change("new", f"Header › {'x' * 150} {n}", gained=9) for n in range(2 * MAX_COMPONENTS)))

    text = written("markdown", found)

    assert len(text) < 65_536
    assert "more component barriers; all are in the other formats" in text


def test_a_comment_without_room_lists_nothing_under_another_heading():
    fixed = [change("mended", "Footer › link", lost=lost) for lost in (150, 1)]
    for padding in range(0, 100, 10):
        names = [f"Header › {'x' * (100 + padding * (n == 0))}" for n in range(200)]
        new = [change("new", name, gained=150) for name in names]

        text = written("markdown", comparison(*new, *fixed))

        assert "gone from" not in text.partition("**Fixed")[0]
        assert text.count("\n- critical ") + int(text.partition("\n… and ")[2].partition(" more")[0] or 0) == 202
