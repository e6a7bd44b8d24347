"""The query graph on the Ollama adapter and a server that speaks Ollama's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import QueryResult
from producer.errors import AnswerTruncated
from producer.keys import Keys
from tests.redis.agent.asking import Desk, open_desk
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.scans import finding, scan_result
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.handlers import QueryJobs
from worker.models.routing import open_models
from worker.settings import WorkerSettings

WORST = "Which page has the worst barriers?"


@dataclass(frozen=True)
class Asked:
    """A desk whose chat model is on ``server``."""

    server: OllamaServer
    jobs: QueryJobs

    async def ask(self, question: str, *, job: str = "q1", **fields: Any) -> QueryResult:
        commit = await self.jobs.run({"job_id": job}, {"question": question, **fields})
        assert isinstance(commit.result, QueryResult)
        return commit.result


@pytest.fixture
async def asked(redis: Redis, keys: Keys, redis_url: str) -> AsyncGenerator[Asked]:
    async with OllamaServer() as server:
        settings = WorkerSettings(
            redis_url=redis_url,
            environment=keys.environment,
            chat_model="qwen3.5:4b",
            embedding_model="nomic-embed-text",
            ollama_base_url=server.url,
        )
        async with open_models(settings, redis, keys) as models:
            desk = await open_desk(redis, keys, models.embedder)
            await record(desk)
            yield Asked(server, QueryJobs(await desk.graph(models.chat)))


async def record(desk: Desk) -> None:
    page = scan_result(finding("label", "a", "b"), url="https://shop.example/cart", title="Cart", scan_id="cart-1")
    await desk.record(page)


async def test_a_model_on_ollama_looks_things_up_and_answers_with_its_sources(asked: Asked):
    asked.server.tool_calls.append({"name": "search_scans", "arguments": {"order": "worst"}})
    asked.server.answers.extend(["I look it up.", "The cart page [scan cart-1]."])

    result = await asked.ask(WORST)

    first, second = asked.server.calls()
    assert [tool["function"]["name"] for tool in first.body["tools"]][:2] == ["search_scans", "get_scan"]
    assert second.body["messages"][-1]["role"] == "tool"
    assert json.loads(second.body["messages"][-1]["content"])["scans"][0]["scan"] == "cart-1"
    assert (result.answer, result.sources, result.notes) == ("The cart page [scan cart-1].", ("cart-1",), ())
    assert (result.model, result.prompt[:4]) == ("qwen3.5:4b", "ask-")
    assert result.usage.prompt_tokens > 0
    assert result.usage.output_tokens > 0


async def test_a_follow_up_carries_the_turn_before(asked: Asked):
    asked.server.answers.extend(["The cart page [scan made-up].", "The cart page [scan cart-1].", "Its labels."])
    await asked.ask(WORST, job="q1", thread_id="a")

    await asked.ask("What is wrong there?", job="q2", thread_id="a")

    first, second, third, fourth = (call.body["messages"] for call in asked.server.calls())
    assert [one["role"] for one in second[1:]] == ["user", "assistant", "tool"]  # looked up for it
    assert json.loads(second[-1]["content"])["scans"][0]["scan"] == "cart-1"
    assert [(one["role"], one["content"]) for one in third[1:]] == [
        ("user", WORST),
        ("assistant", "The cart page [scan cart-1]."),
        ("user", "What is wrong there?"),
    ]
    assert (len(first), fourth[-1]["role"]) == (2, "tool")


async def test_what_is_asked_in_other_words_costs_no_further_model_call(asked: Asked):
    # Cosine distances: 0.05 between the first two, 0.2 from the third to the first.
    asked.server.meanings = {
        "what is WCAG?": [1.0, 0.0],
        "explain WCAG to me": [0.95, (1 - 0.95**2) ** 0.5],
        "what is ARIA?": [0.8, -0.6],
    }
    said = ["The Web Content Accessibility Guidelines.", "Roles, states and properties."]
    asked.server.answers.extend(one for one in said for _ in range(2))  # once more after a look-up

    first = await asked.ask("what is WCAG?", job="q1")
    second = await asked.ask("explain WCAG to me", job="q2")
    third = await asked.ask("what is ARIA?", job="q3")

    assert (first.cached, second.cached, third.cached) == (False, True, False)
    assert second.answer == first.answer == f"{NO_SCAN_SAYS}The Web Content Accessibility Guidelines."
    assert second.notes[0] == first.notes[0] == "the answer is not based on a scan"
    assert "to the question: what is WCAG?" in second.notes[1]
    assert len(asked.server.calls()) == 4


async def test_an_answer_that_ran_into_its_limit_is_a_failure_and_no_answer(asked: Asked):
    asked.server.faults.append(Fault("length"))

    with pytest.raises(AnswerTruncated, match="CHAT_MAX_OUTPUT"):
        await asked.ask(WORST, use_cache=False)


async def test_a_question_s_model_call_waits_as_interactive_work_of_its_job(asked: Asked, redis: Redis, keys: Keys):
    asked.server.call_s = 0.5
    asking = asyncio.create_task(asked.ask(WORST, use_cache=False))
    await asked.server.wait_for_calls(1)

    (held,) = [json.loads(one) for one in await cast("Awaitable[list[bytes]]", redis.hvals(keys.gpu_calls))]
    result = await asking

    assert (held["job"], held["priority"]) == ("q1", "interactive")
    assert result.usage.gpu_ms >= 400
