"""Markdown: fits into a comment, and pages can neither format it nor mention anybody."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from producer.reports.components import ComponentBarrier
from producer.reports.markdown import code, text
from producer.reports.marks import Marks
from producer.reports.page import page_of, refused_page
from tests.unit.reports import sample_pages as sample

COMMENT_CHARS = 65_536


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a*b_c", r"a\*b\_c"),
        ("[x](y)", r"\[x\](y)"),
        ("<b>", r"\<b\>"),
        ("a|b", r"a\|b"),
        ("@team", "@\u2060team"),
        ("#12", "#\u206012"),
        ("http://x.example", r"http\://x.example"),
        ("www.x.example", r"www\.x.example"),
        ("two\nlines", "two lines"),
    ],
)
def test_text_from_a_page_stays_text(given: str, expected: str) -> None:
    assert text(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("`a`", "`` `a` ``"), ("a|b", "`a\\|b`"), ("", ""), ("a\nb", "`a b`")],
)
def test_a_code_span_cannot_be_left(given: str, expected: str) -> None:
    assert code(given) == expected


def test_a_hostile_page_adds_no_html_no_link_and_no_mention() -> None:
    made = sample.render("markdown", [sample.hostile()])

    outside = re.sub(r"(`+)(?:(?!\1).)*\1", "", made)
    assert "<script>" not in outside
    assert "<img" not in outside
    assert "](javascript" not in outside.replace("\\](", "")
    assert "@all" not in outside


def test_thousands_of_pages_and_rules_fit_into_a_comment() -> None:
    pages = [
        page_of(sample.scan_result(f"/{n}.html", *(sample.finding(f"rule-{n}-{m}") for m in range(3))))
        for n in range(1000)
    ]

    made = sample.render("markdown", pages)

    assert len(made) < COMMENT_CHARS
    assert "and 950 more pages" in made
    assert "and 2,960 more rules" in made


def test_no_component_barrier_is_compared_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(one: object, other: object) -> bool:
        pytest.fail(f"{one} was compared with {other}: thousands of them take minutes")

    monkeypatch.setattr(ComponentBarrier, "__eq__", compared)

    assert "image-alt" in sample.render("markdown", [*sample.every_kind(), *sample.marked()])


def test_long_texts_of_pages_fit_too_and_truncation_is_reported() -> None:
    long = "&" * 5000
    broken = [sample.finding(f"{long}{n}", help_text=long, snippet=long) for n in range(60)]
    lost = [refused_page(f"https://x{n}.example/{long}", long) for n in range(80)]
    worst = page_of(sample.scan_result(f"/{long}", *broken, title=long))

    made = sample.render("markdown", [worst, *lost])

    assert COMMENT_CHARS * 0.8 < len(made) < COMMENT_CHARS
    cut = re.findall(r"… and (\d+) more (page|rule)s?; all are in the other reports", made)
    assert [what for _, what in cut] == ["rule", "page"]
    assert made.count("\n| `") + int(cut[1][0]) == 81
    assert made.count("<details>") + int(cut[0][0]) == 60


def test_the_verdict_comes_first_and_a_missing_page_outranks_findings() -> None:
    made = sample.render("markdown", sample.every_kind())

    assert made.splitlines()[2] == (
        "**7 pages could not be scanned**, so this is not a pass. **2 pages with findings that are serious or worse.**"
    )


def test_pages_that_were_not_scanned_come_before_the_worst_pages() -> None:
    made = sample.render("markdown", [sample.passed(), sample.with_barriers(), sample.not_scanned()[0]])

    paths = re.findall(r"^\| `(/\S+)`", made, re.MULTILINE)
    assert paths == ["/gone.html", "/tea.html"]


def test_a_run_without_barriers_says_what_that_means() -> None:
    assert "No barriers found" in sample.render("markdown", [sample.passed()])


def test_what_is_new_is_counted_first_and_pages_with_something_new_come_first() -> None:
    worse = page_of(sample.scan_result("/old.html", sample.finding(nodes=5)))
    fresh = page_of(sample.scan_result("/new.html", sample.finding(nodes=2)))
    pages = [
        replace(worse, marks=Marks(known=frozenset(f"image-alt-n{n}" for n in range(5)))),
        replace(fresh, marks=Marks(known=frozenset({"image-alt-n0"}))),
    ]

    made = sample.render("markdown", pages)

    assert "**1 new barrier**: 1 critical; 7 barriers in all" in made
    rows = [line for line in made.splitlines() if line.startswith("| `/")]
    assert rows == [
        "| `/new.html` | barriers | 1 of 2 | 0 | 0 | 0 |",
        "| `/old.html` | barriers | 0 of 5 | 0 | 0 | 0 |",
    ]
