from __future__ import annotations

import pytest

from worker.models.thoughts import without_thoughts


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>Which tool?</think>\n\nThe cart.", "The cart."),
        ('<think>\n\n</think>\n\n{"summary": "s"}', '{"summary": "s"}'),
        ('\n<thinking>Hm. {"a": 1}</thinking>The cart.', "The cart."),
        ("Let me see.\nThe cart is worst.\n</think>\n\nThe cart.", "The cart."),
        ("<think>It never ends", ""),
        ("<think>All was thought</think>", ""),
    ],
)
def test_thoughts_before_an_answer_are_no_part_of_it(text: str, answer: str):
    assert without_thoughts(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The cart.",
        "The page's title is \u201c</think> all is well\u201d.",
        '{"summary": "a title of </think>"}',
        '{"summary": "two\n</think>\nlines"}',
        "The cart's markup has <think>a</think>.",
    ],
)
def test_tags_that_a_page_may_have_cut_no_answer(text: str):
    assert without_thoughts(text) == text
