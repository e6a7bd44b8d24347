"""Looks for what grows under a steady load, nothing broken: ``python ops/chaos/soak.py --minutes 15``.

Samples the memory of workers, browsers and Redis, open files, and how long scans take from submission to end. The
verdict on each is its slope after the warm-up, extrapolated to an hour, with its error: ``level`` only where the run
was long and quiet enough to have seen growth that matters, ``GROWS`` where it did, ``unclear`` where neither can be
said. Redis keeps finished jobs for days, so there the bytes a job costs count, early against late.

Exit code 0 when all is level, 1 when something grows, 2 when something is unclear.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from slope import Slope, slope_of
from stage import ENVIRONMENT, Stage

from producer.client import Client
from producer.settings import ClientSettings
from tests.support.processes_of import descendants, resident_mb

EVERY_S: Final = 3.0
WARM_UP_SHARE: Final = 1 / 3
"""Of the run, left out: connections, caches of libraries and malloc's arenas fill first (ops/chaos/README.md)."""
OUTSTANDING: Final = 6
JOBS_A_SAMPLE: Final = 60
"""Redis rounds its allocations up: few jobs are mostly noise."""
MEMORY: Final = 0.10
"""Of the mean, in an hour: 1 kB left behind by each scan would be as much of a worker."""
DRIFT: Final = 0.50
"""The same for what scatters more."""


class Samples:
    """What was seen, by name: times (s) and values; ``limits`` says what each may gain in an hour."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows: dict[str, tuple[list[float], list[float]]] = {}
        self.limits: dict[str, float] = {}

    def add(self, name: str, value: float, *, limit: float = MEMORY) -> None:
        """Add one sample, taken now."""
        self.limits[name] = limit
        times, values = self.rows.setdefault(name, ([], []))
        times.append(time.monotonic() - self.began)
        values.append(value)

    def slopes(self) -> dict[str, Slope]:
        """Return the slope of each row after the warm-up."""
        first = (time.monotonic() - self.began) * WARM_UP_SHARE
        kept = {n: [(t, v) for t, v in zip(*row, strict=True) if t >= first] for n, row in self.rows.items()}
        return {name: slope_of(*zip(*pairs, strict=True)) for name, pairs in kept.items() if len(pairs) > 5}  # noqa: PLR2004


async def soak(folder: Path, *, seconds: float, workers: int) -> Samples:
    """Load a stage for so long and return the samples."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, workers=workers))
        client = await stack.enter_async_context(
            Client(ClientSettings(redis_url=stage.redis.url, environment=ENVIRONMENT))
        )
        redis = await stack.enter_async_context(Redis.from_url(stage.redis.url))
        samples = Samples()
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(OUTSTANDING):
                tasks.create_task(_load(client, stage, samples, number, until))
            tasks.create_task(_sample(stage, redis, samples, until))
        return samples


async def _load(client: Client, stage: Stage, samples: Samples, number: int, until: float) -> None:
    """Keep one job under way; every fifth is a question."""
    turn = 0
    while time.monotonic() < until:
        turn += 1
        began = time.monotonic()
        if turn % 5 == 0:
            payload = {"question": "Which page has the worst barriers?", "thread_id": f"soak-{number}-{turn // 50}"}
            job = await client.submit("query", {**payload, "use_cache": False})
        else:
            job = await client.submit("scan", {"url": stage.urls[(number + turn) % len(stage.urls)]})
        await client.wait(job.job_id, timeout_s=120)
        if turn % 5:
            samples.add("scan, submitted to ended, s", time.monotonic() - began, limit=DRIFT)


async def _sample(stage: Stage, redis: Redis, samples: Samples, until: float) -> None:
    bytes_before, jobs_before = 0, 0
    while time.monotonic() < until:
        pids = [worker.pid for worker in stage.workers if worker.pid]
        below = [pid for worker in pids for pid in descendants(worker)]
        samples.add("workers, resident MB", resident_mb(pids))
        samples.add("browsers, resident MB", resident_mb(below))
        samples.add("open files of workers", sum(map(_open_files, pids)))
        held_bytes = int((await redis.memory_stats())["dataset.bytes"])
        jobs = await redis.xlen(stage.keys.events)  # one event a job, when nothing is retried
        if jobs - jobs_before >= JOBS_A_SAMPLE:
            if bytes_before:
                cost = (held_bytes - bytes_before) / (jobs - jobs_before)
                samples.add("Redis, bytes a finished job", cost, limit=DRIFT)
            bytes_before, jobs_before = held_bytes, jobs
        await asyncio.sleep(EVERY_S)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def show(samples: Samples) -> int:
    """Print the slopes; return the exit code."""
    seconds = time.monotonic() - samples.began
    left_out = f"the first {seconds * WARM_UP_SHARE:.0f} s left out"
    table = Table(title=f"Soak, {seconds:.0f} s, {left_out}", title_justify="left")
    for heading in ("", "mean", "gain in an hour", "limit", "verdict"):
        table.add_column(heading, justify="left" if not heading else "right")
    verdicts: set[str] = set()
    for name, slope in samples.slopes().items():
        verdict = slope.verdict(samples.limits[name])
        verdicts.add(verdict)
        gain = f"{slope.hourly:+.1%} ± {slope.error:.1%}"
        table.add_row(name, f"{slope.mean:,.1f}", gain, f"{samples.limits[name]:.0%}", verdict)
    console = Console(highlight=False, width=110)
    console.print(table)
    if "unclear" in verdicts:
        console.print("unclear: the samples scatter too much for so short a run; run longer, or on a quieter machine")
    return 1 if "GROWS" in verdicts else 2 if "unclear" in verdicts else 0


def main() -> int:
    """Run once, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samples", type=Path, help="file for all samples, as JSON: {row: [[s…], [value…]]}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sightline-soak-") as folder:
        samples = asyncio.run(soak(Path(folder), seconds=options.minutes * 60, workers=options.workers))
    if options.samples:
        options.samples.write_text(json.dumps(samples.rows))
    return show(samples)


if __name__ == "__main__":
    sys.exit(main())
