"""Measures scans per minute beside pa11y-ci (axe runner) and @axe-core/cli on the same pages, rules and cores.

The sample shop is served on loopback by a separate process. Each tool scans the same addresses, two at a time: ours
through the queue (submit to last result, one worker already up), pa11y-ci with ``concurrency: 2``, @axe-core/cli as two
processes with half of the addresses each. The peers come from npm, pinned, into ``.cache/bench/node``; their Chromium
is Debian's, driven by chromium-driver. Rules: tags wcag2a, wcag2aa, wcag21a, wcag21aa, as in pa11y's WCAG2AA for
axe-core. Missing tools are reported as missing, never estimated.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
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

from ops.demo.shop import PAGES, SITE
from producer.client.client import Client
from producer.contract import ScanResult
from producer.settings import ClientSettings
from worker.own_redis.server import EmbeddedRedis
from worker.scan.browser import find_browser

ROOT: Final = Path(__file__).resolve().parents[2]
NODE: Final = ROOT / ".cache" / "bench" / "node"
PEERS: Final = ("pa11y-ci@4.1.1", "@axe-core/cli@4.13.0")
TAGS: Final = "wcag2a,wcag2aa,wcag21a,wcag21aa"
SERVER: Final = (
    "import http.server, functools, sys;"
    "h = functools.partial(type('Quiet', (http.server.SimpleHTTPRequestHandler,), {'log_message': lambda *a: None}),"
    " directory=sys.argv[1]); s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), h);"
    "print(s.server_port, flush=True); s.serve_forever()"
)

COPIES: Final = 3
"""How often each page is scanned in a round."""
SCANS_MUST: Final = 1.5
WORKER_MUST_MB: Final = 130


@contextmanager
def served_site() -> Generator[str]:
    """Serve the shop from a separate process; yield its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(SITE)], stdout=subprocess.PIPE, text=True)
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


async def scan_ours(settings: ClientSettings, urls: list[str]) -> tuple[float, int]:
    """Return the seconds from submit to the last result, and the number of completely scanned pages."""
    payloads = ({"url": url, "standard": "wcag21aa", "assess": False} for url in urls)
    began = time.perf_counter()
    async with Client(settings) as client:
        jobs = [job.job_id async for job in client.submit_many("scan", payloads)]
        results = [result async for result in client.as_completed(jobs, timeout_s=600)]
    whole = sum(isinstance(result, ScanResult) and result.status == "scanned" for result in results)
    return time.perf_counter() - began, whole


def install_peers() -> None:
    """Install the pinned peers unless they exist and, as root, Debian's driver for @axe-core/cli's browser.

    The peers' own browser downloads are skipped.
    """
    if shutil.which("chromedriver") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-qy", "--no-install-recommends", "chromium-driver"], check=True)
    if (NODE / "node_modules" / ".bin" / "axe").exists():
        return
    NODE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--ignore-scripts", "--silent", *PEERS], cwd=NODE, check=True)


def peers_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a peer whose browsers leave their profiles in ``folder``, not in /tmp."""
    return {**os.environ, "TMPDIR": str(folder)}


def scan_pa11y(urls: list[str], folder: Path) -> float:
    """Return the seconds pa11y-ci takes."""
    chrome = {"executablePath": str(find_browser(None)), "args": ["--no-sandbox"]}
    defaults = {"concurrency": 2, "runners": ["axe"], "standard": "WCAG2AA", "chromeLaunchConfig": chrome}
    config = NODE / "pa11yci.json"
    config.write_text(json.dumps({"defaults": {**defaults, "useIncognitoBrowserContext": False}, "urls": urls}))
    began = time.perf_counter()
    command = [str(NODE / "node_modules/.bin/pa11y-ci"), "--config", str(config), "--json"]
    report = NODE / "pa11y.json"  # a file: node cuts what it writes to a pipe when it exits
    with report.open("wb") as out:
        subprocess.run(
            command, cwd=NODE, env=peers_environment(folder), stdout=out, stderr=subprocess.DEVNULL, check=False
        )
    took_s = time.perf_counter() - began
    pages = json.loads(report.read_text())["results"].values()
    failed = [row for rows in pages for row in rows if "code" not in row]
    if len(pages) != len(urls) or failed:
        sys.exit(f"pa11y-ci scanned {len(pages)} of {len(urls)} pages, {len(failed)} of them failed: {failed[:1]}")
    return took_s


def scan_axe_cli(urls: list[str], folder: Path) -> float:
    """Return the seconds two processes of @axe-core/cli take, half of the pages each."""
    driver, chrome = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chrome is None:
        sys.exit("@axe-core/cli needs chromedriver and chromium: apt-get install chromium-driver")
    options = ["--tags", TAGS, "--chromedriver-path", driver, "--chrome-path", chrome]
    chrome_options = ["--chrome-options", "no-sandbox,headless=new,disable-gpu"]
    began = time.perf_counter()
    halves = [
        subprocess.Popen(
            [str(NODE / "node_modules/.bin/axe"), *half, *options, *chrome_options],
            cwd=NODE,
            env=peers_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for half in (urls[::2], urls[1::2])
    ]
    said = [half.communicate()[0] for half in halves]
    took_s = time.perf_counter() - began
    scanned = sum(len(re.findall(r"please wait", text)) for text in said)
    if scanned != len(urls):
        sys.exit(f"@axe-core/cli scanned {scanned} of {len(urls)} pages: {said[0][-500:]}")
    return took_s


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
    took: dict[str, list[float]] = {SIGHTLINE.name: [], "pa11y-ci": [], "@axe-core/cli": []}
    with tempfile.TemporaryDirectory() as folder, served_site() as base, our_worker(Path(folder)) as ours:
        settings, cold_s, pid = ours
        alone_mb = resident_mb(pid, generations=0)
        urls = addresses(base, COPIES)
        for number in range(bench.rounds):
            seconds, whole = asyncio.run(scan_ours(settings, [f"{url}&round={number}" for url in urls]))
            if whole != len(urls):
                sys.exit(f"ours scanned {whole} of {len(urls)} pages whole")
            took[SIGHTLINE.name].append(seconds)
            took["pa11y-ci"].append(scan_pa11y(urls, Path(folder)))
            took["@axe-core/cli"].append(scan_axe_cli(urls, Path(folder)))
        warm_s, _ = asyncio.run(scan_ours(settings, [f"{base}/kettle.html?warm"]))
        memory_mb = resident_mb(pid)
    rates = {tool: len(urls) * 60 / statistics.median(seconds) for tool, seconds in took.items()}
    times = rates[SIGHTLINE.name] / max(rate for tool, rate in rates.items() if tool != SIGHTLINE.name)
    first = Row(
        "scans per minute, 12 pages, two at a time", "scans/min", {tool: f"{r:.0f}" for tool, r in rates.items()}
    )
    first.targets = [(f"{times:.2f} times the faster peer, must be ≥ {SCANS_MUST}", times >= SCANS_MUST)]
    second = Row("cold start; one warm scan, submit to result", "s", {SIGHTLINE.name: f"{cold_s:.1f}; {warm_s:.2f}"})
    third = Row("memory of a worker alone; with its browser after the scans", "MB")
    third.values = {SIGHTLINE.name: f"{alone_mb:.0f}; {memory_mb:.0f}"}
    third.targets = [(f"alone {alone_mb:.0f} MB, must be ≤ {WORKER_MUST_MB} MB", alone_mb <= WORKER_MUST_MB)]
    return [first, second, third]
