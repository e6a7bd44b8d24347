"""Phrases in the texts of pages."""

from __future__ import annotations

import pytest

from worker.scan.phrases import find_phrase


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Loading", "loading"),
        ("LOADING\n  page …", "loading page"),
        ("Please wait: loading the map", "please wait"),
        ("Wird geladen", "wird geladen"),
        ("Downloading and loadings", ""),
        ("", ""),
    ],
    ids=["alone", "the longest there", "the first", "another language", "within words", "no text"],
)
def test_the_first_phrase_of_a_text_is_found_where_whole_words_are_it(text: str, found: str) -> None:
    assert find_phrase("loading", text) == found


def test_a_phrase_of_another_kind_is_not_found() -> None:
    assert find_phrase("placeholder", "Loading") == ""
