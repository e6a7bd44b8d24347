"""The row about ``sightline web``: its pages over 100,000 scans, and 200 browsers on one batch. Methods: README.md."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote
from urllib.request import urlopen

from rows import Bench, Row
from web_live import CLIENTS, listened, pages_at, scans_beside
from web_scans import LARGE, LIVE, PAGES, SCANS, SITES, host, issue, seed, url

ROUNDS: Final = 40
PAGE_MUST_MS: Final = 150
SIZE_MUST: Final = 300_000
EVENT_MUST_MS: Final = 300
MEMORY_MUST_MB: Final = 150
BESIDE_MUST: Final = 0.95
"""Rounds of scans alone differ by as much."""
_TOOK: Final = re.compile(r"dur=([\d.]+)")


def web(bench: Bench) -> list[Row]:
    """Return the pages' times, the delays for 200 browsers on the live page, and their effect on concurrent scans."""
    bench.fresh()
    asyncio.run(seed(bench.url))
    with pages_at(bench.url) as (port, pid):
        worst, sizes = _pages(port)
        heard_ms, drawn_ms = asyncio.run(listened(bench.url, port))
        memory_mb = _resident_mb(pid)
    bench.fresh()
    return [_row(worst, sizes, drawn_ms, heard_ms, memory_mb), _beside(*scans_beside())]


def _row(
    worst: dict[str, float],
    sizes: dict[str, int],
    drawn_ms: Sequence[float],
    heard_ms: Sequence[float],
    memory_mb: float,
) -> Row:
    row = Row(f"sightline web over {SCANS:,} scans, {CLIENTS} browsers on a batch", "p95 ms a page; ms to the screen")
    slowest = max(worst, key=lambda name: worst[name])
    largest = max(sizes, key=lambda name: sizes[name])
    drawn, heard = (statistics.quantiles(some, n=20)[18] for some in (drawn_ms, heard_ms))
    shown = ", ".join(f"{name} {took:.0f}" for name, took in worst.items())
    row.values = {
        "sightline": f"{shown}; event on a screen {drawn:.0f}, at all {CLIENTS} {heard:.0f}; {memory_mb:.0f} MB; "
        f"{sizes[largest] / 1000:.0f} KB at most"
    }
    row.targets = [
        (f"p95 {worst[slowest]:.0f} ms ({slowest}), must be < {PAGE_MUST_MS} ms", worst[slowest] < PAGE_MUST_MS),
        (f"{sizes[largest]:,} bytes ({largest}), must be < {SIZE_MUST:,}", sizes[largest] < SIZE_MUST),
        (f"event on a screen in {drawn:.0f} ms (p95), must be ≤ {EVENT_MUST_MS} ms", drawn <= EVENT_MUST_MS),
        (f"event at all {CLIENTS} in {heard:.0f} ms (p95), must be ≤ {EVENT_MUST_MS} ms", heard <= EVENT_MUST_MS),
        (f"{memory_mb:.0f} MB resident, must be ≤ {MEMORY_MUST_MB} MB", memory_mb <= MEMORY_MUST_MB),
    ]
    return row


def _beside(alone: float, one: float, all_of_them: float) -> Row:
    row = Row(f"scans beside it: alone, 1 browser on the batch, {CLIENTS}", "scans/min")
    row.values = {"sightline": f"{alone:.0f}, {one:.0f}, {all_of_them:.0f}"}
    share = one / alone
    row.targets = [(f"{share:.0%} of the scans alone, must be ≥ {BESIDE_MUST:.0%}", share >= BESIDE_MUST)]
    return row


# ---------------------------------------------------------------------------------------------- pages


def paths(number: int = 7) -> dict[str, str]:
    """Return the addresses that are measured, by name; each ``number`` is a site not requested before."""
    site = number % SITES
    return {
        "overview": "/",
        "site": f"/sites/{host(site)}",
        "barrier": f"/barriers/{issue(site, 0)}",
        "page": f"/pages?url={quote(url(site, PAGES - 4))}",
        "5,000 findings": f"/pages?url={quote(f'https://{host(7)}/{LARGE}')}",
        "batch": f"/batches/{LIVE}",
        "ended batch": "/batches/nightly",
        "queue": "/queue",
        "rule": "/search?q=image-alt",
        "meaning": "/search?q=menus+without+a+name",
        "compare": f"/compare?before=30+days+ago&after=now&site={host(site)}",
        "compare form": "/compare",
        "ask": "/ask",
        "scan": "/scan",
        "usage": "/usage",
    }


def _pages(port: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the 95th percentile of each page's time in the server, and its size."""
    times: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for number in range(ROUNDS):
        for name, path in paths(number).items():
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                sizes[name] = max(sizes.get(name, 0), len(answer.read()))
                times.setdefault(name, []).append(float(_TOOK.findall(answer.headers["server-timing"])[0]))
    return {name: statistics.quantiles(took, n=20)[18] for name, took in times.items()}, sizes


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


WEB_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {"web": web}
