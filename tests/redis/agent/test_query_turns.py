from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from producer.contract import JsonObject, QueryRequest
from producer.errors import ContextExceeded, ModelUnreachable, ThreadBusy
from tests.redis.agent.asking import SHOP, Desk, ScriptedChat, call
from tests.redis.agent.scanning import Killed, kill_before_step
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.conversation.graph import QueryGraph
from worker.agent.conversation.side_effects import scan_job_id
from worker.agent.conversation.state import Turn
from worker.agent.state import QueryContext
from worker.limits.conversation_hold import thread_tag
from worker.models.protocols import ChatReply, Message, Tool

WORST = "Which page has the worst barriers?"


class StoppedChat(ScriptedChat):
    """Says that it was asked its last question, and never answers it."""

    def __init__(self, *steps: Any) -> None:
        super().__init__(*steps, "never")
        self.stopped = asyncio.Event()

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        if len(self.steps) == 1:
            self.stopped.set()
            await asyncio.Event().wait()
        return await super().chat(messages, schema=schema, tools=tools)


class SteadyChat(ScriptedChat):
    """Gives the step that follows from how many answers of tools it is shown, however often it is asked."""

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        steps = list(self.steps)
        self.steps = steps[sum(message.role == "tool" for message in messages) :]
        try:
            return await super().chat(messages, schema=schema, tools=tools)
        finally:
            self.steps = steps


