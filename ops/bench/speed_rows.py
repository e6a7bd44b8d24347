"""Rows about the queue's speed, each measured for all contenders, round by round. Methods in words: README.md.

The contenders take turns within a round, so that a noisy minute affects all of them. Medians over the rounds are
compared.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable
from typing import Final

from contenders import ARQ, ASYNQ, BULLMQ, SAQ, SIGHTLINE, TASKIQ, Contender
from rows import STARTED, Bench, Row, others

BACKLOG: Final = 1_000_000
BACKLOG_MUST_MS: Final = 20.0
FIRST_JOBS: Final = 200
MANY_MUST: Final = 4


def pickup(bench: Bench) -> list[Row]:
    """Measure from the call of enqueue to the first line of the job, one job at a time: idle worker, then half busy."""
    idle = _pickup_row(bench, "pickup", "pickup, one job at a time, idle worker", bench.contenders)
    p50, p99 = (float(part) for part in idle.values[SIGHTLINE.name].split(" / "))
    idle.targets.append((f"p99 {p99:.2f} ms ≤ 2 x p50 + 3 ms = {2 * p50 + 3:.2f} ms", p99 <= 2 * p50 + 3))
    able = [one for one in bench.contenders if one is not ARQ]
    loaded = _pickup_row(bench, "pickup_loaded", "pickup, half of the worker's 32 slots busy", able)
    if ARQ in bench.contenders:
        loaded.values[ARQ.name] = "falls behind"
    return [idle, loaded]


def _pickup_row(bench: Bench, command: str, title: str, contenders: Iterable[Contender]) -> Row:
    def measure(contender: Contender) -> list[float]:
        contender.produce(bench.url, "submit", 1)
        with contender.worker(bench.url):
            bench.await_workers(1)
            contender.produce(bench.url, "pickup", 2 if contender.is_slow else 10)
            return contender.produce(bench.url, command, 12 if contender.is_slow else 150)

    rounds = bench.each(contenders, measure)
    found = {name: [wait for waits in lists for wait in waits] for name, lists in rounds.items()}
    p50 = {name: statistics.median(waits) for name, waits in found.items()}
    p99 = {name: statistics.quantiles(waits, n=100)[98] for name, waits in found.items()}
    row = Row(title, "p50 / p99 ms", {name: f"{p50[name]:.2f} / {p99[name]:.2f}" for name in found})
    for label, values in (("p50", p50), ("p99", p99)):
        if peers := others(values):
            best = min(peers, key=lambda name: peers[name])
            own = values[SIGHTLINE.name]
            row.targets.append((f"{label} {own:.2f} ms, must be ≤ {best}'s {peers[best]:.2f} ms", own <= peers[best]))
    return row


def drain(bench: Bench) -> list[Row]:
    """Measure one worker on waiting no-op jobs, 32 at a time, results kept, from its start to the last commit."""
    rates = _drain_rates(bench, bench.contenders, command="work", workers=1)
    row = Row("drain of 5,000 no-op jobs, one worker process", "jobs/s")
    row.values = {name: f"{rate:,.0f}" for name, rate in rates.items()}
    own = rates[SIGHTLINE.name]
    row.targets = _times_fastest(rates, must=2)
    if python := [rates[one.name] for one in (SAQ, TASKIQ) if one.name in rates]:
        row.targets.append(
            (f"{own / max(python):.1f} times the faster of SAQ and taskiq, must be ≥ 4", own >= 4 * max(python))
        )
    if ARQ.name in rates:
        row.targets.append((f"{own / rates[ARQ.name]:.1f} times arq, must be ≥ 15", own >= 15 * rates[ARQ.name]))
    return [row]


def cores(bench: Bench) -> list[Row]:
    """Measure the same with all cores: a worker process per core, and asynq, which uses all cores in one."""
    count = os.cpu_count() or 1
    those = [one for one in bench.contenders if one in (SIGHTLINE, ASYNQ)]
    rates = _drain_rates(bench, those, command="work_cores", workers=count, jobs=20_000)
    row = Row(f"drain of 20,000 no-op jobs, {count} cores", "jobs/s")
    row.values = {name: f"{rate:,.0f}" for name, rate in rates.items()}
    row.targets = _times_fastest(rates, must=2)
    return [row]


def _drain_rates(
    bench: Bench, contenders: list[Contender] | tuple[Contender, ...], *, command: str, workers: int, jobs: int = 5_000
) -> dict[str, float]:
    def measure(contender: Contender) -> float:
        count = 1_500 if contender is ARQ else jobs
        contender.produce(bench.url, "submit_many", count)
        with contender.worker(bench.url, command, workers):
            bench.await_workers(1)
            began = bench.noted(STARTED)[0]
            ended = bench.until(lambda: contender.left(bench.redis) == 0, what=f"{contender.name}'s last job")
            return count / (ended - began)

    return {name: statistics.median(rounds) for name, rounds in bench.each(contenders, measure).items()}


def _times_fastest(rates: dict[str, float], *, must: float) -> list[tuple[str, bool]]:
    peers = others(rates)
    if not peers:
        return []
    best = max(peers, key=lambda name: peers[name])
    times = rates[SIGHTLINE.name] / peers[best]
    return [(f"{times:.2f} times the fastest, {best}, must be ≥ {must:g}", times >= must)]


def submit(bench: Bench) -> list[Row]:
    """Measure the jobs per second of one producer: one await per job, and as fast as the library can."""
    singly = bench.each(bench.contenders, lambda contender: 3_000 / contender.produce(bench.url, "submit", 3_000))
    many = bench.each(bench.contenders, lambda contender: 5_000 / contender.produce(bench.url, "submit_many", 5_000))
    one = {name: statistics.median(rounds) for name, rounds in singly.items()}
    all_at_once = {name: statistics.median(rounds) for name, rounds in many.items()}
    first = Row("submit, one await per job", "jobs/s", {name: f"{rate:,.0f}" for name, rate in one.items()})
    second = Row("submit_many, or as fast as the library can", "jobs/s")
    second.values = {name: f"{rate:,.0f}" for name, rate in all_at_once.items()}
    first.targets = _times_fastest(one, must=1)
    if python := [one[peer.name] for peer in (SAQ, TASKIQ) if peer.name in one]:
        own, best = one[SIGHTLINE.name], max(python)
        first.targets.append((f"{own / best:.2f} times the faster of SAQ and taskiq, must be ≥ 1.5", own >= 1.5 * best))
        many_times = all_at_once[SIGHTLINE.name] / best
        second.targets = [(f"{many_times:.1f} times their single submits, must be ≥ 4", many_times >= MANY_MUST)]
    return [first, second]


def backlog(bench: Bench) -> list[Row]:
    """Measure the pickup of interactive jobs, one at a time, while a million no-op batch jobs wait and are drained."""
    row = Row(f"pickup of an interactive job, {BACKLOG:,} batch jobs waiting", "p50 / p99 ms")
    for contender in bench.contenders:
        if contender not in (SIGHTLINE, BULLMQ):
            continue
        bench.fresh()
        contender.produce(bench.url, "backlog", BACKLOG)
        with contender.worker(bench.url):
            bench.await_workers(1)
            waits = contender.produce(bench.url, "pickup_first", FIRST_JOBS)
            left = contender.left(bench.redis)
        p50, p99 = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
        row.values[contender.name] = f"{p50:.2f} / {p99:.2f}, {left:,} left at the end"
        if contender is SIGHTLINE:
            row.targets = [(f"p99 {p99:.2f} ms, must be ≤ {BACKLOG_MUST_MS:g} ms", p99 <= BACKLOG_MUST_MS)]
    bench.fresh()
    return [row]


SPEED_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "pickup": pickup,
    "drain": drain,
    "cores": cores,
    "submit": submit,
    "backlog": backlog,
}
