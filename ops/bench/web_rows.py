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
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from urllib.request import urlopen

from redis.asyncio import Redis
from rows import Bench, Row

from producer.contract import Counts, Finding, Impact, Node, ScanResult, page_id
from producer.keys import Keys
from worker.memory.history.history import History
from worker.memory.history.scan_record import document
from worker.memory.vectors.embeddings import Embedded, Embeddings
from worker.memory.vectors.indexes import exact_tag
from worker.models.builtin.models import BuiltinEmbedder

ROOT: Final = Path(__file__).resolve().parents[2]
KEYS: Final = Keys("bench")
SCANS: Final = 100_000
SITES: Final = 50
BARRIERS: Final = 5_000
ROUNDS: Final = 30
CLIENTS: Final = 200
EVENTS: Final = 20
PAGE_MUST_MS: Final = 150
SIZE_MUST: Final = 300_000
EVENT_MUST_MS: Final = 300
MEMORY_MUST_MB: Final = 150
BATCH: Final = "live"
_AT: Final = re.compile(r"http://127\.0\.0\.1:(\d+)/")
_TOOK: Final = re.compile(r"dur=([\d.]+)")


def web(bench: Bench) -> list[Row]:
    """Return what its pages take, and what 200 browsers on the live page do."""
    bench.fresh()
    asyncio.run(_seed(bench.url))
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


def _pages(port: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the 95th percentile of each page's time in the server, and its size."""
    page = quote(_url(7))
    paths = {
        "overview": "/",
        "site": f"/sites/{_host(7)}",
        "barrier": f"/barriers/{_issue(7)}",
        "page": f"/pages?url={page}",
        "batch": f"/batches/{BATCH}",
        "queue": "/queue",
        "search": "/search?q=image-alt",
        "compare": f"/compare?before=1970-01-02&after=now&site={_host(7)}",
        "usage": "/usage",
    }
    worst: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for name, path in paths.items():
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
            fields = {"event": "job.succeeded", "at_ms": 1, "job_id": f"j{number}", "kind": "scan", "batch": BATCH}
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
    writer.write(f"GET /batches/{BATCH}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await _until_heard(reader, b"event: update")
    return reader, writer


async def _until_heard(reader: asyncio.StreamReader, words: bytes) -> None:
    while words not in await reader.readline():
        pass


# ---------------------------------------------------------------------------------------------- scans


async def _seed(url: str) -> None:
    async with Redis.from_url(url, protocol=2) as redis:
        await History(Embeddings(redis, KEYS, BuiltinEmbedder())).ensure_index()
        for start in range(0, SCANS, 1_000):
            async with redis.pipeline(transaction=False) as pipe:
                for number in range(start, start + 1_000):
                    result = _scan(number)
                    fields = document(result, page=page_id(result.url), at_ms=number, seen_ms=number, embedded=NO_TEXT)
                    pipe.execute_command("HSET", KEYS.scan(f"s{number}"), *chain.from_iterable(fields.items()))
                await pipe.execute()
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(BARRIERS):
                pipe.hset(KEYS.barrier(_issue(number)), mapping=_barrier(number))
            pipe.hset(KEYS.batch(BATCH), mapping={"total": 300, "done": 10, "succeeded": 10, "sealed": 1})
            await pipe.execute()
        await redis.set(KEYS.result("s7"), _scan(7).model_dump_json())


NO_TEXT: Final = Embedded("", {})


def _host(number: int) -> str:
    return f"site{number % SITES}.example"


def _url(number: int) -> str:
    return f"https://{_host(number)}/{number}"


def _issue(number: int) -> str:
    return f"{number % BARRIERS:016x}-{number % SITES:08x}"


def _barrier(number: int) -> dict[str, Any]:
    about = {"name": f"Main › card {number} has no text alternative", "rule": "image-alt", "kind": f"{number:016x}"}
    host = _host(number)
    times = {"first_ms": 1, "since_ms": number, "last_ms": number, "mended_ms": 0}
    counts = {"pages": SCANS // BARRIERS, "elements": 2 * SCANS // BARRIERS, "groups": '{"shop":20}'}
    tags = {"host": exact_tag(host), "host_name": host, "site": f"{number % SITES:08x}", "impact": "critical"}
    return {**about, **times, **counts, **tags}


def _scan(number: int) -> ScanResult:
    nodes = tuple(
        Node(
            selector=(f"#n{place}",),
            snippet="<img>",
            fingerprint=f"{number:012x}{place:012x}",
            issue_id=_issue(number),
            component=f"Main › card {number % BARRIERS}",
        )
        for place in range(2)
    )
    finding = Finding(
        rule="image-alt",
        impact=Impact.CRITICAL,
        criteria=("1.1.1",),
        help="Images must have alternative text",
        nodes=nodes,
        node_count=2,
        fingerprint=f"{number:024x}",
    )
    return ScanResult(
        job_id=f"s{number}",
        scan_id=f"s{number}",
        url=_url(number),
        title=f"Page {number}",
        group="shop",
        status="scanned",
        findings=(finding,),
        counts=Counts(critical=1),
        barriers=Counts(critical=2),
    )


WEB_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {"web": web}
