"""Model calls on several hosts, Ollama stubs over real HTTP."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from producer.client.gpu_view import GpuHost
from producer.keys import Keys
from tests.support.gpu import DEADLINE_S, RARELY, set_host, view_of
from tests.support.ollama_models import ASK, Open, pool_of
from tests.support.ollama_protocol import CHAT, EMBED
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.queue import until
from worker.models.routing import open_models
from worker.settings import WorkerSettings


async def test_a_call_moves_to_another_host_when_its_own_fails(open_with: Open, ollama: OllamaServer):
    async with OllamaServer() as other:
        models = await open_with(f"{ollama.url},{other.url}")
        first, second = sorted([ollama, other], key=lambda server: server.url)
        await first.stop()

        replies = [await models.chat.chat(ASK) for _ in range(4)]

        assert [reply.text for reply in replies] == [ollama.answer] * 4
        assert len(second.calls()) == 4


async def test_a_host_that_dropped_a_call_is_checked_at_once(ollama: OllamaServer, redis: Redis, keys: Keys):
    async with OllamaServer() as other:
        settings = WorkerSettings(ollama_base_url=f"{ollama.url},{other.url}")
        async with open_models(settings, redis, keys, worker="w1", timing=RARELY) as models:
            first = min([ollama, other], key=lambda server: server.url)
            await set_host(redis, keys, first.url, probe_ms=1)
            await first.stop()

            await models.chat.chat(ASK)

            async def is_set_aside() -> bool:
                return not (await view_of(pool_of(models))).hosts[0].is_up

            await until(is_set_aside, what="the host set aside")


async def test_a_call_that_stalls_moves_to_another_host(open_with: Open, ollama: OllamaServer):
    async with OllamaServer() as other:
        models = await open_with(f"{ollama.url},{other.url}", chat_stall_s=1.0)  # of a machine that may be busy
        for server in (ollama, other):
            server.faults.append(Fault("stall"))
        other.faults.clear() if other.url > ollama.url else ollama.faults.clear()

        reply = await models.chat.chat(ASK)

        assert reply.usage.calls == 2
        assert [len(server.calls()) for server in (ollama, other)] == [1, 1]


async def test_a_model_is_asked_for_only_where_it_is(open_with: Open, ollama: OllamaServer):
    async with OllamaServer(EMBED) as other:
        models = await open_with(f"{ollama.url},{other.url}")

        replies = [await models.chat.chat(ASK) for _ in range(3)]

        assert len(replies) == len(ollama.calls()) == 3
        assert other.calls() == []


async def test_loaded_models_and_their_memory_are_seen(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)
    await models.chat.chat(ASK)

    async with asyncio.timeout(DEADLINE_S):
        while not (host := (await view_of(pool_of(models))).hosts[0]).loaded:
            pass

    assert [(model.name, model.context) for model in host.loaded] == [("qwen3.5:4b", 8192)]
    assert host.vram_bytes == CHAT.size


async def test_models_that_evict_each_other_from_memory_are_reported(open_with: Open, ollama: OllamaServer):
    models = await open_with(ollama.url)

    async def host() -> GpuHost:
        return (await view_of(pool_of(models))).hosts[0]

    for only in (CHAT, EMBED, CHAT, EMBED):
        ollama.loaded = {only.name: 4096}
        async with asyncio.timeout(DEADLINE_S):
            while [model.name for model in (await host()).loaded] != [only.name]:
                pass

    assert "displace each other from its memory" in " ".join((await host()).notes)
