from __future__ import annotations

import pytest

from worker.agent.conversation.complexity import complexity


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("Which page has the worst barriers?", ""),
        ("How many color-contrast barriers are there on the checkout page?", ""),
        ("Is the whyte theme planned?", ""),
        ("Compare the shop and the blog.", "complex: the question says 'compare'"),
        ("Why did the cart get worse?", "complex: the question says 'why'"),
        ("Which barriers should we PRIORITISE", "complex: the question says 'prioritise'"),
        ("What changed? And who is affected?", "complex: it asks several questions"),
        ("Really?!?", ""),
        ("word " * 60, ""),
        ("word " * 61, "complex: the question has more than 60 words"),
        ("", ""),
    ],
)
def test_the_rule_is_what_it_says(question: str, why: str):
    assert complexity(question) == why
