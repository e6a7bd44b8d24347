"""The Ollama stub matches recorded servers, so that tests against it do not rely on our idea of the protocol."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from tests.support.ollama_protocol import StubModel
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.ollama_wire import RECORDED

CHATS = StubModel("s1:latest", family="llama", context=512, dims=384, capabilities=("completion", "tools"))
PLAIN = StubModel("plain:latest", family="llama", context=512, dims=384, capabilities=("completion",))
EMBEDS = StubModel("m1:latest", family="bert", context=512, dims=384)
SAID = [{"role": "user", "content": "Can you?"}]
TOOL = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}
ASKED: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "version": ("GET", "/api/version", None),
    "tags": ("GET", "/api/tags", None),
    "ps of nothing": ("GET", "/api/ps", None),
    "show of a chat model": ("POST", "/api/show", {"model": "s1"}),
    "show of an embedder": ("POST", "/api/show", {"model": "m1"}),
    "show of no model": ("POST", "/api/show", {"model": "nope:1b"}),
    "chat": ("POST", "/api/chat", {"model": "s1", "messages": SAID}),
    "ps": ("GET", "/api/ps", None),
    "chat cut": ("POST", "/api/chat", {"model": "s1", "messages": SAID}),
    "chat with no model": ("POST", "/api/chat", {"model": "nope:1b", "messages": SAID}),
    "chat with tools it lacks": ("POST", "/api/chat", {"model": "plain", "messages": SAID, "tools": [TOOL]}),
    "embed": ("POST", "/api/embed", {"model": "m1", "input": ["a text"], "truncate": False}),
    "embed of too long a text": ("POST", "/api/embed", {"model": "m1", "input": ["1" * 600], "truncate": False}),
}


def shape(value: object) -> object:
    """The kinds of all fields, in their order; of a list, those of its first item."""
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in cast("dict[str, object]", value).items()]
    if isinstance(value, list):
        return [shape(one) for one in cast("list[object]", value)[:1]]
    return type(value).__name__


async def test_the_stub_answers_as_recorded():
    assert ASKED.keys() == RECORDED.keys()
    async with OllamaServer(CHATS, PLAIN, EMBEDS) as ollama, httpx.AsyncClient(base_url=ollama.url) as client:
        ollama.answer = "Yes, I can"
        for name, (method, path, body) in ASKED.items():
            if name == "chat cut":
                ollama.faults.append(Fault("length"))
            response = await client.request(method, path, json=body)
            lines = [json.loads(line) for line in response.text.splitlines()]

            recorded = RECORDED[name]
            assert (response.status_code, response.headers["content-type"]) == (recorded.status, recorded.kind), name
            assert shape(lines[-1]) == shape(recorded.body[-1]), name
            if recorded.kind == "application/x-ndjson":
                assert {str(shape(line)) for line in lines[:-1]} == {str(shape(recorded.body[0]))}, name
                assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
                assert lines[-1]["done_reason"] == recorded.body[-1]["done_reason"]
            if "error" in recorded.body[0]:
                said = recorded.body[0]["error"].replace("s1:latest", "plain:latest")
                assert lines == [{"error": said}], name


@pytest.mark.parametrize("name", ["show of a chat model", "show of an embedder"])
async def test_the_stub_s_capabilities_are_words_that_ollama_has(name: str):
    async with OllamaServer(CHATS, EMBEDS) as ollama, httpx.AsyncClient(base_url=ollama.url) as client:
        method, path, body = ASKED[name]
        told = (await client.request(method, path, json=body)).json()

    assert told["capabilities"] == RECORDED[name].body[0]["capabilities"]
