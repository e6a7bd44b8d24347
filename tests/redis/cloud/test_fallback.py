"""Which calls go to the cloud: complex questions, an unreachable Ollama, too long prompts; up to the share."""

from __future__ import annotations

import asyncio
import json

import pytest
from redis.asyncio import Redis

from producer.contract import QueryRequest, QueryResult
from producer.errors import ModelMissing, ModelUnreachable
from producer.keys import Keys
from tests.redis.agent.asking import open_desk
from tests.redis.agent.scanning import BARRIERS, graph, run
from tests.redis.cloud.conftest import NOBODY, OpenModels
from tests.support.ollama_protocol import CHAT, StubModel
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.openai_server import MODEL, CloudFault, OpenAIServer
from tests.support.scans import FixedEngine
from worker.agent.conversation.citations import NO_SCAN_SAYS
from worker.agent.conversation.tool_args import TOOLS
from worker.agent.handlers import QueryJobs
from worker.agent.state import QueryContext
from worker.models.cloud.fallback import SPENT
from worker.models.job_context import serving
from worker.models.ollama.abilities import NO_TOOLS
from worker.models.protocols import ChatReply, Message

ASK = [Message("user", "What is wrong?")]
WHY = "complex: it asks several questions"


async def test_a_call_stays_local_while_ollama_answers(open_worker: OpenModels, cloud: OpenAIServer):
    async with OllamaServer() as ollama:
        models = await open_worker(ollama_base_url=ollama.url)

        reply = await models.chat.chat(ASK)

    assert (reply.model, reply.reason) == ("qwen3.5:4b", "")
    assert cloud.calls == []


async def test_an_answer_from_look_ups_that_rules_chose_says_so_also_with_a_cloud_behind_it(
    open_worker: OpenModels, cloud: OpenAIServer
):
    async with OllamaServer(StubModel(CHAT.name, capabilities=("completion",))) as ollama:
        models = await open_worker(ollama_base_url=ollama.url, fallback_share=0.0)

        plain = await models.chat.chat(ASK, tools=TOOLS)
        with serving("q1", "interactive", complex_because=WHY):
            complex_one = await models.chat.chat(ASK, tools=TOOLS)

    assert plain.reason == NO_TOOLS
    assert complex_one.reason == f"{WHY}, but {SPENT}; {NO_TOOLS}"
    assert cloud.calls == []


async def test_a_complex_question_goes_to_the_cloud_and_says_why(open_worker: OpenModels, cloud: OpenAIServer):
    async with OllamaServer() as ollama:
        models = await open_worker(ollama_base_url=ollama.url)
        with serving("q1", "interactive", complex_because=WHY):
            reply = await models.chat.chat(ASK)

        assert (reply.model, reply.reason) == (MODEL, WHY)
        assert ollama.calls() == []
    assert len(cloud.calls) == 1


async def test_a_complex_question_beyond_the_share_is_answered_locally_and_says_so(
    open_worker: OpenModels, cloud: OpenAIServer
):
    async with OllamaServer() as ollama:
        models = await open_worker(ollama_base_url=ollama.url, fallback_share=0.5)
        with serving("q1", "interactive", complex_because=WHY):
            replies = [await models.chat.chat(ASK) for _ in range(4)]

    assert [reply.model for reply in replies] == [MODEL, "qwen3.5:4b", MODEL, "qwen3.5:4b"]
    assert replies[1].reason == f"{WHY}, but {SPENT}"
    assert len(cloud.calls) == 2


