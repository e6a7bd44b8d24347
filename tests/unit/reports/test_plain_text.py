"""Text from hostile pages is sanitized."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.reports.plain_text import counted, middle_cut, one_line, printable

UNFIT = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text())
def test_text_for_one_line_has_no_line_break_and_no_control_character(text: str) -> None:
    line = one_line(text)

    assert not [c for c in line if unicodedata.category(c) in UNFIT and c not in "\u200c\u200d"]
    assert line == line.strip()


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_one_line_keeps_to_its_limit(text: str, limit: int) -> None:
    assert len(one_line(text, limit=limit)) <= limit


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("attribute does not exist", 20, "attribute does not…"),
        ("attribute does not exist", 19, "attribute does not…"),
        ("the first, the second", 11, "the first…"),
        ("a/path/without/a/blank", 10, "a/path/wi…"),
        ("no: " + "x" * 60, 50, "no: " + "x" * 45 + "…"),
        ("whole", 5, "whole"),
    ],
)
def test_a_cut_ends_behind_a_word_unless_that_costs_much(text: str, limit: int, shown: str) -> None:
    assert one_line(text, limit=limit) == shown


@given(st.text(), st.integers(min_value=4, max_value=50))
def test_a_cut_in_the_middle_keeps_to_its_limit_and_both_ends(text: str, limit: int) -> None:
    cut = middle_cut(text, limit)

    assert len(cut) <= limit
    assert (cut[:1], cut[-1:]) == (text[:1], text[-1:])


@given(st.text())
def test_printable_keeps_line_breaks_and_nothing_that_steers(text: str) -> None:
    assert not [c for c in printable(text) if unicodedata.category(c) in UNFIT and c not in "\n\t\u200c\u200d"]


def test_letters_of_all_scripts_and_joined_emoji_stay_as_they_are() -> None:
    text = "Größe お湯 می‌خواهم 👩‍💻"

    assert one_line(text) == text
    assert printable(text) == text


def test_one_is_counted_in_the_singular() -> None:
    assert counted(1, "page") == "1 page"
    assert counted(1200, "page") == "1,200 pages"
