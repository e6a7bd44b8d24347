"""Failing model calls on an Ollama stub over real HTTP: each has a visible outcome and frees its slot."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer.errors import (
    AnswerIncomplete,
    AnswerTruncated,
    ContextExceeded,
    ModelBusy,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelTimeout,
    ModelUnreachable,
    SettingsError,
)
from producer.keys import Keys
from producer.settings import DAY_S
from tests.support.gpu import DEADLINE_S, holders, view_of
from tests.support.ollama_models import ASK, Open, pool_of
from tests.support.ollama_protocol import CHAT, StubModel
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.queue import until
from worker.agent.conversation.tool_args import TOOLS
from worker.gpu.hosts import Host, parse_hosts
from worker.models.ollama import fleet, http
from worker.models.ollama.fleet import OllamaFleet
from worker.models.ollama.http import OllamaClient, TrackedStream, responses_closed
from worker.models.protocols import Message
from worker.models.slot_calls import Done, GpuCalls, Spent
from worker.models.usage import UsageLedger
from worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("fault", "error", "words", "tries"),
    [
        (Fault("drop"), AnswerIncomplete, "dropped the connection", 3),
        (Fault("half_line"), AnswerIncomplete, "the protocol|dropped", 3),
        (Fault("silence"), AnswerIncomplete, "stopped in the middle of its answer after 0 characters", 3),
        (Fault("no_done"), AnswerIncomplete, "stopped in the middle of its answer after 35 characters", 3),
        (Fault("nonsense"), AnswerIncomplete, "gave an invalid answer", 3),
        (Fault("loaded_only"), AnswerIncomplete, "stopped in the middle of its answer after 0 characters", 3),
        (Fault("mid_error"), ModelError, "failed during its answer: llama runner process has terminated", 3),
        (Fault("status", status=500, text="runner died"), ModelError, r"failed \(500\): runner died", 3),
        (Fault("status", status=503, text="server busy"), ModelBusy, r"overloaded \(503\): server busy", 3),
        (Fault("stall"), ModelTimeout, "did not answer within", 1),
        (Fault("load", seconds=30), ModelTimeout, "did not answer within", 1),
        (Fault("status", status=400, text="bad option"), ModelRefused, r"refuses the request \(400\): bad option", 1),
        (Fault("status", status=400, text="exceeds the context length"), ContextExceeded, "too long", 1),
        (Fault("length"), AnswerTruncated, "all of its 2048 tokens for its answer", 1),
        (Fault("only_thinks"), AnswerTruncated, "thinking, and gave no answer", 1),
        (Fault("cut_prompt", tokens=3), ContextExceeded, "evaluated 3 tokens", 1),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
async def test_a_failed_chat_call_is_reported_and_frees_its_slot(
    open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys, fault: Fault, error: type, words: str, tries: int
):
    is_slow = fault.name in {"stall", "load"}
    models = await open_with(ollama.url, chat_timeout_s=0.5 if is_slow else 30.0, chat_stall_s=0.2 if is_slow else 30.0)
    ollama.faults.extend([fault] * 3)

    with pytest.raises(error, match=words) as caught:
        await models.chat.chat(ASK)

    assert type(caught.value) is error
    assert len(ollama.calls()) == tries
    assert await holders(redis, keys) == {}
    async with pool_of(models).acquire("chat", timeout_s=DEADLINE_S):
        pass


@pytest.mark.parametrize("name", ["drop", "half_line", "silence", "no_done", "mid_error", "status", "loaded_only"])
async def test_a_call_that_went_wrong_once_is_made_again(open_with: Open, ollama: OllamaServer, name: str):
    models = await open_with(ollama.url)
    ollama.faults.append(Fault(name))

    reply = await models.chat.chat(ASK)

    assert reply.text == ollama.answer
    assert reply.usage.calls == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("drop"), AnswerIncomplete),
        (Fault("too_few"), AnswerIncomplete),
        (Fault("stall"), ModelTimeout),
        (Fault("dims", tokens=5), ModelError),
        (Fault("status", status=503), ModelBusy),
        (Fault("status", status=400, text="the input length exceeds the context length"), ContextExceeded),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
async def test_a_failed_embedding_is_reported_and_frees_its_slot(
    open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys, fault: Fault, error: type
):
    models = await open_with(ollama.url, embed_timeout_s=0.3 if fault.name == "stall" else 30.0)
    ollama.faults.extend([fault] * 3)

    with pytest.raises(error) as caught:
        await models.embedder.embed_documents(["a", "b"])

    assert type(caught.value) is error
    assert await holders(redis, keys) == {}


@pytest.mark.parametrize("text", ["-" * 20_000, "[" * 20_000], ids=["dashes", "brackets"])
async def test_text_that_the_library_cannot_read_in_a_call_is_an_invalid_answer(
    open_with: Open, ollama: OllamaServer, text: str
):
    models = await open_with(ollama.url)
    ollama.tool_calls.append({"name": "search_scans", "arguments": {"text": text}})

    reply = await models.chat.chat(ASK, tools=TOOLS)

    assert (reply.text, reply.usage.calls) == (ollama.answer, 2)


async def test_a_host_that_answers_drop_by_drop_is_unhealthy(monkeypatch: pytest.MonkeyPatch):
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    monkeypatch.setattr(http, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setattr(http, "LOOK_TIMEOUT_S", 0.1)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        client = OllamaClient(parse_hosts(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")[0])
        try:
            with pytest.raises(ModelTimeout, match=r"did not answer within 0\.2 s"):
                await asyncio.wait_for(client.check(), DEADLINE_S)
        finally:
            await client.close()


async def test_a_model_that_loads_slowly_is_waited_for(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url, chat_stall_s=0.3, chat_timeout_s=10)
    ollama.faults.append(Fault("load", seconds=0.4))

    reply = await models.chat.chat(ASK)

    assert reply.usage.calls == 1
    assert reply.usage.gpu_ms >= 400


async def test_a_prompt_over_the_context_reaches_no_host(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    with pytest.raises(ContextExceeded, match="CHAT_NUM_CTX"):
        await models.chat.chat([Message("user", "word " * 5_000)])

    assert ollama.calls() == []


async def test_a_model_with_a_smaller_context_is_not_sent_more_than_it_holds(open_with: Open, ollama: OllamaServer):
    ollama.models[CHAT.name] = StubModel(CHAT.name, context=4096)
    models = await open_with(ollama.url)

    await models.chat.chat(ASK)

    assert ollama.calls()[0].body["options"]["num_ctx"] == 4096
    with pytest.raises(ContextExceeded):
        await models.chat.chat([Message("user", "word " * 1_500)])


async def test_a_missing_model_is_reported_with_the_command_and_found_later(
    open_with: Open, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet, "LOOK_AGAIN_S", 0.01)
    del ollama.models[CHAT.name]

    with capture_logs() as logs:
        models = await open_with(ollama.url)
        with pytest.raises(ModelMissing, match=r"run there: ollama pull qwen3\.5:4b$"):
            await models.chat.chat(ASK)
        assert ollama.calls() == []
        ollama.models[CHAT.name] = CHAT
        await until(lambda: "model.found" in [entry["event"] for entry in logs], what="the model")

    assert (await models.chat.chat(ASK)).text == ollama.answer
    assert [entry["type"] for entry in logs if entry["event"] == "model.missing"] == ["ollama pull qwen3.5:4b"]


async def test_a_model_removed_while_the_worker_runs_is_reported_missing_once(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)
    del ollama.models[CHAT.name]

    with pytest.raises(ModelMissing, match=r"ollama pull qwen3\.5:4b"):
        await models.chat.chat(ASK)
    with pytest.raises(ModelMissing, match=r"ollama pull qwen3\.5:4b"):
        await models.chat.chat(ASK)

    assert len(ollama.calls()) == 1


async def test_an_ollama_that_is_away_ends_no_worker_and_is_used_once_it_is_there(
    open_with: Open, redis: Redis, keys: Keys
):
    late = OllamaServer()
    async with late:
        pass

    with capture_logs() as logs:
        models = await open_with(late.url)
        with pytest.raises(ModelUnreachable, match="no model host answers at"):
            await models.chat.chat(ASK)
        async with late:
            while not (await view_of(pool_of(models))).hosts[0].is_up:
                pass
            reply = await models.chat.chat(ASK)

    assert reply.text == late.answer
    assert models.embedder.dims == 768
    assert "model.host_unreachable" in [entry["event"] for entry in logs]
    assert await holders(redis, keys) == {}


async def test_an_unknown_embedding_model_on_an_absent_ollama_is_refused_in_words(open_with: Open):
    with pytest.raises(SettingsError, match=r"ollama pull unheard-of; or set EMBEDDING_DIMS"):
        await open_with("http://127.0.0.1:1", embedding_model="unheard-of")

    models = await open_with("http://127.0.0.1:1", embedding_model="unheard-of", embedding_dims=5)

    assert models.embedder.dims == 5


async def test_a_name_that_cannot_be_a_models_is_refused(open_with: Open):
    with pytest.raises(SettingsError, match="CHAT_MODEL is 'not a model': expected a model's name"):
        await open_with("http://127.0.0.1:1", chat_model="not a model")


async def test_a_cancelled_call_closes_its_connection_before_its_slot_is_free(
    open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys
):
    models = await open_with(ollama.url)
    ollama.faults.append(Fault("stall"))
    calling = asyncio.create_task(models.chat.chat(ASK))
    await ollama.wait_for_calls(1)

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    after = await models.chat.chat(ASK)

    first, second = ollama.calls()
    assert after.text == ollama.answer
    assert first.end == "left"
    assert first.ended <= second.arrived
    assert await holders(redis, keys) == {}


async def test_a_response_that_nobody_closed_is_closed_at_the_end_of_the_call(ollama: OllamaServer):
    ollama.faults.append(Fault("stall"))
    client = OllamaClient(parse_hosts(ollama.url)[0])
    http = httpx.AsyncClient(base_url=ollama.url, transport=client.transport)
    body = {"model": CHAT.name, "messages": []}

    async with responses_closed():
        left_open = await http.send(http.build_request("POST", "/api/chat", json=body), stream=True)
    await asyncio.wait_for(ollama.all_ended(), DEADLINE_S)

    assert left_open.status_code == 200
    assert [call.end for call in ollama.calls()] == ["left"]
    await client.close()


async def test_a_slot_is_not_given_back_before_its_response_is_closed(
    ollama: OllamaServer, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    ollama.faults.append(Fault("stall"))
    hosts = OllamaFleet(WorkerSettings(ollama_base_url=ollama.url), redis, keys)
    calls = GpuCalls(hosts, UsageLedger(redis, keys, ttl_s=400 * DAY_S), wait_s=5)
    left_open: list[httpx.Response] = []
    steps: list[str] = []
    close, release = TrackedStream.aclose, hosts.pool._scripts.release

    async def closing(stream: TrackedStream) -> None:
        await close(stream)
        steps.append("closed")

    async def releasing(token: str) -> tuple[str, int]:
        steps.append("released")
        return await release(token)

    async def forgetful(host: Host, spent: Spent) -> Done[None]:
        del spent
        http = httpx.AsyncClient(base_url=host.address, transport=hosts.clients[host.name].transport)
        request = http.build_request("POST", "/api/chat", json={"model": CHAT.name, "messages": []})
        left_open.append(await http.send(request, stream=True))
        msg = "cut at its limit"
        raise AnswerTruncated(msg)

    await hosts.open()
    monkeypatch.setattr(TrackedStream, "aclose", closing)
    monkeypatch.setattr(hosts.pool._scripts, "release", releasing)
    with pytest.raises(AnswerTruncated):
        await calls.call("chat", CHAT.name, forgetful)

    await asyncio.wait_for(ollama.all_ended(), DEADLINE_S)
    assert (len(left_open), steps[:2]) == (1, ["closed", "released"])
    await hosts.close()
