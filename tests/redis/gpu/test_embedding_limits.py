"""An embedding model with a context of 512 tokens, and texts that need more of them than their length says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.gpu import host_record
from tests.support.ollama_models import Open
from tests.support.ollama_protocol import EMBED, StubModel, pieces_of
from tests.support.ollama_server import OllamaServer
from tests.support.queue import until
from worker.models.ollama import fleet

SMALL = StubModel(EMBED.name, family="bert", context=512, dims=384, size=46_000_000)
TEXTS = {
    "hex": "3f2b8c6e5a7d4e1f90ab" * 60,
    "addresses": " ".join(f"https://shop.example/p/{n}?utm_source=a1&ref=%C4%85{n:x}" for n in range(60)),
    "Polish": "Zażółć gęślą jaźń, wciśnij przycisk „Wyślij” i źdźbło trawy. " * 40,
    "emoji": "🛒👩🏽‍🦯♿️ " * 150,
    "Japanese": "画像には代替テキストがありません。" * 60,
    "words": "images need alternative text " * 10,
}


@pytest.fixture
def ollama() -> OllamaServer:
    return OllamaServer(SMALL)


async def test_each_text_gets_a_vector_as_long_as_the_model_takes_it_and_says_what_was_left_out(
    open_with: Open, ollama: OllamaServer
):
    async with ollama:
        models = await open_with(ollama.url, chat_model="builtin")

        reply = await models.embedder.embed_documents(list(TEXTS.values()))

    assert reply.vectors.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(reply.vectors, axis=1), 1.0, atol=1e-3)
    whole = [name for place, name in enumerate(TEXTS) if place not in reply.shortened]
    assert whole == ["words"]
    for place, (name, text) in enumerate(TEXTS.items()):
        kept = reply.shortened.get(place, len(text))
        assert kept > len(text) // 20, name
        assert pieces_of(text[:kept]) <= SMALL.context
    sent = {call.body["options"]["num_ctx"] for call in ollama.calls("/api/embed")}
    assert sent == {512}


async def test_a_model_s_facts_are_asked_for_again_when_its_host_comes_back(
    open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fleet, "UNKNOWN_S", 0.0)
    async with ollama:
        pass  # it has a port, and is down
    models = await open_with(ollama.url, chat_model="builtin", embedding_dims=384)

    async with ollama:
        # A call to a host that is down for long fails.
        await until(partial(_is, "up", redis, keys, ollama.url), what="the host up")
        await models.embedder.embed_documents(["one"])
    await until(partial(_is, "down", redis, keys, ollama.url), what="the host down")
    ollama.models[SMALL.name] = StubModel(SMALL.name, family="bert", context=256, dims=384)
    async with ollama:
        await until(partial(_is, "up", redis, keys, ollama.url), what="the host up")
        await models.embedder.embed_documents(["two"])

    assert [call.body["options"]["num_ctx"] for call in ollama.calls("/api/embed")] == [512, 256]


async def _is(state: str, redis: Redis, keys: Keys, host: str) -> bool:
    return (await host_record(redis, keys, host))["state"] == state


async def test_a_host_without_model_facts_is_no_error(open_with: Open, ollama: OllamaServer):
    async with ollama:
        ollama.models[SMALL.name] = StubModel(SMALL.name, family="", context=0, dims=0)
        models = await open_with(ollama.url, chat_model="builtin", embedding_dims=384)
        ollama.models[SMALL.name] = SMALL

        reply = await models.embedder.embed_documents(["one"])

    assert reply.vectors.shape == (1, 384)
