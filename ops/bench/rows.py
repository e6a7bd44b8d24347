"""One function per row about the queue: each measures all its contenders, round by round.

Every measurement begins on an empty Redis; the contenders take turns within a round, so that a noisy minute affects all
of them. Medians over the rounds are compared. Methods in words: README.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, cast

from contenders import ALL, ARQ, SAQ, SIGHTLINE, SWITCHED, TASKIQ, Contender, kill
from redis import Redis

STARTED, HOLDS = "bench:started", "bench:holds:"
POLL_S: Final = 0.002
DEADLINE_S: Final = 120.0
RECOVERY_WAIT_S: Final = 20.0
"""Longest wait for the peers' recovery; their defaults, which are minutes, are quoted instead."""
RECOVERY_MUST_S: Final = 15.0
MEMORY_JOBS: Final = 100_000
WARM_UP_JOBS: Final = 20_000
FIRST_USES: Final = frozenset({"xautoclaim", "xclaim", "memory|usage"})
"""Redis keeps 24 KB of latency histogram for each command from its first use on; a worker renews first after 3 s and
reclaims first after 10 s. The warm-up goes on until these have been used, or they would count as the jobs'."""
MEMORY_MUST: Final = 0.05
EXPIRED_WITHIN_S: Final = 90
"""An ended job of an arq program is kept for a minute."""
SETTLED_S: Final = 2.0
"""Redis shrinks its tables gradually; memory that has not fallen for this long is final."""


@dataclass
class Row:
    """One row: a value per contender, and whether Sightline's meets its targets."""

    title: str
    unit: str
    values: dict[str, str] = field(default_factory=dict[str, str])
    targets: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])


@dataclass(frozen=True)
class Bench:
    """The server, and how much to measure."""

    url: str
    redis: Redis
    rounds: int

    def fresh(self) -> None:
        """Empty Redis."""
        self.redis.flushall()

    def each(self, contenders: Iterable[Contender], measure: Callable[[Contender], Any]) -> dict[str, list[Any]]:
        """Return the results of ``measure`` in each round, by contender."""
        found: dict[str, list[Any]] = {contender.name: [] for contender in contenders}
        for _ in range(self.rounds):
            for contender in contenders:
                self.fresh()
                found[contender.name].append(measure(contender))
        return found

    def until(self, holds: Callable[[], bool], *, what: str, deadline_s: float = DEADLINE_S) -> float:
        """Return the monotonic time at which ``holds`` became true."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            if holds():
                return time.monotonic()
            time.sleep(POLL_S)
        msg = f"not within {deadline_s:g} s: {what}"
        raise TimeoutError(msg)

    def noted(self, name: str) -> list[float]:
        """Return the workers' notes."""
        return [float(row) for row in cast("list[bytes]", self.redis.lrange(name, 0, -1))]

    def await_workers(self, count: int) -> None:
        """Return once ``count`` workers have started."""
        self.until(lambda: len(self.noted(STARTED)) >= count, what=f"{count} started workers", deadline_s=30)


def pickup(bench: Bench) -> list[Row]:
    """Measure from the call of enqueue to the first line of the job, one job at a time, one idle worker."""

    def measure(contender: Contender) -> list[float]:
        contender.produce(bench.url, "submit", 1)
        with contender.worker(bench.url):
            bench.await_workers(1)
            contender.produce(bench.url, "pickup", 2 if contender is ARQ else 10)
            command, count = ("pickup_slowly", 12) if contender is ARQ else ("pickup", 150)
            return contender.produce(bench.url, command, count)

    found = {name: [wait for waits in rounds for wait in waits] for name, rounds in bench.each(ALL, measure).items()}
    p50 = {name: statistics.median(waits) for name, waits in found.items()}
    p99 = {name: statistics.quantiles(waits, n=100)[98] for name, waits in found.items()}
    row = Row("pickup, one job at a time", "p50 / p99 ms")
    row.values = {name: f"{p50[name]:.2f} / {p99[name]:.2f}" for name in found}
    best = min(p50[SAQ.name], p50[TASKIQ.name])
    own50, own99 = p50[SIGHTLINE.name], p99[SIGHTLINE.name]
    row.targets = [
        (f"p50 {own50:.2f} ms, no slower than the faster of SAQ and taskiq ({best:.2f} ms)", own50 <= best),
        (f"p99 {own99:.2f} ms ≤ 2 x p50 + 3 ms = {2 * own50 + 3:.2f} ms", own99 <= 2 * own50 + 3),
    ]
    return [row]