async def killed(desk: Desk, question: str, chat: StoppedChat, **fields: Any) -> None:
    """Run a query up to where ``chat`` stops, and end it there as a killed worker's is."""
    running = asyncio.create_task(desk.ask(chat, question, **fields))
    await asyncio.wait_for(chat.stopped.wait(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_turn_that_is_complete_is_answered_from_the_thread(shop: Desk):
    chat = ScriptedChat(call("search_scans"), "The cart [scan cart-1].")
    first = await shop.ask(chat, WORST, job="q1", thread_id="a", use_cache=False)
    await shop.ask(None, "What is wrong with that page?", job="q2", thread_id="a")

    other, third = ScriptedChat("Something else."), ScriptedChat("Third.")
    again = await shop.ask(other, WORST, job="q1", thread_id="a", use_cache=False)
    await shop.ask(third, "Third?", job="q3", thread_id="a")

    assert again == first
    assert other.asked == []
    assert [one.content for one in third.asked[0] if one.role == "user"] == [
        WORST,
        "What is wrong with that page?",
        "Third?",
    ]


async def test_a_query_killed_while_the_model_answers_goes_on_with_another_worker_and_asks_no_tool_twice(shop: Desk):
    doomed = StoppedChat(call("remember", words="red buttons"), call("request_scan", url=f"{SHOP}/new"))
    question = f"Remember red buttons, and scan {SHOP}/new"
    await killed(shop, question, doomed, thread_id="a")

    chat = ScriptedChat("Done.")
    result = await shop.ask(chat, question, job="q1", thread_id="a")
    talk = ScriptedChat("Yes.")
    await shop.ask(talk, "And now?", job="q2", thread_id="a")

    assert result.answer == "Done."
    assert result.usage.calls == 4
    assert len(chat.asked) == 1
    assert await shop.memories_kept() == ["red buttons"]
    assert [job for job, _ in shop.submitted] == [scan_job_id("q1", f"{SHOP}/new")]
    assert [(one.role, one.content) for one in talk.asked[0][1:]] == [
        ("user", question),
        ("assistant", "Done."),
        ("user", "And now?"),
    ]


@pytest.mark.parametrize("step", range(-1, 8))
async def test_a_query_killed_between_what_a_node_returned_and_its_step_goes_on_there(shop: Desk, step: int):
    chat = SteadyChat(call("request_scan", url=f"{SHOP}/new"), call("search_scans"), "Done.")
    request = QueryRequest(question=f"Scan {SHOP}/new", thread_id="a", use_cache=False)
    graph = await shop.graph(chat)
    kill_before_step(graph._checkpointer, step)
    with pytest.raises(Killed):
        await graph.run("q1", request, QueryContext(submitted_ms=1))

    result = await (await shop.graph(chat)).run("q1", request, QueryContext(submitted_ms=1))
    talk = ScriptedChat("Yes.")
    await shop.ask(talk, "And now?", job="q2", thread_id="a")

    assert result.answer == "Done."
    assert len(chat.asked) == 3
    assert [job for job, _ in shop.submitted] == [scan_job_id("q1", f"{SHOP}/new")]
    assert [one.content for one in talk.asked[0] if one.role == "user"] == [request.question, "And now?"]


async def test_a_turn_that_was_given_up_is_not_part_of_the_conversation(shop: Desk):
    await killed(shop, "A question nobody waits for", StoppedChat(call("search_scans")), thread_id="a")
    chat = ScriptedChat("The cart [scan cart-1].")

    await shop.ask(chat, WORST, job="q2", thread_id="a")

    assert [one.content for one in chat.asked[0][1:]] == [WORST]


async def test_an_abandoned_turn_repeated_in_another_order_applies_its_side_effects_once(shop: Desk):
    question = f"Remember red buttons, and scan {SHOP}/new"
    remember, scan = call("remember", words="red buttons"), call("request_scan", url=f"{SHOP}/new")
    await killed(shop, question, StoppedChat(call("search_scans"), remember, scan), thread_id="a")
    await shop.ask(ScriptedChat("Between."), "Another question?", job="q2", thread_id="a")

    await shop.ask(ScriptedChat(scan, remember, "Done."), question, job="q1", thread_id="a")

    assert [payload["url"] for _, payload in shop.submitted] == [f"{SHOP}/new"]
    assert await shop.memories_kept() == ["red buttons"]


async def test_an_id_used_again_for_another_question_is_another_turn(shop: Desk):
    first = await shop.ask(ScriptedChat("One."), "One?", job="q1", thread_id="a")
    second = await shop.ask(ScriptedChat("Two."), "Two?", job="q1", thread_id="a")

    assert (first.answer, second.answer) == (f"{NO_SCAN_SAYS}One.", f"{NO_SCAN_SAYS}Two.")


async def test_a_question_resubmitted_under_its_id_is_answered_again_and_appears_once(shop: Desk):
    await shop.ask(ScriptedChat("Before."), WORST, job="weekly", submitted_ms=1, thread_id="a", use_cache=False)
    asked: dict[str, Any] = {"job": "weekly", "submitted_ms": 700_000_000, "thread_id": "a", "use_cache": False}

    later = await shop.ask(ScriptedChat("Now."), WORST, **asked)
    repeated = await shop.ask(ScriptedChat("Never."), WORST, **asked)
    talk = ScriptedChat("Yes.")
    await shop.ask(talk, "And?", job="q2", submitted_ms=700_000_001, thread_id="a")

    assert (later.answer, repeated.answer) == (f"{NO_SCAN_SAYS}Now.", f"{NO_SCAN_SAYS}Now.")
    assert [one.content for one in talk.asked[0][1:]] == [WORST, f"{NO_SCAN_SAYS}Now.", "And?"]


async def test_an_unreachable_model_raises_and_the_turn_continues_at_the_next_attempt(shop: Desk):
    with pytest.raises(ModelUnreachable):
        await shop.ask(ScriptedChat(call("search_scans"), ModelUnreachable("no host answers")), WORST, thread_id="a")
    chat = ScriptedChat("The cart [scan cart-1].")

    result = await shop.ask(chat, WORST, thread_id="a")

    assert result.sources == ("cart-1",)
    assert len(chat.told) == 1


async def test_one_query_at_a_time_runs_in_a_thread_and_others_run_elsewhere(shop: Desk):
    stopped = StoppedChat(call("search_scans"))
    running = asyncio.create_task(shop.ask(stopped, WORST, job="q1", thread_id="a"))
    await asyncio.wait_for(stopped.stopped.wait(), 20)

    with pytest.raises(ThreadBusy, match="question 'q1' of the conversation"):
        await shop.ask(None, "What is wrong with that page?", job="q2", thread_id="a", submitted_ms=2)
    elsewhere = await shop.ask(None, WORST, job="q3", thread_id="b", submitted_ms=3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    after = await shop.ask(None, "Who are you?", job="q2", thread_id="a", submitted_ms=2)

    assert elsewhere.sources
    assert after.answer


@pytest.mark.parametrize("lost_at", range(1, 7))
async def test_a_worker_that_lost_the_conversation_keeps_no_step_of_it(shop: Desk, lost_at: int):
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks >= lost_at:
            msg = "lost"
            raise ThreadBusy(msg, delay_s=1)

    graph = await shop.graph(ScriptedChat("An answer that comes too late [scan cart-1]."))
    with pytest.raises(ThreadBusy):
        await speak_unheld(graph, check)
    chat = ScriptedChat("In time.")

    result = await shop.ask(chat, WORST, job="q2", thread_id="a", use_cache=False)

    assert result.answer == f"{NO_SCAN_SAYS}In time."
    assert [one.content for one in chat.asked[0][1:]] == [WORST]


async def speak_unheld(graph: QueryGraph, check: Any) -> None:
    """Run a turn whose hold is what ``check`` says."""
    name = f"{graph._environment}:talk:{thread_tag('a')}"
    await graph._speak(name, Turn(job_id="q1", question=WORST), QueryContext(check=check))


async def test_a_step_that_a_frozen_worker_writes_when_it_wakes_takes_no_later_turn_away(shop: Desk):
    frozen, awake = asyncio.Event(), asyncio.Event()
    graph = await shop.graph(ScriptedChat("One."))
    saver = graph._checkpointer
    aput = saver.aput

    async def frozen_before_the_last_step(*args: Any) -> Any:
        if args[1]["channel_values"].get("turns"):
            frozen.set()
            await awake.wait()
        return await aput(*args)

    saver.aput = frozen_before_the_last_step  # type: ignore[method-assign]
    request = QueryRequest(question="One?", thread_id="a")
    first = asyncio.create_task(graph.run("q1", request, QueryContext(submitted_ms=1)))
    await asyncio.wait_for(frozen.wait(), 20)
    await shop.ask(ScriptedChat("One."), "One?", job="q1", thread_id="a")  # by the worker that took the job over
    await shop.ask(ScriptedChat("Two."), "Two?", job="q2", thread_id="a")
    awake.set()
    (answer,) = await asyncio.gather(first, return_exceptions=True)
    chat = ScriptedChat("Three.")
    await shop.ask(chat, "Three?", job="q3", thread_id="a")

    assert [one.content for one in chat.asked[0] if one.role == "user"] == ["One?", "Two?", "Three?"]
    assert isinstance(answer, ThreadBusy)


async def test_a_conversation_that_the_tokenizer_makes_too_long_is_shown_shorter(shop: Desk):
    for number in range(3):
        said = ScriptedChat(call("search_scans"), f"The cart [scan cart-1]. {number} " + "It needs a label. " * 90)
        await shop.ask(said, f"{number}? " + "What of it? " * 150, job=f"q{number}", thread_id="a", use_cache=False)
    chat = ScriptedChat(ContextExceeded("the server cut it"), "The cart [scan cart-1].")

    result = await shop.ask(chat, WORST, job="q4", thread_id="a", use_cache=False)

    assert result.answer.startswith("The cart")
    assert len(chat.asked[1]) < len(chat.asked[0])
    assert chat.asked[1][-1].content == WORST
    assert any("the model was shown only the last" in note for note in result.notes)


async def test_a_question_too_long_for_its_context_fails_as_the_server_said(shop: Desk):
    chat = ScriptedChat(ContextExceeded("the server cut it"))

    with pytest.raises(ContextExceeded, match="the server cut it"):
        await shop.ask(chat, WORST, job="q1", use_cache=False)

    assert len(chat.asked) == 1
