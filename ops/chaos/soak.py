"""Looks for what grows under a steady load, nothing broken: ``python ops/chaos/soak.py --minutes 15``.

Samples the memory of workers, browsers and Redis, open files, and how long scans take from submission to end. The
verdict on each is its slope: what it would gain in an hour, against what the samples scatter. Redis keeps finished jobs
for days, so there the bytes a job costs count, early against late. Exit code 1 on a slope beyond noise.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stage import ENVIRONMENT, Stage

from producer.client import Client
from producer.settings import ClientSettings
from tests.support.processes_of import descendants, resident_mb

EVERY_S: Final = 3.0
WARM_UP_SHARE: Final = 0.25
"""Of the run, left out: caches, connections and the allocator's arenas fill first."""
OUTSTANDING: Final = 6
JOBS_A_SAMPLE: Final = 60
"""Redis rounds its allocations up: few jobs are mostly noise."""
SURE: Final = 3.0
"""Standard errors from zero before a slope is more than noise."""
MATTERS_SHARE: Final = 0.05
"""Of the mean, in this run: what a slope must gain to matter."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through samples. ``gain_share`` is what it gains over the run, as a share of the mean."""

    mean: float
    gain_share: float
    errors_from_zero: float

    @property
    def is_noise(self) -> bool:
        """Whether the line is as good as level; falling ones are."""
        return self.gain_share < MATTERS_SHARE or self.errors_from_zero < SURE


def slope_of(times: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the least-squares line; the error of its slope allows for samples that resemble their neighbours."""
    slope, base = statistics.linear_regression(times, values)
    rest = [value - base - slope * at for at, value in zip(times, values, strict=True)]
    spread = sum((at - statistics.fmean(times)) ** 2 for at in times)
    alike = max(0.0, statistics.correlation(rest[1:], rest[:-1])) if len(set(rest)) > 2 else 0.0  # noqa: PLR2004
    own = max(3.0, len(times) * (1 - alike) / (1 + alike))  # how many of the samples tell something new
    error = math.sqrt(sum(r * r for r in rest) / len(rest) / spread * len(times) / own) or 1e-12
    mean = statistics.fmean(values)
    return Slope(mean, slope * (times[-1] - times[0]) / (mean or 1.0), slope / error)


class Samples:
    """What was seen, by name: times (s) and values."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows: dict[str, tuple[list[float], list[float]]] = {}

    def add(self, name: str, value: float) -> None:
        """Add one sample, taken now."""
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
            samples.add("scan, submitted to ended, s", time.monotonic() - began)


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
                samples.add("Redis, bytes a finished job", (held_bytes - bytes_before) / (jobs - jobs_before))
            bytes_before, jobs_before = held_bytes, jobs
        await asyncio.sleep(EVERY_S)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def show(samples: Samples) -> bool:
    """Print the slopes; return whether all are noise."""
    slopes = samples.slopes()
    seconds = time.monotonic() - samples.began
    table = Table(title=f"Soak, {seconds:.0f} s, the first quarter left out", title_justify="left")
    for heading in ("", "mean", "gain in the run", "errors from zero", "verdict"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, slope in slopes.items():
        verdict = "level" if slope.is_noise else "GROWS"
        table.add_row(name, f"{slope.mean:,.1f}", f"{slope.gain_share:+.1%}", f"{slope.errors_from_zero:+.1f}", verdict)
    Console(highlight=False, width=110).print(table)
    return all(slope.is_noise for slope in slopes.values())


def main() -> int:
    """Run once, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sightline-soak-") as folder:
        samples = asyncio.run(soak(Path(folder), seconds=options.minutes * 60, workers=options.workers))
    return 0 if show(samples) else 1


if __name__ == "__main__":
    sys.exit(main())
