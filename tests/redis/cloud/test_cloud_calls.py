"""The cloud's adapter against an endpoint that speaks OpenAI's protocol over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer import errors
from producer.errors import DependencyMissing, ModelError, SettingsError
from producer.keys import Keys
from tests.redis.cloud.conftest import OpenModels
from tests.support.openai_server import KEY, MODEL, CloudFault, OpenAIServer
from worker.models.cloud.fallback import FallbackChat
from worker.models.protocols import ChatModel, Message, Tool, ToolCall
from worker.models.routing import Models, fallback_key
from worker.settings import WorkerSettings

ASK = [Message("system", "Be brief."), Message("user", "What is wrong?")]
SOON = "0.01"
"""Retry-After; for 0 the library waits for half a second."""
REMEMBER = Tool("remember", "Keep this.", {"type": "object", "properties": {"words": {"type": "string"}}})


def cloud_of(models: Models) -> ChatModel:
    assert isinstance(models.chat, FallbackChat)
    return models.chat.cloud


async def usage_of(redis: Redis, keys: Keys) -> dict[str, int]:
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}usage:*")]
    fields = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(names[0])) if names else {}
    return {name.decode(): int(value) for name, value in fields.items()}


async def test_a_question_is_answered_counted_and_takes_no_slot(
    open_worker: OpenModels, cloud: OpenAIServer, redis: Redis, keys: Keys
):
    models = await open_worker()

    reply = await cloud_of(models).chat(ASK)

    assert (reply.text, reply.model, reply.calls) == (cloud.answer, MODEL, ())
    assert (reply.usage.calls, reply.usage.gpu_ms, reply.usage.gpu_wait_ms) == (1, 0, 0)
    sums = await usage_of(redis, keys)
    assert sums == {
        f"cloud:calls:{MODEL}": 1,
        f"cloud:prompt_tokens:{MODEL}": reply.usage.prompt_tokens,
        f"cloud:output_tokens:{MODEL}": 5,
    }
    (call,) = cloud.calls
    assert [message["role"] for message in call.body["messages"]] == ["system", "user"]
    assert (call.body["max_tokens"], call.headers["authorization"]) == (2048, f"Bearer {KEY}")
    assert "temperature" not in call.body


async def test_a_schema_is_sent_as_the_response_format_and_its_answer_comes_as_it_is(
    open_worker: OpenModels, cloud: OpenAIServer
):
    schema = {"type": "object", "properties": {"summary": {"type": "string"}}}
    models = await open_worker()

    bound = await cloud_of(models).chat(ASK, schema=schema)
    cloud.answers.append("Not JSON at all.")
    prose = await cloud_of(models).chat(ASK, schema=schema)

    assert json.loads(bound.text) == {"summary": "text"}
    assert prose.text == "Not JSON at all."
    assert cloud.calls[0].body["response_format"]["json_schema"]["schema"] == schema


async def test_a_model_may_ask_for_a_tool_and_go_on_with_its_answer(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.tool_calls.append({"name": "remember", "arguments": {"words": "we ship in May"}})
    chat = cloud_of(await open_worker())

    first = await chat.chat(ASK, tools=[REMEMBER])
    said = Message("assistant", first.text, calls=first.calls)
    told = Message("tool", '{"done": true}', call_id=first.calls[0].id, tool="remember")
    second = await chat.chat([*ASK, said, told], tools=[REMEMBER])

    assert first.calls == (ToolCall("remember", {"words": "we ship in May"}, "call_abc"),)
    assert second.text == cloud.answer
    assert cloud.calls[1].body["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call_abc",
        "content": '{"done": true}',
    }


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (CloudFault("status", 401, "bad key"), errors.ModelRefused, "check FALLBACK_API_KEY"),
        (CloudFault("status", 429, "slow down", SOON), errors.ModelBusy, "(429): "),
        (CloudFault("status", 500, "oops", SOON), errors.ModelError, "failed (500): "),
        (CloudFault("status", 400, "maximum context length is 8192"), errors.ContextExceeded, "too long"),
        (CloudFault("status", 422, "no such field"), errors.ModelRefused, "(422): "),
        (CloudFault("status", 302), errors.ModelRefused, "(302)"),
        (CloudFault("silence"), errors.ModelTimeout, "did not answer within"),
        (CloudFault("stall"), errors.ModelTimeout, "did not answer within"),
        (CloudFault("drop"), errors.AnswerIncomplete, "dropped the connection"),
        (CloudFault("mid_error"), errors.ModelError, "during its answer"),
        (CloudFault("nonsense"), errors.AnswerIncomplete, "gave an invalid answer"),
        (CloudFault("no_finish"), errors.AnswerIncomplete, "stopped in the middle of its answer"),
        (CloudFault("length"), errors.AnswerTruncated, "CHAT_MAX_OUTPUT"),
        (CloudFault("content_filter"), errors.ModelRefused, "content filter"),
    ],
    ids=lambda value: f"{value.name}-{value.status}" if isinstance(value, CloudFault) else "",
)
async def test_a_failed_call_is_reported_counted_and_shows_no_key(
    open_worker: OpenModels,
    cloud: OpenAIServer,
    redis: Redis,
    keys: Keys,
    fault: CloudFault,
    error: type[ModelError],
    said: str,
):
    cloud.faults.extend([fault] * 2)
    is_slow = fault.name in {"silence", "stall"}
    models = await open_worker(chat_timeout_s=0.5 if is_slow else 60.0, chat_stall_s=0.25 if is_slow else 60.0)

    with capture_logs() as logs, pytest.raises(error) as caught:
        await cloud_of(models).chat(ASK)

    assert said in str(caught.value)
    assert (await usage_of(redis, keys))[f"cloud:failed:{MODEL}"] == 1
    assert KEY not in f"{caught.value} {caught.value.__cause__} {logs}"


async def test_arguments_that_are_no_json_are_no_answer(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.tool_calls.append({"name": "remember", "arguments": {}})
    cloud.faults.append(CloudFault("bad_arguments"))
    models = await open_worker()

    with pytest.raises(errors.AnswerIncomplete, match="not a JSON object"):
        await cloud_of(models).chat(ASK, tools=[REMEMBER])


async def test_arguments_with_half_of_a_surrogate_pair_are_no_answer(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.tool_calls.append({"name": "remember", "arguments": {"words": "cart \ud800"}})
    models = await open_worker()

    with pytest.raises(errors.AnswerIncomplete, match="not a JSON object"):
        await cloud_of(models).chat(ASK, tools=[REMEMBER])


async def test_an_endpoint_that_was_busy_once_is_asked_again(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.append(CloudFault("status", 429, "slow down", SOON))
    models = await open_worker()

    reply = await cloud_of(models).chat(ASK)

    assert reply.text == cloud.answer
    assert len(cloud.calls) == 2


async def test_a_key_that_the_endpoint_sends_back_is_taken_out(open_worker: OpenModels):
    secret = "sk-wrong-but-secret"  # noqa: S105  no real one
    models = await open_worker(fallback_api_key=secret)

    with capture_logs() as logs, pytest.raises(errors.ModelRefused) as caught:
        await cloud_of(models).chat(ASK)

    assert secret not in f"{caught.value} {logs}"


async def test_a_key_in_a_server_s_own_words_is_taken_out(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.append(CloudFault("status", 400, f"no model for {KEY}"))
    models = await open_worker()

    with capture_logs() as logs, pytest.raises(errors.ModelRefused, match="no model for …") as caught:
        await cloud_of(models).chat(ASK)

    assert KEY not in f"{caught.value} {logs}"


async def test_no_part_of_a_key_is_left_where_a_servers_words_are_cut(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.extend(CloudFault("status", 400, f"{'x' * length} {KEY}") for length in range(240, 300, 3))
    models = await open_worker()

    said: list[str] = []
    with capture_logs() as logs:
        for _ in range(20):
            with pytest.raises(errors.ModelRefused, match="xxx") as caught:
                await cloud_of(models).chat(ASK)
            said.append(str(caught.value))

    assert KEY[:3] not in f"{said} {logs}"


async def test_nothing_at_the_address_is_unreachable(open_worker: OpenModels):
    models = await open_worker(fallback_base_url="http://127.0.0.1:9/v1")

    with pytest.raises(errors.ModelUnreachable, match="FALLBACK_BASE_URL"):
        await cloud_of(models).chat(ASK)


async def test_missing_token_counts_of_an_endpoint_are_logged_and_not_estimated(
    open_worker: OpenModels, cloud: OpenAIServer
):
    cloud.faults.append(CloudFault("no_usage"))
    models = await open_worker()

    with capture_logs() as logs:
        reply = await cloud_of(models).chat(ASK)

    assert reply.usage.prompt_tokens == 0
    assert "cloud.tokens_unknown" in [entry["event"] for entry in logs]


async def test_a_cancelled_call_ends(open_worker: OpenModels, cloud: OpenAIServer):
    cloud.faults.append(CloudFault("silence"))
    asking = asyncio.create_task(cloud_of(await open_worker()).chat(ASK))
    assert await asyncio.to_thread(cloud.arrived.wait, 60)

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


# ---------------------------------------------------------------------------------------------- settings


def test_the_key_is_in_no_picture_of_the_settings_and_in_no_complaint():
    settings = WorkerSettings.from_env({"FALLBACK_API_KEY": KEY, "FALLBACK_MODEL": MODEL})

    assert KEY not in f"{settings!r} {settings} {asdict(settings)}"
    with pytest.raises(SettingsError, match="FALLBACK_BASE_URL is '…': Port out of range"):
        WorkerSettings.from_env({"FALLBACK_BASE_URL": "http://vllm:80000/v1"})
    with pytest.raises(SettingsError) as caught:
        WorkerSettings.from_env({"FALLBACK_BASE_URL": f"https://me:{KEY}@cloud.example/v1"})
    assert "put the key into FALLBACK_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fallback_base_url": ""}, "FALLBACK_BASE_URL is not set"),
        ({"fallback_model": "no such name"}, "expected a model's name"),
        ({"fallback_api_key": "two words"}, "only the key"),
        ({"fallback_api_key_file": "/nowhere"}, "both set"),
        ({"fallback_api_key": "", "fallback_api_key_file": "/nowhere"}, "cannot be read"),
    ],
)
async def test_a_fallback_that_is_not_wholly_set_ends_the_start_in_words(
    open_worker: OpenModels, settings: dict[str, Any], said: str
):
    with pytest.raises(SettingsError, match=said):
        await open_worker(**settings)


def test_the_key_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")

    assert fallback_key(WorkerSettings(fallback_api_key_file=str(file))) == KEY

    file.write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        fallback_key(WorkerSettings(fallback_api_key_file=str(file)))


async def test_without_the_extra_it_says_what_to_install(open_worker: OpenModels, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(__import__("sys").modules, "worker.models.cloud.chat", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "langchain_openai.chat_models.base", None)

    with pytest.raises(DependencyMissing, match=r"pip install '\S+\[cloud\]"):
        await open_worker()
