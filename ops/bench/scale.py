"""Fits a model of Redis' load, checks it, and extrapolates it: ``python ops/bench/scale.py``; about five minutes.

Model: Redis' CPU seconds per second = base + feeder + workers * idle + jobs/s * (job + watchers * watcher). ``base`` is
an empty Redis, ``feeder`` the producer that keeps jobs waiting, ``job`` includes its submission. All are fitted to 1
and 8 workers, and the model is then compared with 2 and 32 workers, for no-op jobs and jobs of 200 ms. A page's cost is
measured with real scans. The output is Markdown, as in ``docs/scaling.md``. Redis' CPU time is its own, so other
programs on the machine disturb it little.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scan import addresses, our_worker, scan_ours, served_site  # noqa: E402  after the path is set

from producer.client.client import Client  # noqa: E402  the same
from producer.keys import Keys  # noqa: E402  the same
from producer.settings import ClientSettings  # noqa: E402  the same
from worker.own_redis.server import EmbeddedRedis  # noqa: E402  the same
from worker.queue.arq_pool import StreamPool  # noqa: E402  the same
from worker.queue.worker import StreamWorker, func  # noqa: E402  the same
from worker.telemetry import configure_logging  # noqa: E402  the same

KEYS: Final = Keys(environment="scale")
LANE: Final = KEYS.lane("batch")
FITTED, CHECKED = (1, 8), (2, 32)
"""Numbers of workers."""
SLOTS: Final = {"noop": 32, "sleep": 4}
SLEEP_S: Final = 0.2
START_S: Final = 8
"""A worker's start on a busy machine."""
WARM_S, WINDOW_S = 3.0, 6.0
WATCHERS: Final = 20
WAITING: Final = 2_000
PAGES: Final = 24
PAGES_PER_MINUTE, MACHINES, CORES, WATCHING = 10_000, 100, 4, 50
KEPT_DAYS: Final = 7
NETWORK: Final = 1.25e9
"""Ten gigabits a second."""


@dataclass(frozen=True)
class Load:
    """What was measured in a window: seconds of Redis' CPU per second, jobs per second, bytes in and out per second."""

    cpu: float
    jobs: float
    bytes: float


class Server:
    """A Redis under measurement."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = Redis.from_url(url)

    def counters(self) -> tuple[float, float, int, int]:
        """Return the time, Redis' CPU seconds, jobs that ended since the start, and bytes in and out."""
        cpu = cast("dict[str, Any]", self.redis.info("cpu"))
        stats = cast("dict[str, Any]", self.redis.info("stats"))
        ended = cast("dict[str, Any]", self.redis.xinfo_stream(LANE))["entries-added"] if self.redis.exists(LANE) else 0
        left = cast("int", self.redis.xlen(LANE))
        moved = int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])
        return time.monotonic(), cpu["used_cpu_user"] + cpu["used_cpu_sys"], int(ended) - left, moved

    def load(self, window_s: float = WINDOW_S) -> Load:
        """Measure for ``window_s``."""
        began, cpu, ended, moved = self.counters()
        time.sleep(window_s)
        now, cpu_now, ended_now, moved_now = self.counters()
        took = now - began
        return Load((cpu_now - cpu) / took, (ended_now - ended) / took, (moved_now - moved) / took)


