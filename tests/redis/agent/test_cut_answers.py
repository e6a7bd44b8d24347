"""An Ollama that cuts its answers: what was complete is kept, at whatever token the end came."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.explaining import explains
from tests.support.gpu import USUAL
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.scans import finding, scan_result
from worker.agent.assessment.barriers import barriers_of
from worker.agent.assessment.explain import Explanation, explain_page
from worker.agent.assessment.shared_answers import OwnAnswers
from worker.models.protocols import ChatModel
from worker.models.routing import open_models
from worker.settings import WorkerSettings

PAGE = scan_result(finding("image-alt", "a"), finding("label", "b"))
TOKEN = 8


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    async with OllamaServer() as server:
        server.token_chars, server.answer_of = TOKEN, explains
        yield server


@pytest.fixture
async def chat(ollama: OllamaServer, redis: Redis, keys: Keys) -> AsyncGenerator[ChatModel]:
    settings = WorkerSettings(ollama_base_url=ollama.url, embedding_model="builtin")
    async with open_models(settings, redis, keys, timing=USUAL) as models:
        yield models.chat


async def test_an_answer_cut_at_any_token_keeps_what_was_complete_and_the_rest_is_asked_for_again(
    chat: ChatModel, ollama: OllamaServer
):
    await explain_page(chat, PAGE, OwnAnswers[Explanation]())
    body = ollama.calls()[0].body
    text = explains(body)
    complete = [end for end in range(1, len(text)) if text[end - 1] == "}"]
    wanted = {barrier.digest for barrier in barriers_of(PAGE, model=chat.name)}

    for tokens in range(1, len(text) // TOKEN + 1):
        ollama.faults.append(Fault("length", tokens=tokens))
        calls = len(ollama.calls())
        answers = OwnAnswers[Explanation]()
        verdict = await explain_page(chat, PAGE, answers)

        kept = sum(end <= tokens * TOKEN for end in complete)
        assert verdict.assessment is not None
        assert (verdict.assessment.left_out, verdict.notes) == (0, ())
        assert {digest for digest, one in answers.known.items() if one.is_told} == wanted
        again = [call.body["messages"][1]["content"].count('"barrier"') for call in ollama.calls()[calls + 1 :]]
        assert sum(again) == len(wanted) - kept, (tokens, again)