def drain(bench: Bench) -> list[Row]:
    """Measure one worker on waiting no-op jobs, 32 at a time, results kept, from its start to the last commit."""

    def measure(contender: Contender) -> float:
        count = 1_500 if contender is ARQ else 5_000
        contender.produce(bench.url, "submit_many", count)
        with contender.worker(bench.url):
            bench.await_workers(1)
            began = bench.noted(STARTED)[0]
            ended = bench.until(lambda: contender.left(bench.redis) == 0, what=f"{contender.name}'s last job")
            return count / (ended - began)

    rates = {name: statistics.median(rounds) for name, rounds in bench.each(ALL, measure).items()}
    row = Row("drain of 5,000 no-op jobs, one worker", "jobs/s")
    row.values = {name: f"{rate:,.0f}" for name, rate in rates.items()}
    own, best = rates[SIGHTLINE.name], max(rates[SAQ.name], rates[TASKIQ.name])
    row.targets = [
        (f"{own / best:.1f} times the faster of SAQ and taskiq, must be ≥ 4", own >= 4 * best),
        (f"{own / rates[ARQ.name]:.1f} times arq, must be ≥ 15", own >= 15 * rates[ARQ.name]),
    ]
    return [row]


def submit(bench: Bench) -> list[Row]:
    """Measure the jobs per second of one producer: one await per job, and as fast as the library can."""
    singly = bench.each(ALL, lambda contender: 3_000 / contender.produce(bench.url, "submit", 3_000))
    many = bench.each(ALL, lambda contender: 5_000 / contender.produce(bench.url, "submit_many", 5_000))
    one = {name: statistics.median(rounds) for name, rounds in singly.items()}
    all_at_once = {name: statistics.median(rounds) for name, rounds in many.items()}
    best = max(one[SAQ.name], one[TASKIQ.name])
    best_many = max(all_at_once[SAQ.name], all_at_once[TASKIQ.name])
    first = Row("submit, one await per job", "jobs/s", {name: f"{rate:,.0f}" for name, rate in one.items()})
    second = Row("submit_many, or 32 awaits at once", "jobs/s", {n: f"{rate:,.0f}" for n, rate in all_at_once.items()})
    own, own_many = one[SIGHTLINE.name], all_at_once[SIGHTLINE.name]
    first.targets = [(f"{own / best:.2f} times the faster of SAQ and taskiq, must be ≥ 1.5", own >= 1.5 * best)]
    also = f"{own_many / best_many:.1f} times the faster of their 32 at once"
    second.targets = [
        (f"{own_many / best:.1f} times the faster of their single submits, must be ≥ 4 ({also})", own_many >= 4 * best)
    ]
    return [first, second]


def recovery(bench: Bench) -> list[Row]:
    """Measure from the SIGKILL of a worker to the next run of its job on an idle worker, for all contenders at once."""
    bench.fresh()
    killed_at: dict[str, float] = {}
    with ExitStack() as stack:
        for contender in ALL:
            runs = HOLDS + contender.name
            contender.produce(bench.url, "hold")
            doomed = stack.enter_context(contender.worker(bench.url))
            bench.until(lambda runs=runs: len(bench.noted(runs)) == 1, what="the first run", deadline_s=30)
            stack.enter_context(contender.worker(bench.url))
            bench.await_workers(2 * len(killed_at) + 2)
            kill(doomed)
            killed_at[contender.name] = time.monotonic()
        runs = [HOLDS + contender.name for contender in ALL]
        with suppress(TimeoutError):
            bench.until(
                lambda: all(len(bench.noted(name)) > 1 for name in runs),
                what="all second runs",
                deadline_s=RECOVERY_WAIT_S,
            )
        second = {contender.name: bench.noted(HOLDS + contender.name)[1:] for contender in ALL}
    row = Row("re-run after SIGKILL, with an idle worker", "s")
    for contender in ALL:
        took_s = [at - killed_at[contender.name] for at in second[contender.name]]
        row.values[contender.name] = f"{took_s[0]:.1f}" if took_s else f"> {RECOVERY_WAIT_S:g} ({contender.recovery})"
    own = min((at - killed_at[SIGHTLINE.name] for at in second[SIGHTLINE.name]), default=float("inf"))
    row.targets = [(f"{own:.1f} s, must be ≤ {RECOVERY_MUST_S:g} s", own <= RECOVERY_MUST_S)]
    return [row]


