from __future__ import annotations

import json

from producer.contract import JsonObject, Usage
from worker.agent.conversation.citations import NO_SCAN_SAYS, NO_SOURCE
from worker.agent.conversation.decisions import (
    MAX_CALLS,
    MAX_WRITES,
    grounded,
    heard,
    reason_to_refuse,
    result_of,
    told,
)
from worker.agent.conversation.prompt import NUDGE, prompt_of
from worker.agent.conversation.state import Turn
from worker.agent.conversation.tools import Answer
from worker.models.protocols import ChatReply, ToolCall

TURN = Turn(job_id="q", question="Which page is worst?")


def reply(text: str = "", *calls: ToolCall) -> ChatReply:
    return ChatReply(text, "m:1b", Usage(calls=1, prompt_tokens=5), calls)


def call(name: str = "search_scans", **arguments: object) -> ToolCall:
    return ToolCall(name, dict(arguments), "same-id")


def after(turn: Turn, name: str, arguments: JsonObject, answer: Answer) -> Turn:
    """The turn after one call and its answer."""
    turn = heard(turn, reply("", ToolCall(name, arguments)), is_last=False)
    asked = turn.said[-1].calls[0]
    return told(turn, ToolCall(*asked), answer)


def test_text_without_a_tool_call_is_the_answer():
    turn = heard(TURN, reply("The cart."), is_last=False, notes=("left out",))

    assert (turn.answer, turn.model, turn.rounds, turn.notes) == ("The cart.", "m:1b", 1, ("left out",))
    assert turn.usage.prompt_tokens == 5


def test_calls_get_ids_of_their_own_even_if_the_model_repeats_one():
    turn = heard(TURN, reply("", call(), call(limit=1)), is_last=False)

    assert turn.answer is None
    assert len({call_id for _, _, call_id in turn.said[-1].calls}) == 2


def test_nothing_is_requested_again_and_the_last_time_is_reported():
    first = heard(TURN, reply("  "), is_last=False)
    last = heard(first, reply('{"name": "recall"}'), is_last=True)

    assert first.answer is None
    assert first.said[-1].content == NUDGE
    assert last.answer is not None
    assert last.answer.startswith("There is no answer: asked 2 times, the model called 0 tools")
    assert last.notes == ("the model gave no answer",)


def test_calls_at_the_last_time_are_not_run():
    turn = heard(TURN, reply("", call()), is_last=True)

    assert turn.answer is not None
    assert turn.said == ()


def test_too_many_calls_at_a_time_are_refused_and_may_be_asked_again():
    turn = heard(TURN, reply("", *(call(limit=n) for n in range(MAX_CALLS + 1))), is_last=False)

    assert reason_to_refuse(turn, call(limit=MAX_CALLS - 1), MAX_CALLS - 1) == ""
    assert "at most" in reason_to_refuse(turn, call(limit=MAX_CALLS), MAX_CALLS)


def test_a_model_that_writes_hundreds_of_calls_can_still_be_asked_for_its_answer():
    turn = heard(TURN, reply("", *(call(text=f"page {n}") for n in range(500))), is_last=False)
    for place, asked in enumerate(turn.said[-1].calls):
        reason = reason_to_refuse(turn, ToolCall(*asked), place)
        turn = told(turn, ToolCall(*asked), Answer(json.dumps({"error": reason}), failed=bool(reason)))

    assert turn.calls > MAX_CALLS
    assert prompt_of(turn, ()).messages[-1].role == "tool"


def test_the_same_call_is_run_once_unless_it_failed():
    worked = after(TURN, "search_scans", {"limit": 3}, Answer("{}"))
    failed = after(TURN, "search_scans", {"limit": 3}, Answer("{}", failed=True))

    assert "already asked" in reason_to_refuse(worked, call(limit=3), 0)
    assert reason_to_refuse(worked, call(limit=4), 0) == ""
    assert reason_to_refuse(failed, call(limit=3), 0) == ""


