"""The row about ``sightline web``: its pages over 100,000 scans, and 200 browsers on one batch. Methods: README.md."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote
from urllib.request import urlopen

from redis.asyncio import Redis
from rows import Bench, Row
from web_scans import KEYS, LARGE, LIVE, PAGES, SCANS, host, issue, seed, url

ROOT: Final = Path(__file__).resolve().parents[2]
ROUNDS: Final = 30
CLIENTS: Final = 200
EVENTS: Final = 20
PAGE_MUST_MS: Final = 150
SIZE_MUST: Final = 300_000
EVENT_MUST_MS: Final = 300
MEMORY_MUST_MB: Final = 150
_AT: Final = re.compile(r"http://127\.0\.0\.1:(\d+)/")
_TOOK: Final = re.compile(r"dur=([\d.]+)")


def web(bench: Bench) -> list[Row]:
    """Return what its pages take, and what 200 browsers on the live page do."""
    bench.fresh()
    asyncio.run(seed(bench.url))
    settings = {"REDIS_URL": bench.url, "ENVIRONMENT": KEYS.environment, "EMBEDDING_MODEL": "builtin"}
    command = [sys.executable, "-m", "sightline", "web", "--port", "0"]
    environment = {**os.environ, **settings, "CHAT_MODEL": "builtin"}
    where = ROOT / "producer/import"
    program = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=where)
    try:
        assert program.stderr is not None  # noqa: S101  a pipe was asked for
        port = int(next(filter(None, map(_AT.search, program.stderr)))[1])
        program.stderr.close()  # nobody reads its access log
        worst, sizes = _pages(port)
        heard_ms = asyncio.run(_listeners(bench.url, port))
        memory_mb = _resident_mb(program.pid)
    finally:
        program.terminate()
        program.wait()
    return [_row(worst, sizes, heard_ms, memory_mb)]


def _row(worst: dict[str, float], sizes: dict[str, int], heard_ms: Sequence[float], memory_mb: float) -> Row:
    row = Row(f"sightline web over {SCANS:,} scans, {CLIENTS} browsers on a batch", "p95 ms a page; ms to the screen")
    slowest = max(worst, key=lambda name: worst[name])
    largest = max(sizes, key=lambda name: sizes[name])
    heard = statistics.quantiles(heard_ms, n=20)[18]
    shown = ", ".join(f"{name} {took:.0f}" for name, took in worst.items())
    row.values = {
        "sightline": f"{shown}; event {heard:.0f}; {memory_mb:.0f} MB; {sizes[largest] / 1000:.0f} KB at most"
    }
    row.verdicts = [
        (f"p95 {worst[slowest]:.0f} ms ({slowest}), must be < {PAGE_MUST_MS} ms", worst[slowest] < PAGE_MUST_MS),
        (f"{sizes[largest]:,} bytes ({largest}), must be < {SIZE_MUST:,}", sizes[largest] < SIZE_MUST),
        (f"event at all {CLIENTS} in {heard:.0f} ms (p95), must be ≤ {EVENT_MUST_MS} ms", heard <= EVENT_MUST_MS),
        (f"{memory_mb:.0f} MB resident, must be ≤ {MEMORY_MUST_MB} MB", memory_mb <= MEMORY_MUST_MB),
    ]
    return row


# ---------------------------------------------------------------------------------------------- pages


def paths() -> dict[str, str]:
    """Return the addresses that are measured, by name."""
    return {
        "overview": "/",
        "site": f"/sites/{host(7)}",
        "barrier": f"/barriers/{issue(7, 0)}",
        "page": f"/pages?url={quote(url(7, PAGES - 4))}",
        "5,000 findings": f"/pages?url={quote(f'https://{host(7)}/{LARGE}')}",
        "batch": f"/batches/{LIVE}",
        "ended batch": "/batches/nightly",
        "queue": "/queue",
        "rule": "/search?q=image-alt",
        "meaning": "/search?q=menus+without+a+name",
        "compare": f"/compare?before=30+days+ago&after=now&site={host(7)}",
        "compare form": "/compare",
        "ask": "/ask",
        "scan": "/scan",
        "usage": "/usage",
    }


def _pages(port: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the 95th percentile of each page's time in the server, and its size."""
    worst: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for name, path in paths().items():
        times: list[float] = []
        for _ in range(ROUNDS):
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                sizes[name] = len(answer.read())
                times.append(float(_TOOK.findall(answer.headers["server-timing"])[0]))
        worst[name] = statistics.quantiles(times, n=20)[18]
    return worst, sizes


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


# ---------------------------------------------------------------------------------------------- browsers


async def _listeners(url: str, port: int) -> list[float]:
    """Return how long each event took to reach the last of the browsers, ms."""
    readers = [await _listen(port) for _ in range(CLIENTS)]
    took: list[float] = []
    async with Redis.from_url(url, protocol=2) as redis:
        for number in range(EVENTS):
            fields = {"event": "job.succeeded", "at_ms": 1, "job_id": f"j{number}", "kind": "scan", "batch": LIVE}
            line = json.dumps({**fields, "url": f"https://a.example/{number}", "status": "scanned", "barriers": 0})
            began = time.perf_counter()
            await redis.xadd(KEYS.events, {"event": line})
            await asyncio.gather(*(_until_heard(reader, f"job-j{number}".encode()) for reader, _ in readers))
            took.append((time.perf_counter() - began) * 1000)
    for _, writer in readers:
        writer.close()
    return took


async def _listen(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    writer.write(f"GET /batches/{LIVE}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await _until_heard(reader, b"event: update")
    return reader, writer


async def _until_heard(reader: asyncio.StreamReader, words: bytes) -> None:
    while words not in await reader.readline():
        pass


WEB_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {"web": web}
