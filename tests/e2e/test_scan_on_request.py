"""A scan requested in a conversation, and one with every field of a result, over Ollama's protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable
from typing import cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import AssessmentSource, QueryResult, Result, ScanResult, decode_result
from producer.keys import Keys
from tests.support.assessed import assessed_scan
from tests.support.ollama_server import OllamaServer
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite
from tests.support.untyped import untyped
from worker.agent.conversation.side_effects import scan_job_id

WAIT_S = 60
RICH = b"""<!doctype html><html lang="en"><title>Rich</title><main><h1>Shop</h1><img src="/cup.png">
<p style="background: url(/bg.png); color: #777">On a picture</p></main><script>alert("hello")</script></html>"""


@pytest.fixture
async def ollama(start_worker: StartScanWorker) -> AsyncGenerator[OllamaServer]:
    """The server that the one worker's models are on."""
    async with OllamaServer() as server:
        start_worker(CHAT_MODEL="qwen3.5:4b", EMBEDDING_MODEL="nomic-embed-text", OLLAMA_BASE_URL=server.url)
        yield server


async def ended(client: Client, kind: str, payload: dict[str, object]) -> Result:
    job = await client.submit(kind, payload)
    return await client.wait(job.job_id, timeout_s=WAIT_S)


async def test_a_scan_asked_for_in_a_conversation_is_run_and_asked_about(
    client: Client, ollama: OllamaServer, site: SmallSite
):
    url = f"{site.url}/guilty"
    ollama.tool_calls.append({"name": "request_scan", "arguments": {"url": url, "group": "shop"}})
    ollama.answer = "The scan is queued."

    queued = await ended(client, "query", {"question": f"Please scan {url}", "thread_id": "a"})
    scan_id = scan_job_id(queued.job_id, url)
    page = await assessed_scan(client, scan_id, timeout_s=WAIT_S)
    ollama.tool_calls.append({"name": "get_scan", "arguments": {"scan": scan_id}})
    ollama.answer = f"An image without alternative text [scan {scan_id}]."
    answer = await ended(client, "query", {"question": "What is wrong there?", "thread_id": "a"})

    assert isinstance(queued, QueryResult)
    assert isinstance(answer, QueryResult)
    assert (queued.answer, queued.notes) == ("The scan is queued.", ())
    assert (page.status, page.url, page.group) == ("scanned", url, "shop")
    assert [one.rule for one in page.findings] == ["image-alt"]
    assert page.assessed_by == AssessmentSource(model="qwen3.5:4b")
    assert site.asked.count("/guilty") == 1
    assert (answer.answer, answer.sources) == (f"An image without alternative text [scan {scan_id}].", (scan_id,))
    told = json.loads(ollama.calls()[-1].body["messages"][-1]["content"])
    assert [one["rule"] for one in told["findings"]] == ["image-alt"]


async def test_a_real_scan_s_result_has_no_untyped_field_at_any_level(
    client: Client, ollama: OllamaServer, site: SmallSite, redis: Redis, keys: Keys
):
    site.files |= {"/rich": RICH, "/moved": (302, {"Location": "/rich"}, b"")}
    scan: dict[str, object] = {"url": f"{site.url}/moved", "screenshot": True}
    await ended(client, "scan", scan)

    job_id = (await ended(client, "scan", scan)).job_id
    await assessed_scan(client, job_id, timeout_s=WAIT_S)

    result = decode_result(await cast("Awaitable[bytes]", redis.get(keys.result(job_id))))
    assert untyped(result) == []
    assert isinstance(result, ScanResult)
    assert result.assessment is not None
    assert (result.changes is not None, result.screenshot is not None) == (True, True)
    assert [one.rule for one in result.incomplete] == ["color-contrast"]
    assert [one.rule for one in result.assessment.reviews] == ["color-contrast"]
    assert (len(result.redirects), result.dialogs_dismissed, bool(result.waited)) == (1, 1, True)
    assert [node.box is not None for one in result.findings for node in one.nodes] == [True]
    assert ollama.calls("/api/embed")