def test_the_number_of_calls_with_side_effects_is_limited():
    turn = TURN
    for number in range(MAX_WRITES):
        turn = after(turn, "request_scan", {"url": f"https://shop.example/{number}"}, Answer("{}"))

    assert "at most" in reason_to_refuse(turn, call("request_scan", url="https://shop.example/x"), 0)
    assert reason_to_refuse(turn, call("search_scans"), 0) == ""


def test_an_answer_with_side_effects_or_after_a_failure_is_not_cached():
    assert after(TURN, "search_scans", {}, Answer("{}")).is_cacheable
    assert not after(TURN, "search_scans", {}, Answer("{}", failed=True)).is_cacheable
    assert not after(TURN, "recall", {}, Answer("{}")).is_cacheable
    assert not after(TURN, "remember", {}, Answer("{}")).is_cacheable


def test_an_answer_without_a_source_says_so_unless_something_was_only_done():
    looked = after(TURN, "search_scans", {}, Answer("{}", scans=("a1",))).model_copy(update={"answer": "Fine."})
    cited = looked.model_copy(update={"answer": "Fine [scan a1]."})
    done = after(TURN, "remember", {}, Answer("{}")).model_copy(update={"answer": "Remembered."})
    refused = after(TURN, "remember", {}, Answer("{}", failed=True)).model_copy(update={"answer": "Remembered."})
    none = TURN.model_copy(update={"answer": "Fine."})

    noted = [NO_SOURCE in grounded(one, frozenset({"a1"})).notes for one in (looked, cited, done, refused, none)]

    assert noted == [True, False, False, True, True]
    assert grounded(cited, frozenset({"a1"})).sources == ("a1",)


def test_an_answer_without_a_source_is_requested_once_more_with_a_search_made_for_it():
    known = frozenset({"a1"})
    guessed = heard(TURN, reply("The cart, I think."), is_last=False, known=known)
    ((name, arguments, call_id),) = guessed.said[-1].calls
    looked = told(guessed, ToolCall(name, arguments, call_id), Answer("{}", scans=("a1",)))
    again = heard(looked, reply("It is the cart."), is_last=False, known=known)
    cited = heard(looked, reply("The cart [scan a1]."), is_last=False, known=known)

    assert (guessed.answer, name, arguments) == (None, "search_scans", {"text": TURN.question})
    assert grounded(again, known).answer == f"{NO_SCAN_SAYS}It is the cart."
    assert (grounded(cited, known).answer, grounded(cited, known).notes) == ("The cart [scan a1].", ())


def test_an_answer_that_consists_of_invented_citations_is_none():
    looked = after(TURN, "search_scans", {}, Answer("{}", scans=("a1",))).model_copy(update={"was_looked_up": True})

    answered = grounded(looked.model_copy(update={"answer": "[scan made-up]"}), frozenset({"a1"}))

    assert answered.answer is not None
    assert answered.answer.startswith("There is no answer: asked 1 time, the model called 1 tool")
    assert "the model cited 1 scan that no tool returned: removed" in answered.notes


def test_an_answer_is_accepted_with_a_source_or_once_no_search_is_left():
    known = frozenset({"a1"})
    looked = after(TURN, "search_scans", {}, Answer("{}"))
    did = after(TURN, "remember", {}, Answer("{}"))

    assert heard(TURN, reply("As before [scan a1]."), is_last=False, known=known).answer
    assert heard(looked, reply("No page has any."), is_last=False, known=known).answer
    assert heard(did, reply("Remembered."), is_last=False, known=known).answer
    assert heard(TURN, reply("The cart."), is_last=True, known=known).answer


def test_the_result_names_its_model_its_prompt_and_what_it_lacks():
    result = result_of(grounded(TURN.model_copy(update={"answer": "Fine.", "model": "m:1b"}), frozenset()))

    assert (result.model, result.notes) == ("m:1b", (NO_SOURCE,))
    assert result.prompt.startswith("ask-")