async def test_a_complex_question_whose_cloud_fails_is_answered_locally(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.append(CloudFault("status", 400, "no"))
    async with OllamaServer() as ollama:
        models = await open_worker(ollama_base_url=ollama.url)
        with serving("q1", "interactive", complex_because=WHY):
            reply = await models.chat.chat(ASK)

    assert reply.model == "qwen3.5:4b"
    assert reply.reason.startswith(f"{WHY}, but the cloud failed: ")


async def test_without_ollama_the_cloud_answers_up_to_its_share_and_then_no_model_does(
    open_worker: OpenModels, cloud: OpenAIServer
):
    models = await open_worker(fallback_share=0.25)

    answers = await asyncio.gather(*(models.chat.chat(ASK) for _ in range(8)), return_exceptions=True)

    assert [one.reason for one in answers if isinstance(one, ChatReply)] == ["no Ollama answers"] * 2
    failures = [one for one in answers if isinstance(one, ModelUnreachable)]
    assert [str(one).endswith(SPENT) for one in failures] == [True] * 6
    assert len(cloud.calls) == 2


@pytest.mark.parametrize(("share", "answered"), [(0.1, 8), (0.0, 0)])
async def test_without_ollama_the_cloud_answers_every_question_that_waits_unless_it_is_off(
    open_worker: OpenModels, cloud: OpenAIServer, share: float, answered: int
):
    models = await open_worker(fallback_share=share)

    with serving("q1", "interactive"):
        answers = await asyncio.gather(*(models.chat.chat(ASK) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(one, ChatReply) for one in answers) == answered
    assert len(cloud.calls) == answered


async def test_a_model_that_is_not_pulled_and_a_prompt_that_does_not_fit_go_to_the_cloud(
    open_worker: OpenModels,
):
    async with OllamaServer() as ollama:
        long = await open_worker(ollama_base_url=ollama.url)
        too_long = await long.chat.chat([Message("user", "word " * 20_000)])
        other = await open_worker(ollama_base_url=ollama.url, chat_model="not-pulled:1b")
        missing = await other.chat.chat(ASK)

    assert (too_long.model, too_long.reason) == (MODEL, "the prompt does not fit the local model's context")
    assert (missing.model, missing.reason) == (MODEL, "the local model is not pulled")


async def test_a_wrong_answer_or_an_overloaded_ollama_stays_local(open_worker: OpenModels, cloud: OpenAIServer):
    async with OllamaServer() as ollama:
        ollama.faults.extend([Fault("status", status=503), Fault("no_done")])
        models = await open_worker(ollama_base_url=ollama.url)

        reply = await models.chat.chat(ASK)

    assert reply.model == "qwen3.5:4b"
    assert cloud.calls == []


async def test_if_both_fail_both_are_reported(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.append(CloudFault("status", 401))
    models = await open_worker()

    with pytest.raises(ModelUnreachable, match=r"the cloud failed too: .*refuses the key"):
        await models.chat.chat(ASK)

    async with OllamaServer() as ollama:
        other = await open_worker(ollama_base_url=ollama.url, chat_model="not-pulled:1b", fallback_share=0.0)
        with pytest.raises(ModelMissing, match="FALLBACK_SHARE"):
            await other.chat.chat(ASK)


# ---------------------------------------------------------------------------------------------- whole jobs


async def test_a_question_asked_while_ollama_is_gone_says_which_model_answered_and_why(
    open_worker: OpenModels, cloud: OpenAIServer, redis: Redis, keys: Keys
):
    models = await open_worker()
    desk = await open_desk(redis, keys)
    cloud.answer = "Nothing is known."
    asking = await desk.graph(models.chat)

    result = await asking.run("q1", QueryRequest(question="What is wrong?"), QueryContext(submitted_ms=1))

    assert (result.answer, result.model, result.model_reason) == (
        f"{NO_SCAN_SAYS}Nothing is known.",
        MODEL,
        "no Ollama answers",
    )
    assert (result.usage.prompt_tokens > 0, result.usage.gpu_ms) == (True, 0)


async def test_the_job_of_a_complex_question_goes_to_the_cloud(open_worker: OpenModels, redis: Redis, keys: Keys):
    async with OllamaServer() as ollama:
        models = await open_worker(ollama_base_url=ollama.url)
        jobs = QueryJobs(await (await open_desk(redis, keys)).graph(models.chat))
        complex_question = {"question": "Compare the shop and the blog.", "use_cache": False}

        hard = (await jobs.run({"job_id": "q1"}, complex_question)).result
        easy = (await jobs.run({"job_id": "q2"}, {"question": "What is wrong?", "use_cache": False})).result

    assert isinstance(hard, QueryResult)
    assert isinstance(easy, QueryResult)
    assert (hard.model, hard.model_reason) == (MODEL, "complex: the question says 'compare'")
    assert (easy.model, easy.model_reason) == ("qwen3.5:4b", "")


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_scan_delivers_its_findings_marked_with_and_without_a_fallback(
    open_worker: OpenModels, cloud: OpenAIServer, redis: Redis, keys: Keys, share: float
):
    models = await open_worker(fallback_share=share)
    cloud.answer = json.dumps({"summary": "Mend it.", "priorities": []})
    desk = await open_desk(redis, keys)
    scans = graph(FixedEngine([BARRIERS]), desk.history, keys, chat=models.chat)

    result, _ = await run(keys, scans, "s1")

    assert result.findings == BARRIERS.findings
    if share:
        assert result.assessment is not None
        assert (result.assessment_source, result.assessment.model_reason) == (MODEL, "no Ollama answers")
    else:
        assert result.assessment is None
        assert result.assessment_source.startswith(f"none: qwen3.5:4b: no model host answers at '{NOBODY}'")