def memory(bench: Bench) -> list[Row]:
    """Measure Redis's memory after many jobs of two workers, without job, result and event keys; and the streams."""
    bench.fresh()
    with SIGHTLINE.worker(bench.url), SIGHTLINE.worker(bench.url):
        bench.await_workers(2)
        _warm_up(bench, SIGHTLINE)
        before = _memory_without_jobs(bench)
        _run_jobs(bench, SIGHTLINE, MEMORY_JOBS)
        lanes = _lane_bytes(bench)
        after = _memory_without_jobs(bench)
    change = after / before - 1
    row = Row(f"Redis memory after {MEMORY_JOBS:,} finished jobs, without their keys", "bytes")
    row.values = {SIGHTLINE.name: f"{before:,} before, {after:,} after; lanes {lanes[0]:,} and {lanes[1]:,}"}
    row.targets = [
        (f"{change:+.1%}, must be within {MEMORY_MUST:.0%}", abs(change) <= MEMORY_MUST),
        (f"the larger lane stream has {max(lanes) / 1024:.1f} KB, must be ≤ 10 KB", max(lanes) <= 10 * 1024),
    ]
    return [row]


def switched(bench: Bench) -> list[Row]:
    """Measure Redis's memory after many jobs of an arq program that keeps no results; no key is deleted."""
    bench.fresh()
    with SWITCHED.worker(bench.url), SWITCHED.worker(bench.url):
        bench.await_workers(2)
        _warm_up(bench, SWITCHED)
        _await_expiry(bench)
        before = _memory_without_jobs(bench, kinds=())
        _run_jobs(bench, SWITCHED, MEMORY_JOBS)
        kept = _await_expiry(bench)
        after = _memory_without_jobs(bench, kinds=())
    change = after / before - 1
    row = Row(f"Redis memory after {MEMORY_JOBS:,} jobs of an arq program with keep_result=0", "bytes")
    row.values = {SIGHTLINE.name: f"{before:,} before, {after:,} after; {kept} keys of jobs and results"}
    row.targets = [
        (f"{change:+.1%}, must be within {MEMORY_MUST:.0%}", abs(change) <= MEMORY_MUST),
        (f"{kept} keys of jobs and results are left, must be 0", kept == 0),
    ]
    return [row]


def _await_expiry(bench: Bench) -> int:
    """Wait until the keys of jobs and results have expired, and return how many are left."""
    until = time.monotonic() + EXPIRED_WITHIN_S
    while kept := sum(
        1 for kind in ("job", "result") for _ in bench.redis.scan_iter(f"sightline:bench:{kind}:*", 5_000)
    ):
        if time.monotonic() > until:
            break
        time.sleep(2)
    return kept


def _warm_up(bench: Bench, contender: Contender) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not _commands_used(bench.redis) >= FIRST_USES:
        if time.monotonic() > deadline:
            msg = f"not within {DEADLINE_S:g} s: the first use of {', '.join(FIRST_USES)}"
            raise TimeoutError(msg)
        _run_jobs(bench, contender, WARM_UP_JOBS)
        _lane_bytes(bench)


def _commands_used(redis: Redis) -> set[str]:
    stats = cast("dict[str, Any]", redis.info("latencystats"))
    return {name.removeprefix("latency_percentiles_usec_") for name in stats}


def _lane_bytes(bench: Bench) -> list[int]:
    return [_usage(bench.redis, f"sightline:bench:jobs:{lane}") for lane in ("interactive", "batch")]


def _run_jobs(bench: Bench, contender: Contender, count: int) -> None:
    contender.produce(bench.url, "submit_many", count)
    bench.until(lambda: contender.left(bench.redis) == 0, what=f"the end of {count} jobs")


def _memory_without_jobs(bench: Bench, *, kinds: Iterable[str] = ("job", "result")) -> int:
    """Delete the keys of these kinds and the events, and return what Redis uses once its tables have shrunk."""
    for kind in kinds:
        for keys in _chunks(bench.redis.scan_iter(match=f"sightline:bench:{kind}:*", count=5_000), 5_000):
            bench.redis.unlink(*keys)
    bench.redis.unlink("sightline:bench:events")
    bench.redis.slowlog_reset()  # keeps the arguments of up to 128 calls
    lowest, settled_at = _used(bench.redis), time.monotonic()
    while time.monotonic() - settled_at < SETTLED_S:
        time.sleep(0.2)
        used = _used(bench.redis)
        if used < lowest:
            lowest, settled_at = used, time.monotonic()
    return lowest


def _chunks(keys: Iterable[Any], size: int) -> Iterable[list[Any]]:
    rest = iter(keys)
    while chunk := list(islice(rest, size)):
        yield chunk


def _used(redis: Redis) -> int:
    return int(cast("dict[str, Any]", redis.info("memory"))["used_memory"])


def _usage(redis: Redis, key: str) -> int:
    return int(cast("int | None", redis.memory_usage(key, samples=0)) or 0)


QUEUE_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "pickup": pickup,
    "drain": drain,
    "submit": submit,
    "recovery": recovery,
    "memory": memory,
    "switched": switched,
}
