from __future__ import annotations

import pytest

from producer.contract import JsonObject, QueryRequest, QueryResult
from producer.errors import ContextExceeded, InvalidJob
from tests.redis.agent.asking import Desk, ScriptedChat, call
from tests.support.scans import finding, scan_result
from worker.agent.conversation.decisions import MAX_ROUNDS
from worker.agent.handlers import QueryJobs
from worker.agent.state import QueryContext
from worker.models.builtin.models import BuiltinChat
from worker.queue.outcome import FieldNeeded

WORST = "Which page has the worst barriers?"


async def test_an_answer_names_its_sources_its_model_and_its_prompt(shop: Desk):
    chat = ScriptedChat(call("search_scans", order="worst"), "The cart [scan cart-1], then home [scan home-1].")

    result = await shop.ask(chat, WORST)

    assert result.answer == "The cart [scan cart-1], then home [scan home-1]."
    assert result.sources == ("cart-1", "home-1")
    assert (result.model, result.prompt[:4], result.cached, result.notes) == ("scripted:1b", "ask-", False, ())
    assert (result.usage.calls, result.usage.prompt_tokens) == (3, 20)
    assert {"cache", "think", "act"} <= result.timings_ms.keys()


async def test_the_builtin_model_answers_and_a_follow_up_knows_what_was_said(shop: Desk):
    first = await shop.ask(None, WORST, job="q1", thread_id="audit")
    second = await shop.ask(None, "What is wrong with that page?", job="q2", thread_id="audit")

    assert first.answer.startswith("The worst barriers are on \u201cCart\u201d (https://shop.example/cart): 2 elements")
    assert second.answer.startswith("\u201cCart\u201d (https://shop.example/cart), last seen in this state on")
    assert (first.sources, second.sources) == (("cart-1", "home-1"), ("cart-1",))
    assert first.model == second.model == "builtin"
    assert first.thread_id == second.thread_id == "audit"


async def test_a_question_without_a_thread_begins_one_that_can_be_gone_on_with(shop: Desk):
    first = await shop.ask(None, WORST, job="q1")
    second = await shop.ask(None, "What is wrong with that page?", job="q2", thread_id=first.thread_id)

    assert first.thread_id == "q1"
    assert second.sources == ("cart-1",)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "A"), ("a,b", "a|b"), ("x:y", "x y"), ("é", "e"), ("t", "t-t"), ("*", "**")]
)
async def test_threads_whose_names_look_alike_are_two_conversations(shop: Desk, one: str, other: str):
    await shop.ask(None, WORST, job="q1", thread_id=one)

    strange = await shop.ask(None, "What is wrong with that page?", job="q2", thread_id=other)
    known = await shop.ask(None, "What is wrong with that page?", job="q3", thread_id=one)

    assert "Which page do you mean?" in strange.answer
    assert known.sources == ("cart-1",)


async def test_a_question_about_one_site_is_answered_from_that_site_alone(shop: Desk):
    worse = scan_result(finding("label", *"abcdefg"), url="https://other.example/", scan_id="other-1")
    await shop.record(worse)

    everywhere = await shop.ask(None, WORST, job="q1")
    there = await shop.ask(None, WORST, job="q2", site="shop.example")

    assert everywhere.sources[0] == "other-1"
    assert there.sources == ("cart-1", "home-1")


async def test_the_handler_commits_the_answer_and_the_event_has_no_text_of_it(shop: Desk):
    jobs = QueryJobs(await shop.graph())

    commit = await jobs.run({"job_id": "q1", "score": 5}, {"question": WORST, "site": "HTTPS://Shop.example/x"})

    assert isinstance(commit.result, QueryResult)
    assert commit.result.sources == ("cart-1", "home-1")
    assert [type(write) for write in commit.writes] == [FieldNeeded]  # the turn, in the conversation
    assert commit.event == {"thread_id": "q1", "cached": False, "sources": ["cart-1", "home-1"]}


@pytest.mark.parametrize(
    "payload", [{}, {"question": ""}, {"question": "  "}, {"question": 7}, {"question": "a", "site": "not a host"}]
)
async def test_a_payload_other_than_a_question_is_an_invalid_job(desk: Desk, payload: JsonObject):
    jobs = QueryJobs(await desk.graph())

    with pytest.raises(InvalidJob, match=r"question|site"):
        await jobs.run({"job_id": "q1"}, payload)


async def test_each_step_is_reported_as_it_begins(shop: Desk):
    steps: list[str] = []
    graph = await shop.graph()

    await graph.run("q1", QueryRequest(question=WORST), QueryContext(on_progress=steps.append))

    assert steps == ["looking for a cached answer", "thinking", "looking things up", "thinking", "answering"]


async def test_of_a_conversation_one_step_is_kept_and_it_expires(shop: Desk):
    for number in range(4):
        await shop.ask(None, WORST, job=f"q{number}", thread_id="a", use_cache=False)

    kept = [key async for key in shop.redis.scan_iter(match=f"*{shop.keys.environment}:talk:*")]
    ttls = [await shop.redis.ttl(key) for key in kept]
    size = sum([await shop.redis.memory_usage(key) or 0 for key in kept])

    assert len(kept) <= 3
    assert all(0 < ttl <= 600 for ttl in ttls)
    assert size < 100_000


async def test_a_long_conversation_goes_on_and_says_what_the_model_was_not_shown(shop: Desk):
    chat = ScriptedChat("x" * 1_200)
    results = [await shop.ask(chat, f"Question {number}?", job=f"q{number}", thread_id="a") for number in range(25)]

    assert "the model was shown only the last" in " ".join(results[-1].notes)
    assert sum(len(one.content) for one in chat.asked[-1]) < 20_000


async def test_a_question_too_long_for_the_model_is_refused_in_words(desk: Desk):
    with pytest.raises(ContextExceeded, match="ask a shorter question"):
        await desk.ask(BuiltinChat(), "why " * 5_000)


async def test_a_model_that_never_stops_asking_is_stopped_and_the_result_says_so(shop: Desk):
    chat = ScriptedChat(call("search_scans"))

    result = await shop.ask(chat, WORST)

    assert len(chat.asked) == MAX_ROUNDS
    assert chat.tools[-1] == ()
    assert result.answer.startswith(f"There is no answer: asked {MAX_ROUNDS} times")
    assert "the model gave no answer" in result.notes
    assert result.sources == ()
