"""Successful model calls through slots to an Ollama stub over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer.keys import Keys
from tests.support.gpu import view_of
from tests.support.ollama_models import ASK, Open, pool_of
from tests.support.ollama_protocol import StubModel
from tests.support.ollama_server import Fault, OllamaServer, most_at_once
from worker.models.job_context import serving
from worker.models.protocols import Message, Tool


async def test_a_question_is_answered_and_its_cost_is_shown(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    reply = await models.chat.chat(ASK)

    assert reply.text == ollama.answer
    assert reply.model == "qwen3.5:4b"
    assert (reply.usage.calls, reply.usage.output_tokens) == (1, 5)
    assert reply.usage.prompt_tokens > 10
    assert reply.usage.gpu_ms > 0


async def test_the_request_fixes_context_thinking_length_and_keep_alive(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    await models.chat.chat(ASK)

    body = ollama.calls()[0].body
    assert body["options"] == {"num_ctx": 8192, "num_predict": 2048, "temperature": 0.0}
    assert (body["think"], body["keep_alive"], body["stream"]) == (False, 1800, True)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


async def test_a_schema_is_sent_as_the_format(open_with: Open, ollama: OllamaServer):
    schema = {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]}
    models = await open_with(ollama.url)

    reply = await models.chat.chat(ASK, schema=schema)

    assert ollama.calls()[0].body["format"] == schema
    assert reply.text == '{"summary": "text"}'


async def test_a_model_may_ask_for_a_tool_and_go_on_with_its_answer(open_with: Open, ollama: OllamaServer):
    tool = Tool("search_scans", "Find scans.", {"type": "object", "properties": {"text": {"type": "string"}}})
    ollama.tool_calls.append({"name": "search_scans", "arguments": {"text": "images"}})
    models = await open_with(ollama.url)

    asked = await models.chat.chat(ASK, tools=[tool])
    answers = [Message("assistant", asked.text, calls=asked.calls)]
    answers += [Message("tool", "3 scans", call_id=call.id, tool=call.name) for call in asked.calls]
    reply = await models.chat.chat([*ASK, *answers], tools=[tool])

    assert [(call.name, call.arguments) for call in asked.calls] == [("search_scans", {"text": "images"})]
    assert asked.calls[0].id
    assert (asked.text, reply.text, reply.calls) == ("", ollama.answer, ())
    first, second = (call.body for call in ollama.calls())
    assert first["tools"][0]["function"]["name"] == "search_scans"
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert second["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"text": "images"}
    assert second["messages"][3]["content"] == "3 scans"


async def test_texts_are_embedded_in_batches_with_the_models_prefixes(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    kept = await models.embedder.embed_documents([f"text {number}" for number in range(70)])
    asked = await models.embedder.embed_queries(["text 0"])

    calls = ollama.calls("/api/embed")
    assert [len(call.body["input"]) for call in calls] == [32, 32, 6, 1]
    assert calls[0].body["input"][0] == "search_document: text 0"
    assert calls[3].body["input"] == ["search_query: text 0"]
    assert kept.vectors.shape == (70, 768)
    assert kept.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(kept.vectors, axis=1), 1.0, atol=1e-5)
    assert (kept.usage.calls, asked.usage.calls) == (3, 1)
    assert kept.usage.prompt_tokens > 0


async def test_no_texts_are_no_call(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    reply = await models.embedder.embed_documents([])

    assert reply.vectors.shape == (0, 768)
    assert ollama.calls("/api/embed") == []


async def test_a_text_over_the_context_is_cut_and_the_log_says_so(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    with capture_logs() as logs:
        await models.embedder.embed_documents(["word " * 5_000])

    body = ollama.calls("/api/embed")[0].body
    assert len(body["input"][0]) < 2048 * 3
    assert body["truncate"] is False
    assert [entry["texts"] for entry in logs if entry["event"] == "model.text_cut"] == [1]


async def test_a_text_that_the_model_finds_too_long_is_shortened_until_it_is_taken(
    open_with: Open, ollama: OllamaServer
):
    ollama.most_chars = 300
    models = await open_with(ollama.url)
    poison = "0f3a" * 400

    with capture_logs() as logs:
        reply = await models.embedder.embed_documents(["before", poison, "after"])

    taken = [text for call in ollama.calls("/api/embed") for text in call.body["input"] if len(text) <= 300]
    alone = await models.embedder.embed_documents(["after"])
    assert reply.vectors.shape == (3, 768)
    assert np.allclose(reply.vectors[2], alone.vectors[0])
    assert any("0f3a" * 40 in text for text in taken)
    assert [entry["texts"] for entry in logs if entry["event"] == "model.text_cut"] == [1]
    assert list(reply.shortened) == [1]
    assert 0 < reply.shortened[1] <= 300


async def test_the_models_are_changed_by_their_settings_alone(open_with: Open, ollama: OllamaServer):
    small = StubModel("all-minilm:latest", family="bert", context=512, dims=384)
    ollama.models |= {"llama3.2:3b": StubModel("llama3.2:3b", family="llama"), small.name: small}
    models = await open_with(ollama.url, chat_model="llama3.2:3b", embedding_model="all-minilm")

    reply, vectors = await models.chat.chat(ASK), await models.embedder.embed_documents(["a"])

    assert (reply.model, ollama.calls()[0].model) == ("llama3.2:3b", "llama3.2:3b")
    assert (vectors.vectors.shape, models.embedder.dims) == ((1, 384), 384)
    assert ollama.calls("/api/embed")[0].body["input"] == ["a"]
    assert ollama.calls("/api/embed")[0].body["options"] == {"num_ctx": 512}


async def test_builtin_models_ask_no_ollama(open_with: Open):
    models = await open_with("http://127.0.0.1:1", chat_model="builtin", embedding_model="builtin")

    assert (models.chat.name, models.embedder.name, models.pool) == ("builtin", "builtin", None)


async def test_calls_are_logged_and_summed_by_day(open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys):
    models = await open_with(ollama.url)
    ollama.faults.append(Fault("drop"))

    with capture_logs() as logs, serving("job-7", "interactive"):
        reply = await models.chat.chat(ASK)
        await models.embedder.embed_documents(["a"])

    told = [(entry["event"], entry["kind"], entry["job_id"]) for entry in logs if entry["event"].startswith("model.")]
    assert told == [
        ("model.failed", "chat", "job-7"),
        ("model.answered", "chat", "job-7"),
        ("model.answered", "embed", "job-7"),
    ]
    assert not any("wrong with this page" in str(entry) for entry in logs)
    client = cast("Any", redis)
    key = keys.usage(datetime.now(UTC).date().isoformat())
    sums = {name.decode(): int(value) for name, value in (await client.hgetall(key)).items()}
    assert sums["chat:calls:qwen3.5:4b"] == 2
    assert sums["chat:failed:qwen3.5:4b"] == 1
    assert sums["chat:prompt_tokens:qwen3.5:4b"] == reply.usage.prompt_tokens
    assert sums["embed:calls:nomic-embed-text"] == 1
    assert 399 * 86_400 < await client.ttl(key) <= 400 * 86_400


async def test_a_job_waits_with_the_priority_of_its_lane(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)
    async with pool_of(models).acquire("chat"):
        with serving("job-7", "interactive"):
            calling = asyncio.create_task(models.chat.chat(ASK))
        while not (waiters := (await view_of(pool_of(models))).waiters):
            pass

    await calling

    assert [(waiter.job, waiter.priority) for waiter in waiters] == [("job-7", "interactive")]


async def test_many_calls_reach_the_host_one_at_a_time(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)
    ollama.call_s = 0.01

    await asyncio.gather(*(models.chat.chat(ASK) for _ in range(12)))

    assert len(ollama.calls()) == 12
    assert most_at_once(ollama.calls()) == 1
