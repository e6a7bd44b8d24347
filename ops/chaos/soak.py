"""Looks for growth under a steady load without faults: ``python ops/chaos/soak.py --minutes 15``.

The load consists of rounds of the same jobs. Between two rounds, when nothing runs and temporary memory is freed, the
memory of workers, browsers and Redis is sampled, and one scan after another is timed. After every third round the open
files are counted, once the connections that only the load needed are closed.
Under load a scan's time follows that of the machine, which on a shared host changes by a third within minutes.

Each row is judged by its slope after the warm-up, extrapolated to an hour, with its error: ``level`` if the run was
long and quiet enough to show relevant growth and did not, ``GROWS`` if it did, ``unclear`` otherwise. Redis keeps
finished jobs for days, so for Redis the bytes per job are compared, early and late.

The exit code is 0 if everything is level, 1 if something grows or a worker ended by itself, 2 if something is unclear.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from slope import Slope, slope_of
from stage import ENVIRONMENT, Stage

from producer.client.client import Client
from producer.contract import JsonObject
from producer.redis.dial import IDLE_S
from producer.settings import ClientSettings
from tests.support.processes_of import descendants, resident_mb

OUTSTANDING: Final = 6
VISITS: Final = 6
"""Of each page in a round: it changes at every third (stage.py), so that every round leaves much the same."""
CONVERSATIONS: Final = 9
QUESTIONS: Final = 2
"""To each conversation in a round."""
TURNS: Final = 9
"""Questions per conversation. Conversations end at different times, the same number in each round."""
TIMED: Final = 3
"""Scans after a round, one after another, of which the fastest counts: whatever disturbs one makes it slower."""
REST_S: Final = 1.0
"""From the last job's end to the reading, so that its page's processes and connections end."""
FILES_EVERY: Final = 3
"""Rounds from one count of the open files to the next."""
UNUSED_S: Final = 2 * IDLE_S
"""Rest before the count: connections unused for ``IDLE_S`` are closed, one with each use of another."""
WARM_UP_SHARE: Final = 1 / 3
"""Share of the run that is left out, while connections, caches and the heap fill (ops/chaos/README.md)."""
FEWEST: Final = 6
"""Minimum samples for a line."""
KEYS_A_TIME: Final = 1_000
MEMORY: Final = 0.10
"""Share of the mean, per hour: about 1 kB leaked per scan of a worker."""
FILES: Final = 0.30
"""They are counted whole: the first and only one more of 38 in the ten minutes that count is up to 24 % an hour."""
DRIFT: Final = 0.50
"""The same for rows with more scatter."""
LIMITS: Final = {
    "workers, resident MB": MEMORY,
    "browsers, resident MB": MEMORY,
    "open files of workers": FILES,
    "Redis, bytes a finished job": DRIFT,
    "a scan by itself, s": DRIFT,
}
"""The allowed gain per hour of each row. A row that was never read is unclear."""


class Samples:
    """The samples of each row: times (s) and values."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in LIMITS}
        self.ends: Counter[int] = Counter()
        """Workers that ended meanwhile, by exit code: the memory of one that was restarted says nothing."""

    def add(self, name: str, value: float) -> None:
        """Add one sample, taken now."""
        times, values = self.rows[name]
        times.append(time.monotonic() - self.began)
        values.append(value)

    def slopes(self) -> dict[str, Slope | None]:
        """Return the slope of each row after the warm-up; None with too few samples."""
        first = (time.monotonic() - self.began) * WARM_UP_SHARE
        kept = {n: [(t, v) for t, v in zip(*row, strict=True) if t >= first] for n, row in self.rows.items()}
        return {n: slope_of(*zip(*pairs, strict=True)) if len(pairs) >= FEWEST else None for n, pairs in kept.items()}


