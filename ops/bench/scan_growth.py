"""Measures scans per minute, and the worker's memory, as pages grow from 200 to 20,000 elements, beside the peers.

Every page is a list of product cards of nine elements, one card in ten with a missing alternative text, an unnamed link
and text of low contrast. The shares of faults and the depth are the same at each size. Each tool scans the same
addresses two at a time, in turn.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contenders import SIGHTLINE
from rows import Row
from scan import our_worker, resident_mb, scan_ours, served_site
from scan_peers import LIMIT_S, PEERS, install_peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from rows import Bench

COPIES: Final = {200: 12, 2_000: 6, 20_000: 2}
"""Pages scanned in each round, by their number of elements."""
_CARD: Final = (
    '<li><article><h2>Cup {n}</h2><img src="data:," alt="Cup {n}"><p>Holds <b>{n} ml</b>, made of <i>clay</i>.</p>'
    '<p><a href="#cup-{n}">Buy cup {n}</a></p></article></li>'
)
_FAULTY: Final = (
    '<li><article><h2>Cup {n}</h2><img src="data:,"><p style="color:#aaa">Holds <b>{n} ml</b>, made of <i>clay</i>.</p>'
    '<p><a href="#cup-{n}"></a></p></article></li>'
)
_ELEMENTS_A_CARD: Final = 9


def page_of(elements: int) -> str:
    """Return a document of about that many elements."""
    cards = ((_FAULTY if n % 10 == 0 else _CARD).format(n=n) for n in range(elements // _ELEMENTS_A_CARD))
    head = '<!doctype html><html lang="en"><head><title>Cups</title></head><body><main><h1>Cups</h1><ul>'
    return f"{head}{''.join(cards)}</ul></main></body></html>"


def scan_growth(bench: Bench) -> list[Row]:
    """Measure each size; must: from the smallest to the largest page, no tool's rate falls by a smaller factor."""
    install_peers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site").mkdir()
        for size in COPIES:
            (folder / "site" / f"{size}.html").write_text(page_of(size))
        with served_site(folder / "site") as base, our_worker(folder) as (settings, _, pid):

            def ours(urls: list[str], _: Path) -> float:
                seconds, whole = asyncio.run(scan_ours(settings, urls, deadline_s=LIMIT_S))
                if whole != len(urls):
                    msg = f"ours scanned {whole} of {len(urls)} pages whole: {urls[0]}"
                    raise SystemExit(msg)
                return seconds

            tools = {SIGHTLINE.name: ours, **PEERS}
            rates: dict[str, list[float]] = {tool: [] for tool in tools}
            memory: list[tuple[float, float]] = []
            for size in COPIES:
                _measure(bench, tools, rates, address=f"{base}/{size}.html", folder=folder, size=size)
                memory.append((resident_mb(pid, generations=0), resident_mb(pid)))
    row = Row(f"scans of pages of {', '.join(f'{size:,}' for size in COPIES)} elements, two at a time", "scans/min")
    row.values = {tool: ", ".join(f"{rate:.3g}" for rate in found) for tool, found in rates.items()}
    falls = {tool: found[0] / found[-1] for tool, found in rates.items()}
    least = min(fall for tool, fall in falls.items() if tool != SIGHTLINE.name)
    said = f"the rate falls to 1/{falls[SIGHTLINE.name]:.1f}, must be no less than the peers' best 1/{least:.1f}"
    row.targets = [(said, falls[SIGHTLINE.name] <= least)]
    second = Row("memory of the worker after those pages, alone and with its browser", "MB")
    second.values = {SIGHTLINE.name: "; ".join(f"{alone:.0f} and {whole:.0f}" for alone, whole in memory)}
    return [row, second]


def _measure(
    bench: Bench,
    tools: dict[str, Callable[[list[str], Path], float]],
    rates: dict[str, list[float]],
    *,
    address: str,
    folder: Path,
    size: int,
) -> None:
    """Add the rate of each tool's fastest round: a large page is scanned for long enough to be disturbed."""
    took: dict[str, list[float]] = {tool: [] for tool in tools}
    for number in range(bench.rounds):
        urls = [f"{address}?copy={copy}&round={number}" for copy in range(COPIES[size])]
        for tool, scan in tools.items():
            took[tool].append(scan(urls, folder))
    for tool, seconds in took.items():
        rates[tool].append(COPIES[size] * 60 / min(seconds))
