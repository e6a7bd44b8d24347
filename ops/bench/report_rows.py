"""The rows about reports of many pages: time and memory of `result BATCH`, the report's size, and how soon it opens.

The results are made (``many_results.py``) and committed by the queue's own scripts, nothing is scanned. The browser's
times are its own measurements: the navigation's ``loadEventEnd``, after which the page responds, and its first paint.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli_rows import ROOT
from contenders import SIGHTLINE
from redis.asyncio import Redis
from rows import Row

from ops.bench.grouping import STYLES, measure, planted_site
from ops.bench.many_results import results
from producer.client.client import Client
from producer.contract import ScanResult, decode_payload
from producer.keys import Keys
from worker.queue.delivery import Delivery
from worker.queue.outcome import Commit

if TYPE_CHECKING:
    from rows import Bench

KEYS: Final = Keys("bench")
BATCH: Final = "many"
MORE: Final = 6
"""Component barriers of each template beside the planted ones."""
PROGRAM: Final = """
import sys
from producer.cli import main
code = main.run(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
sys.exit(code)
"""
"""The command line, and the most memory that it had, kB: `ru_maxrss` would count this program's own."""
AT_ONCE: Final = 100
WRITE_MUST_S: Final = 10.0
WRITE_MUST_MB: Final = 150
SIZE_MUST_MB: Final = 3.0
OPENS_MUST_S: Final = {1_000: 1.0, 5_000: 3.0}
GROUPING_MUST: Final = 0.95


def reports(bench: Bench) -> list[Row]:
    """HTML reports of 1,000 and 5,000 pages: written by the command line, opened by the browser."""
    rows: list[Row] = []
    for pages, opens_must_s in OPENS_MUST_S.items():
        bench.fresh()
        asyncio.run(leave_results(bench.url, pages))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.html"
            took_s, peak_mb = _write(bench.url, file)
            size_mb = file.stat().st_size / 1e6
            load_s, paint_s = asyncio.run(_open(file))
        row = Row(f"HTML report of {pages:,} pages, written and opened", "s")
        row.values = {
            SIGHTLINE.name: f"{took_s:.1f}, {peak_mb} MB of memory; {size_mb:.1f} MB large; "
            f"loaded in {load_s:.2f}, first painted after {paint_s:.2f}"
        }
        row.targets = [(f"opens in {load_s:.2f} s, must be < {opens_must_s:g} s", load_s < opens_must_s)]
        if pages == min(OPENS_MUST_S):
            row.targets += [
                (f"written in {took_s:.1f} s, must be < {WRITE_MUST_S:g} s", took_s < WRITE_MUST_S),
                (f"{peak_mb} MB of memory, must be < {WRITE_MUST_MB}", peak_mb < WRITE_MUST_MB),
                (f"{size_mb:.1f} MB large, must be < {SIZE_MUST_MB:g}", size_mb < SIZE_MUST_MB),
            ]
        rows.append(row)
    return rows


def grouping(_: Bench) -> list[Row]:
    """Precision and recall of component barriers over generated sites, the worst of all ways to make classes."""
    found = {style: measure(list(planted_site(style, pages=48)))[:2] for style in STYLES}
    row = Row("grouping into component barriers, the worst of the generated sites", "precision / recall")
    precision, recall = (min(one[at] for one in found.values()) for at in (0, 1))
    row.values = {SIGHTLINE.name: f"{precision:.3f} / {recall:.3f}"}
    row.targets = [
        (f"precision {precision:.3f}, must be ≥ {GROUPING_MUST}", precision >= GROUPING_MUST),
        (f"recall {recall:.3f}, must be ≥ {GROUPING_MUST}", recall >= GROUPING_MUST),
    ]
    return [row]


async def leave_results(url: str, pages: int) -> None:
    """Submit, claim, start and finish a batch of scans with made results."""
    from tests.support.queue import open_stream, settings_for  # noqa: PLC0415  the tests' consumer

    made = {one.url: one for one in results(pages, more=MORE)}
    async with Redis.from_url(url, protocol=2) as redis, Client(settings_for(url, KEYS)) as client:
        payloads = ({"url": one, "assess": False} for one in made)
        _ = [job async for job in client.submit_many("scan", payloads, batch=BATCH)]
        await client.seal_batch(BATCH)
        async with open_stream(redis, KEYS) as stream:
            while entries := await stream.claim(slots=AT_ONCE, for_batch=AT_ONCE, turns=0):
                held = await asyncio.gather(*(stream.start(entry, tries=3) for entry in entries))
                await asyncio.gather(*(stream.finish(one, commit=_commit(one, made)) for one in held))  # pyright: ignore[reportArgumentType]  # all of them are started


def _commit(delivery: Delivery, made: dict[str, ScanResult]) -> Commit:
    return Commit(made[decode_payload(delivery.payload)["url"]])


def _write(url: str, file: Path) -> tuple[float, int]:
    """Return the seconds and the peak MB of the command that writes the report."""
    environment = {**os.environ, "REDIS_URL": url, "ENVIRONMENT": KEYS.environment}
    command = [sys.executable, "-c", PROGRAM, "result", BATCH, "--format", f"html={file}", "--fail-on", "never"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return time.monotonic() - began, int(done.stdout) // 1024


async def _open(file: Path) -> tuple[float, float]:
    from tests.support.open_page import opened  # noqa: PLC0415  the tests' browser

    async with opened(file.as_uri()) as report:
        await report.until("performance.getEntriesByName('first-contentful-paint').length > 0")
        load_ms: Any = await report.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
        paint_ms: Any = await report.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return load_ms / 1000, paint_ms / 1000


REPORT_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {"reports": reports, "grouping": grouping}
