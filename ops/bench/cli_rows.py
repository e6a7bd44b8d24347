"""The speed of the command line: how soon a command begins, and how soon a long list of pages is queued."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contenders import SIGHTLINE

if TYPE_CHECKING:
    from rows import Bench

from rows import Row

ROOT: Final = Path(__file__).resolve().parents[2]
FLOOR: Final = ("-c", "import redis.asyncio, pydantic, rich")
"""What any client of Redis with typed results and a table has to import."""
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "status": ("status",),
    "scan": ("scan", "https://shop.example/", "--json"),
    "top": ("top", "--once", "--json"),
    "result": ("result", "bench", "--json"),
}
STARTS: Final = 15
START_MUST: Final = 1.5
PAGES: Final = 5_000
PAGES_MUST_S: Final = 5.0
RUN: Final = ("-m", "producer.cli.main")


def start(bench: Bench) -> list[Row]:
    """Measure each command from start to exit, alternating with its unavoidable imports; each run is a new process."""
    took_ms: dict[str, list[float]] = {name: [] for name in ("floor", *COMMANDS)}
    for _ in range(STARTS):
        took_ms["floor"].append(_timed(bench.url, FLOOR))
        for name, arguments in COMMANDS.items():
            took_ms[name].append(_timed(bench.url, (*RUN, *arguments)))
    medians = {name: statistics.median(times) for name, times in took_ms.items()}
    row = Row("start-up: " + ", ".join(COMMANDS) + "; imports alone", "ms")
    row.values = {SIGHTLINE.name: ", ".join(f"{medians[name]:.0f}" for name in COMMANDS) + f"; {medians['floor']:.0f}"}
    row.targets = [
        (
            f"{name}: {medians[name] / medians['floor']:.2f} times, must be ≤ {START_MUST}",
            medians[name] <= START_MUST * medians["floor"],
        )
        for name in COMMANDS
    ]
    return [row]


def pages(bench: Bench) -> list[Row]:
    """Measure `scan --file` of many pages from start to exit, including Python's start, and its memory."""
    bench.fresh()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"https://shop.example/{number}\n" for number in range(PAGES))
        file.flush()
        took_s: list[float] = []
        most_mb = 0
        for number in range(bench.rounds):
            began = time.monotonic()
            process = _start(bench.url, (*RUN, "scan", "--file", file.name, "--batch", f"bench{number}"))
            _, status, used = os.wait4(process.pid, 0)
            took_s.append(time.monotonic() - began)
            assert os.waitstatus_to_exitcode(status) == 0  # noqa: S101  what failed was not measured
            most_mb = max(most_mb, used.ru_maxrss // 1024)
    median_s = statistics.median(took_s)
    row = Row(f"scan --file of {PAGES:,} pages, queued and sealed", "s")
    row.values = {SIGHTLINE.name: f"{median_s:.1f} ({most_mb} MB)"}
    row.targets = [(f"{median_s:.1f} s, must be < {PAGES_MUST_S:g} s", median_s < PAGES_MUST_S)]
    return [row]


def _timed(url: str, arguments: Sequence[str]) -> float:
    began = time.monotonic()
    _start(url, arguments).wait()
    return (time.monotonic() - began) * 1000


def _start(url: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "REDIS_URL": url, "ENVIRONMENT": "bench"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)


CLI_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {"start": start, "pages": pages}
