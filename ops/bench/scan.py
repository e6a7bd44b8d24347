"""Measures scans per minute beside other scanners on the same pages, rules and cores, and beside axe-core alone.

The sample shop is served on loopback by a separate process. Each tool scans the same addresses, two at a time, in turn
within each round: ours through the queue (submit to last result, one worker already up), the others as described in
``scan_peers.py``. ``scan_limit.py`` measures what loading the pages and running axe-core take alone. Missing tools are
reported as missing, never estimated.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contenders import SIGHTLINE

if TYPE_CHECKING:
    from rows import Bench

from rows import Row
from scan_limit import pages_a_minute
from scan_peers import PEERS, install_peers

from ops.demo.shop import PAGES, SITE
from producer.client.client import Client
from producer.contract import ScanResult
from producer.settings import ClientSettings
from worker.own_redis.server import EmbeddedRedis

ROOT: Final = Path(__file__).resolve().parents[2]
SERVER: Final = (
    "import http.server, functools, sys;"
    "h = functools.partial(type('Quiet', (http.server.SimpleHTTPRequestHandler,), {'log_message': lambda *a: None}),"
    " directory=sys.argv[1]); s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), h);"
    "print(s.server_port, flush=True); s.serve_forever()"
)

COPIES: Final = 3
"""How often each page is scanned in a round."""
SCANS_MUST: Final = 2.0
SHARE_MUST: Final = 0.85
WORKER_MUST_MB: Final = 130


@contextmanager
def served_site(folder: Path = SITE) -> Generator[str]:
    """Serve a folder, by default the shop, from a separate process; yield its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101  piped above
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def addresses(base: str, copies: int) -> list[str]:
    """Return the pages' addresses, each ``copies`` times under another query, so that no tool merges them."""
    return [f"{base}/{page}?copy={copy}" for copy in range(copies) for page in PAGES]


@contextmanager
def our_worker(folder: Path) -> Generator[tuple[ClientSettings, float, int]]:
    """Run one worker on a separate Redis; yield the client's settings, the cold start in s, and the worker's pid."""
    with EmbeddedRedis(folder / "redis", die_with_parent=True) as server:
        settings = ClientSettings(redis_url=server.url, environment="bench")
        models = {"CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin", "TRY_FIXES": "0", "SCAN_ALLOW_PRIVATE": "1"}
        environment = {**os.environ, **models, "REDIS_URL": server.url, "ENVIRONMENT": "bench", "LOG_LEVEL": "warning"}
        began = time.perf_counter()
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen([sys.executable, "-m", "worker"], cwd=ROOT, env=environment, stderr=log)
        try:
            asyncio.run(_until_ready(settings))
            yield settings, time.perf_counter() - began, worker.pid
        finally:
            worker.terminate()
            worker.wait(60)


async def _until_ready(settings: ClientSettings) -> None:
    async with Client(settings) as client, asyncio.timeout(60):
        while not (await client.queue()).workers:  # noqa: ASYNC110  a heartbeat has no event to await
            await asyncio.sleep(0.02)


async def scan_ours(settings: ClientSettings, urls: list[str], **asked: object) -> tuple[float, int]:
    """Return the seconds from submit to the last result, and the number of completely scanned pages."""
    payloads = ({"url": url, "standard": "wcag21aa", "assess": False, **asked} for url in urls)
    began = time.perf_counter()
    async with Client(settings) as client:
        jobs = [job.job_id async for job in client.submit_many("scan", payloads)]
        results = [result async for result in client.as_completed(jobs, timeout_s=600)]
    whole = sum(isinstance(result, ScanResult) and result.status == "scanned" for result in results)
    return time.perf_counter() - began, whole


def resident_mb(pid: int, *, generations: int = 6) -> float:
    """Return the resident memory in MB of a process and its descendants (Linux); ``generations`` 0 excludes those."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in listing.splitlines()[1:]]
    family, total_kb = {pid}, 0
    for _ in range(generations):
        family |= {child for child, parent, _ in rows if parent in family}
    for child, _, rss_kb in rows:
        total_kb += rss_kb if child in family else 0
    return total_kb / 1024


def scans(bench: Bench) -> list[Row]:
    """Measure scans per minute; Sightline's cold start, a warm scan, and its memory without and with browser."""
    install_peers()
    took: dict[str, list[float]] = {SIGHTLINE.name: [], **{tool: [] for tool in PEERS}}
    limits: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder, served_site() as base, our_worker(Path(folder)) as ours:
        settings, cold_s, pid = ours
        alone_mb = resident_mb(pid, generations=0)
        urls = addresses(base, COPIES)
        for number in range(bench.rounds):
            seconds, whole = asyncio.run(scan_ours(settings, [f"{url}&round={number}" for url in urls]))
            if whole != len(urls):
                sys.exit(f"ours scanned {whole} of {len(urls)} pages whole")
            took[SIGHTLINE.name].append(seconds)
            for tool, scan in PEERS.items():
                took[tool].append(scan(urls, Path(folder)))
            for pages, found in limits.items():
                found.append(asyncio.run(pages_a_minute(urls, at_once=pages)))
        warm_s, _ = asyncio.run(scan_ours(settings, [f"{base}/kettle.html?warm"]))
        memory_mb = resident_mb(pid)
    rates = {tool: len(urls) * 60 / statistics.median(seconds) for tool, seconds in took.items()}
    second = Row("cold start; one warm scan, submit to result", "s", {SIGHTLINE.name: f"{cold_s:.1f}; {warm_s:.2f}"})
    third = Row("memory of a worker alone; with its browser after the scans", "MB")
    third.values = {SIGHTLINE.name: f"{alone_mb:.0f}; {memory_mb:.0f}"}
    third.targets = [(f"alone {alone_mb:.0f} MB, must be ≤ {WORKER_MUST_MB} MB", alone_mb <= WORKER_MUST_MB)]
    return [
        *_rates(rates, len(urls), {pages: statistics.median(found) for pages, found in limits.items()}),
        second,
        third,
    ]


def _rates(rates: dict[str, float], pages: int, limits: dict[int, float]) -> list[Row]:
    ours = rates[SIGHTLINE.name]
    times = ours / max(rate for tool, rate in rates.items() if tool != SIGHTLINE.name)
    first = Row(f"scans per minute, {pages} pages, two at a time", "scans/min")
    first.values = {tool: f"{rate:.0f}" for tool, rate in rates.items()}
    first.targets = [(f"{times:.2f} times the faster peer, must be ≥ {SCANS_MUST:g}", times >= SCANS_MUST)]
    share, share_of_two = ours / limits[1], ours / limits[2]
    limit = Row("share of load and axe-core alone in one warm page; in two warm pages at once", "share (pages/min)")
    limit.values = {SIGHTLINE.name: f"{share:.0%} ({limits[1]:.0f}); {share_of_two:.0%} ({limits[2]:.0f})"}
    limit.targets = [(f"{share:.0%} of one warm page, must be ≥ {SHARE_MUST:.0%}", share >= SHARE_MUST)]
    return [first, limit]