@contextlib.contextmanager
def server() -> Generator[Server]:
    """Start an empty Redis."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder), die_with_parent=True) as started:
        yield Server(started.url)


@contextlib.contextmanager
def programs(count: int, *arguments: str) -> Generator[None]:
    """Run ``count`` processes of this file until the end of the block."""
    command = [sys.executable, str(Path(__file__)), *arguments]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


@contextlib.contextmanager
def workers(of: Server, count: int, kind: str) -> Generator[None]:
    """Run workers, and return once all have a heartbeat."""
    with programs(count, "work", of.url, str(SLOTS[kind])):
        within_s = 60 + START_S * count
        deadline = time.monotonic() + within_s
        while len(list(of.redis.scan_iter(f"{KEYS.prefix}worker:*", count=1000))) < count:
            if time.monotonic() > deadline:
                msg = f"not within {within_s} s: {count} started workers"
                raise TimeoutError(msg)
            time.sleep(0.1)
        yield


def work(url: str, slots: int) -> None:
    """Run a worker in this process."""

    async def noop(_: dict[Any, Any], n: int) -> int:
        return n

    async def sleep(_: dict[Any, Any], n: int) -> int:
        await asyncio.sleep(SLEEP_S)
        return n

    configure_logging(level="warning", form="json")
    functions = [func(cast("Any", noop), name="noop"), func(cast("Any", sleep), name="sleep")]
    pool = StreamPool.from_url(url)
    StreamWorker(functions, environment=KEYS.environment, redis_pool=pool, max_jobs=slots).run()


async def watch(url: str) -> None:
    """Read all events, as ``WATCHERS`` clients."""

    async def one() -> None:
        async with Client(ClientSettings(redis_url=url, environment=KEYS.environment)) as client:
            async for _ in client.events():
                pass

    await asyncio.gather(*[one() for _ in range(WATCHERS)])


async def feed(url: str, kind: str) -> None:
    """Keep jobs waiting."""
    redis = Redis.from_url(url)
    async with Client(ClientSettings(redis_url=url, environment=KEYS.environment)) as client:
        while True:
            if cast("int", redis.xlen(LANE)) > WAITING:
                await asyncio.sleep(0.005)
                continue
            async for _ in client.submit_many(kind, ({"n": n} for n in range(500))):
                pass


def busy(kind: str, count: int, *, watchers: bool = False) -> Load:
    """Measure ``count`` workers whose slots are always full, and the submission of their jobs."""
    with (
        server() as of,
        workers(of, count, kind),
        programs(int(watchers), "watch", of.url),
        programs(1, "feed", of.url, kind),
    ):
        time.sleep(WARM_S)
        return of.load()


def idle(count: int) -> tuple[float, float]:
    """Return the CPU seconds per second of an empty Redis, and of one worker without jobs."""
    with server() as of:
        base = of.load().cpu
        with workers(of, count, "sleep"):
            time.sleep(WARM_S)
            return base, (of.load().cpu - base) / count


def pages(at_rest: float) -> tuple[Load, float]:
    """Return the load per page of real scans (``jobs`` is 1) above ``at_rest``, and the bytes held for one."""
    with tempfile.TemporaryDirectory() as folder, served_site() as site, our_worker(Path(folder)) as (settings, _, _):
        asyncio.run(scan_ours(settings, addresses(site, 1)))
        of = Server(settings.redis_url)
        of.redis.config_resetstat()
        began, cpu, _, _ = of.counters()
        held = int(cast("dict[str, Any]", of.redis.info("memory"))["used_memory"])
        asyncio.run(scan_ours(settings, [f"{url}&more" for url in addresses(site, 9)][:PAGES]))
        now, cpu_now, _, moved = of.counters()
        held = int(cast("dict[str, Any]", of.redis.info("memory"))["used_memory"]) - held
    return Load((cpu_now - cpu - (now - began) * at_rest) / PAGES, 1, moved / PAGES), held / PAGES


def main() -> None:
    """Measure, fit, compare, extrapolate; print Markdown."""
    base, at_rest = idle(8)
    found = {(kind, count): busy(kind, count) for kind in SLOTS for count in (*FITTED, *CHECKED)}
    feeder, job = fitted(found, base, at_rest)
    watched, alone = busy("sleep", 8, watchers=True), found["sleep", 8]
    watcher = max(0.0, (watched.cpu - alone.cpu) / watched.jobs / WATCHERS)
    print("| workers | jobs | jobs/s | Redis' CPU, share of a core | by the model | |\n|---|---|---|---|---|---|")
    for (kind, count), load in found.items():
        expected = base + feeder + count * at_rest + load.jobs * job[kind]
        what = "no-op" if kind == "noop" else "200 ms"
        use = "fitted" if count in FITTED else f"{expected / load.cpu - 1:+.0%}"
        print(f"| {count} | {what} | {load.jobs:,.0f} | {load.cpu:.3f} | {expected:.3f} | {use} |")
    page, held = pages(base + at_rest)
    print(
        f"\nempty {base * 1e3:.1f} ms/s; idle worker {at_rest * 1e3:.2f} ms/s; no-op job {job['noop'] * 1e6:.0f} µs; ",
        end="",
    )
    print(f"job alone {job['sleep'] * 1e6:.0f} µs; event per watcher {watcher * 1e6:.1f} µs; ", end="")
    print(f"page {page.cpu * 1e3:.2f} ms, {page.bytes / 1e3:,.0f} KB in and out, {held / 1e3:,.0f} KB held\n")
    extrapolate(at_rest, watcher, page, held)


def fitted(found: dict[tuple[str, int], Load], base: float, at_rest: float) -> tuple[float, dict[str, float]]:
    """Return the feeder's CPU seconds per second and those of a job by kind.

    Jobs of 200 ms are few, so the feeder shows in them: two runs, two unknowns. No-op jobs are then a mean.
    """
    above = {key: load.cpu - base - key[1] * at_rest for key, load in found.items()}
    few, many = (("sleep", count) for count in FITTED)
    alone = (above[many] - above[few]) / (found[many].jobs - found[few].jobs)
    feeder = max(0.0, above[few] - alone * found[few].jobs)
    noop = statistics.mean((above["noop", n] - feeder) / found["noop", n].jobs for n in FITTED)
    return feeder, {"sleep": alone, "noop": noop}


def extrapolate(at_rest: float, watcher: float, page: Load, held: float) -> None:
    """Print what the pages of a minute ask of one Redis, and when it is full."""
    rate, count = PAGES_PER_MINUTE / 60, MACHINES * CORES // 2
    cpu = count * at_rest + rate * (page.cpu + WATCHING * watcher)
    kept = PAGES_PER_MINUTE * 60 * 24 * KEPT_DAYS * held
    rows = (
        ("Redis' main thread", f"{cpu:.2f} of a core", f"{PAGES_PER_MINUTE / cpu:,.0f} pages/min"),
        (
            "network of Redis",
            f"{rate * page.bytes / 1e6:,.0f} MB/s",
            f"{NETWORK / page.bytes * 60:,.0f} pages/min",
        ),
        (f"memory, results kept {KEPT_DAYS} days", f"{kept / 1e12:.1f} TB if it never stops", ""),
        ("memory, 1,000,000 pages a night", f"{1e6 * held / 1e9:,.0f} GB a night", ""),
    )
    print(f"{PAGES_PER_MINUTE:,} pages a minute, {MACHINES} machines with {count} workers, {WATCHING} watchers:\n")
    print("| layer | load | full at |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def program(arguments: Sequence[str]) -> None:
    """Run one of the processes, or all."""
    if arguments and arguments[0] == "work":
        work(arguments[1], int(arguments[2]))
    elif arguments and arguments[0] == "feed":
        asyncio.run(feed(arguments[1], arguments[2]))
    elif arguments:
        asyncio.run(watch(arguments[1]))
    else:
        main()


if __name__ == "__main__":
    program(sys.argv[1:])
