from __future__ import annotations

import pytest

from worker.agent.conversation.citations import MAX_ANSWER, ground, is_unusable

KNOWN = frozenset({"a1", "b2", "batch-17-0"})


def test_sources_are_the_scans_cited_in_the_order_of_mention():
    answer = ground("The cart is worst [scan b2]. Then home [scan a1], and the cart [scan b2].", KNOWN)

    assert answer.sources == ("b2", "a1")
    assert answer.text == "The cart is worst [scan b2]. Then home [scan a1], and the cart [scan b2]."
    assert answer.notes == ()


def test_several_scans_in_one_citation_are_all_sources():
    answer = ground("Four of them [scans a1, batch-17-0].", KNOWN)

    assert answer.sources == ("a1", "batch-17-0")


def test_a_citation_of_a_scan_that_no_tool_returned_is_removed_and_counted():
    answer = ground("All is well [scan made-up]. Home is not [scan a1, other].", KNOWN)

    assert answer.text == "All is well. Home is not [scan a1]."
    assert answer.sources == ("a1",)
    assert answer.notes == ("the model cited 2 scans that no tool returned: removed",)


def test_an_endless_answer_is_cut_and_marked_as_cut():
    answer = ground("x" * (MAX_ANSWER * 2), KNOWN)

    assert len(answer.text) == MAX_ANSWER
    assert "cut" in answer.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        '{"name": "search_scans", "arguments": {}}',
        '```json\n{"tool": "recall"}\n```',
        '{"arguments": {}, "name": "search_scans"}',
        '[{"name": "search_scans", "arguments": {}}]',
        '{"function": {"name": "get_scan", "arguments": "{}"}}',
        '{"name": "search_scans", "arguments": {"site": "shop.exa',
        '<tool_call>\n{"name": "search_scans", "arguments": {}}\n</tool_call>',
        '<|tool_call|>[{"name": "recall"}]',
        '[TOOL_CALLS] [{"name": "recall"}]',
    ],
)
def test_empty_text_and_a_tool_call_written_as_text_are_no_answers(text: str):
    assert is_unusable(text)


@pytest.mark.parametrize(
    "text",
    ["No.", '{"worst": "cart"}', "[]", "{" * 100_000, "[ " * 50_000, '{"name": "Home"}', "search_scans"],
)
def test_any_other_text_is_an_answer(text: str):
    assert not is_unusable(text)
