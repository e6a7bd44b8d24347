from __future__ import annotations

from producer.contract import QueryRequest, QueryResult
from tests.redis.agent.asking import Desk, ScriptedChat, call
from tests.support.scans import finding, scan_result
from worker.agent.conversation.decisions import MAX_ROUNDS
from worker.agent.handlers import QueryJobs
from worker.agent.state import QueryContext
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

    assert 0 < len(kept) <= 3
    assert all(0 < ttl <= 600 for ttl in ttls)
    assert size < 100_000


async def test_a_long_conversation_goes_on_and_says_what_the_model_was_not_shown(shop: Desk):
    chat = ScriptedChat("x" * 3_000)
    results = [await shop.ask(chat, f"Question {number}?", job=f"q{number}", thread_id="a") for number in range(10)]

    assert "the model was shown only the last" in " ".join(results[-1].notes)
    assert sum(len(one.content) for one in chat.asked[-1]) < 20_000


async def test_a_model_that_never_stops_asking_is_stopped_and_the_result_says_so(shop: Desk):
    chat = ScriptedChat(call("search_scans"))

    result = await shop.ask(chat, WORST)

    assert len(chat.asked) == MAX_ROUNDS
    assert chat.tools[-1] == ()
    assert result.answer.startswith(f"There is no answer: asked {MAX_ROUNDS} times")
    assert "the model gave no answer" in result.notes
    assert result.sources == ()
