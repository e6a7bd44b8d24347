"""Opens the live page of a batch for ``web_rows.py``: 199 listeners and a real browser, with concurrent scans."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from scan import ROOT, addresses, our_worker, served_site
from web_scans import KEYS, LIVE

from producer.client.client import Client
from producer.contract import Viewport
from producer.settings import ClientSettings
from worker.scan.browser import find_browser
from worker.scan.chromium import Chromium
from worker.scan.page import Page
from worker.scan.settings import ScanSettings

CLIENTS: Final = 200
EVENTS: Final = 20
SCAN_ROUNDS: Final = 3
LIMIT_S: Final = 30.0
_WATCH: Final = """
window.drawn = {};
new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
  for (const row of document.querySelectorAll("#rows li")) window.drawn[row.id] ??= Date.now();
}))).observe(document.getElementById("rows"), { childList: true });
"""
"""Notes when each row was drawn: a task after the frame that has it."""


@contextmanager
def pages_at(redis_url: str) -> Generator[tuple[int, int]]:
    """Run ``sightline web``; yield its port and its process id."""
    settings = {"REDIS_URL": redis_url, "ENVIRONMENT": KEYS.environment, "EMBEDDING_MODEL": "builtin"}
    command = [sys.executable, "-m", "sightline", "web", "--port", "0"]
    environment = {**os.environ, **settings, "CHAT_MODEL": "builtin"}
    where = ROOT / "producer/import"
    program = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=where)
    try:
        assert program.stderr is not None  # noqa: S101  a pipe was asked for
        line = next(line for line in program.stderr if "http://127.0.0.1:" in line)
        program.stderr.close()  # nobody reads its access log
        yield int(line.partition("http://127.0.0.1:")[2].partition("/")[0]), program.pid
    finally:
        program.terminate()
        program.wait()


async def listened(redis_url: str, port: int) -> tuple[list[float], list[float]]:
    """Return the time in ms until the last listener got each event, and until the real browser drew it."""
    readers = [await _listen(port, LIVE) for _ in range(CLIENTS - 1)]
    heard: list[float] = []
    sent_ms: list[float] = []
    async with Redis.from_url(redis_url, protocol=2) as redis, _open(port, f"/batches/{LIVE}") as page:
        await _run(page, _WATCH)
        for number in range(EVENTS):
            fields = {"event": "job.succeeded", "at_ms": 1, "job_id": f"j{number}", "kind": "scan", "batch": LIVE}
            line = json.dumps({**fields, "url": f"https://a.example/{number}", "status": "scanned", "barriers": 0})
            sent_ms.append(time.time() * 1000)
            began = time.perf_counter()
            await redis.xadd(KEYS.events, {"event": line})
            await asyncio.gather(*(_until_heard(reader, f"job-j{number}".encode()) for reader, _ in readers))
            heard.append((time.perf_counter() - began) * 1000)
        last = f"new Promise((done) => {{ const look = () => window.drawn['job-j{EVENTS - 1}'] ? done(1) : "
        await _run(page, f"{last}setTimeout(look, 20); look(); }})")
        drawn: dict[str, float] = json.loads(str(await _run(page, "JSON.stringify(window.drawn)")))
    for _, writer in readers:
        writer.close()
    return heard, [drawn[f"job-j{number}"] - sent for number, sent in enumerate(sent_ms)]


def scans_beside() -> tuple[float, float, float]:
    """Return scans per minute with no browser, one, and all of them on the batch's page; medians over the rounds."""
    rates: dict[int, list[float]] = {-1: [], 1: [], CLIENTS: []}
    with tempfile.TemporaryDirectory() as folder, served_site() as base, our_worker(Path(folder)) as (settings, _, _):
        asyncio.run(_scan(settings, [f"{base}/kettle.html?warm"], "warm", port=0, clients=0))
        for number in range(SCAN_ROUNDS):
            for clients, found in rates.items():
                urls = [f"{url}&r={number}-{clients}" for url in addresses(base, 2)]
                if clients < 0:
                    took = asyncio.run(_scan(settings, urls, f"b{number}-alone", port=0, clients=0))
                else:
                    with pages_at(settings.redis_url) as (port, _):
                        took = asyncio.run(_scan(settings, urls, f"b{number}-{clients}", port=port, clients=clients))
                found.append(len(urls) * 60 / took)
    alone, one, all_of_them = (statistics.median(found) for found in rates.values())
    return alone, one, all_of_them


async def _scan(settings: ClientSettings, urls: list[str], batch: str, *, port: int, clients: int) -> float:
    """Return the duration of the scans with this number of browsers on their batch's page."""
    payloads: list[dict[str, Any]] = [{"url": url, "standard": "wcag21aa", "assess": False} for url in urls]
    async with Client(settings) as client:
        began = time.perf_counter()
        jobs = [job.job_id async for job in client.submit_many("scan", payloads, batch=batch)]
        await client.seal_batch(batch)
        listening = [asyncio.create_task(_drain(port, batch)) for _ in range(clients)]
        found = [result async for result in client.as_completed(jobs, timeout_s=600)]
        took = time.perf_counter() - began
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    assert len(found) == len(urls)  # noqa: S101  or the rate is wrong
    return took


async def _drain(port: int, batch: str) -> None:
    reader, writer = await _listen(port, batch)
    try:
        while await reader.read(2**16):
            pass
    finally:
        writer.close()


async def _listen(port: int, batch: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    writer.write(f"GET /batches/{batch}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await _until_heard(reader, b"event: update")
    return reader, writer


async def _until_heard(reader: asyncio.StreamReader, words: bytes) -> None:
    while words not in await reader.readline():
        pass


@asynccontextmanager
async def _open(port: int, path: str) -> AsyncGenerator[Page]:
    """Open a page in a real browser. The server accepts proxy requests, the browser's only way to it."""
    browser = await Chromium.launch(find_browser(), ScanSettings(max_renderer_mb=2048))
    try:
        view = Viewport(width=1280, height=800)
        page = await Page.open(browser, proxy_port=port, viewport=view, user_agent=browser.user_agent, start_script="")
        await page.session.call("Page.navigate", {"url": f"http://127.0.0.1:{port}{path}"}, timeout_s=LIMIT_S)
        await page.until(lambda: page.watch.is_loaded, timeout_s=LIMIT_S)
        live = "new Promise((done) => { const look = () => document.documentElement.dataset.live ? done(1) : "
        await _run(page, f"{live}setTimeout(look, 20); look(); }})")
        yield page
        await page.close()
    finally:
        await browser.close()


async def _run(page: Page, expression: str) -> object:
    given = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    answer = await page.session.call("Runtime.evaluate", given, timeout_s=LIMIT_S)
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]  # noqa: S101  a bench that measures nothing
    return answer["result"].get("value")