async def soak(folder: Path, *, seconds: float, workers: int) -> Samples:
    """Load a stage for this time and return the samples."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, workers=workers, is_replicated=False))
        url = stage.servers.servers[0].url
        client = await stack.enter_async_context(Client(ClientSettings(redis_url=url, environment=ENVIRONMENT)))
        redis = await stack.enter_async_context(Redis.from_url(url))
        samples = Samples()
        held, number = 0, 0
        while time.monotonic() - samples.began < seconds:
            jobs = a_round(number, stage.urls)
            await _do(jobs, client)
            took = [await _scan_s(stage.urls[0], client) for _ in range(TIMED)]
            samples.add("a scan by itself, s", min(took))
            await asyncio.sleep(REST_S)
            _read_memory(stage, samples)
            if number % FILES_EVERY == 0:
                await asyncio.sleep(UNUSED_S)
                _read_files(stage, samples)
            before, held = held, await _kept_bytes(redis)
            if number:
                samples.add("Redis, bytes a finished job", (held - before) / (len(jobs) + TIMED))
            number += 1
        samples.ends = sum((worker.ends for worker in stage.workers), Counter[int]())
        return samples


def a_round(number: int, urls: Sequence[str]) -> list[tuple[str, JsonObject]]:
    """Return the jobs of a round, kinds and payloads: three scans and a question in turn."""
    scans = [("scan", {"url": url}) for _ in range(VISITS) for url in urls]
    questions: list[tuple[str, JsonObject]] = []
    for turn, conversation in itertools.product(range(QUESTIONS), range(CONVERSATIONS)):
        thread = f"soak-{conversation}-{(number * QUESTIONS + turn + conversation) // TURNS}"
        question = {"question": "Which page has the worst barriers?", "thread_id": thread, "use_cache": False}
        questions.append(("query", question))
    share = len(scans) // len(questions)
    return [job for n, asked in enumerate(questions) for job in (*scans[n * share : (n + 1) * share], asked)]


async def _do(jobs: Sequence[tuple[str, JsonObject]], client: Client) -> None:
    """Run all of them, a few at a time."""
    left = iter(jobs)

    async def load() -> None:
        for kind, payload in left:
            job = await client.submit(kind, payload)
            await client.wait(job.job_id, timeout_s=120)

    async with asyncio.TaskGroup() as loaders:
        for _ in range(OUTSTANDING):
            loaders.create_task(load())


async def _scan_s(url: str, client: Client) -> float:
    """Return how long a scan takes from submitted to ended, in seconds, while nothing else runs."""
    began = time.monotonic()
    job = await client.submit("scan", {"url": url})
    await client.wait(job.job_id, timeout_s=120)
    return time.monotonic() - began


def _read_memory(stage: Stage, samples: Samples) -> None:
    below = _below(stage)
    samples.add("workers, resident MB", resident_mb(list(below)))
    if all(below.values()):
        samples.add("browsers, resident MB", sum(map(resident_mb, below.values())))


def _read_files(stage: Stage, samples: Samples) -> None:
    below = _below(stage)
    if all(below.values()):
        samples.add("open files of workers", sum(map(_open_files, below)))


def _below(stage: Stage) -> dict[int, list[int]]:
    """Return the processes below each worker; none below one that has retired its browser and not had a scan since."""
    return {worker.pid: descendants(worker.pid) for worker in stage.workers if worker.pid}


async def _kept_bytes(redis: Redis) -> int:
    """Return the memory of all keys, since Redis' total memory grows in steps, with its tables and indexes."""
    held = 0
    keys = [key async for key in redis.scan_iter(count=KEYS_A_TIME)]
    for first in range(0, len(keys), KEYS_A_TIME):
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys[first : first + KEYS_A_TIME]:
                pipe.memory_usage(key, samples=0)
            held += sum(size or 0 for size in await pipe.execute())  # None: its time was up meanwhile
    return held


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
        verdict = slope.verdict(LIMITS[name]) if slope else "unclear"
        verdicts.add(verdict)
        seen = (f"{slope.mean:,.1f}", f"{slope.hourly:+.1%} ± {slope.error:.1%}") if slope else ("", "too few samples")
        table.add_row(name, *seen, f"{LIMITS[name]:.0%}", verdict)
    console = Console(highlight=False, width=110)
    console.print(table)
    if "unclear" in verdicts:
        console.print("unclear: the samples scatter too much for so short a run; run longer, or on a quieter machine")
    if samples.ends:
        console.print(f"workers ended by themselves, by exit code: {dict(samples.ends)}")
    return 1 if samples.ends or "GROWS" in verdicts else 2 if "unclear" in verdicts else 0


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
