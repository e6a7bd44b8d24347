"""Scans in a real worker, browser and queue, with a model over Ollama's protocol: slots are held only during calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

from producer.client.client import Client
from producer.client.gpu_view import GpuView
from tests.support.assessed import assessed_scan
from tests.support.ollama_server import Call, OllamaServer
from tests.support.scan_worker import StartScanWorker
from tests.support.site import Reply, Request, Site, reply

WAIT_S = 90
PAGE = '<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1><main><img src="/cup.png"></main></html>'
OLLAMA = {"CHAT_MODEL": "qwen3.5:4b", "EMBEDDING_MODEL": "nomic-embed-text"}


@dataclass
class Held:
    """A page whose answer waits for ``go``; when it was asked for, and when it had been sent, in monotonic seconds."""

    asked: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    times: list[float] = field(default_factory=list[float])

    @property
    def reply(self) -> Reply:
        whole = reply(PAGE)

        async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
            self.times.append(time.monotonic())
            self.asked.set()
            await asyncio.to_thread(self.go.wait, WAIT_S)
            await whole(request, writer)
            self.times.append(time.monotonic())

        return answer


@pytest.fixture
def shop() -> Generator[Site]:
    with Site() as site:
        yield site


async def test_a_page_that_loads_holds_no_slot(client: Client, start_worker: StartScanWorker, shop: Site):
    slow = Held()
    slow_url, quick_url = shop.add("/slow", slow.reply), shop.add("/quick", PAGE)
    async with OllamaServer() as ollama:
        start_worker(OLLAMA_BASE_URL=ollama.url, **OLLAMA)
        waiting = await client.submit("scan", {"url": slow_url})
        await asyncio.to_thread(slow.asked.wait, WAIT_S)

        other = await client.submit("scan", {"url": quick_url})  # needs the one chat slot, and the one embed slot
        quick = await assessed_scan(client, other.job_id, timeout_s=WAIT_S)
        meanwhile = await client.gpu()
        slow.go.set()
        late = await assessed_scan(client, waiting.job_id, timeout_s=WAIT_S)

    assert [quick.assessment_source, late.assessment_source] == ["qwen3.5:4b", "qwen3.5:4b"]
    assert calls_about(waiting.job_id, meanwhile) == []
    asked_at, sent_at = slow.times
    quick_calls = [call for call in chat_calls(ollama) if call.arrived < sent_at]
    assert quick_calls
    assert all(asked_at < call.arrived < call.ended < sent_at for call in quick_calls)
    # Each has one embedding, too; what is known of a barrier is not asked for again.
    assert (len(quick_calls), len(chat_calls(ollama))) == (
        quick.usage.calls - 1,
        quick.usage.calls + late.usage.calls - 2,
    )


def chat_calls(ollama: OllamaServer) -> list[Call]:
    return [call for call in ollama.calls() if call.path == "/api/chat"]


def calls_about(job: str, gpu: GpuView) -> list[object]:
    about = gpu.of_job(job)
    return [*about.holders, *about.waiters]
