"""Rows about what the queue keeps: jobs of killed workers, and memory of Redis. Methods in words: README.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Any, Final, cast

from contenders import SIGHTLINE, SWITCHED, Contender, kill
from redis import Redis
from rows import DEADLINE_S, Bench, Row, others, used_bytes

HOLDS: Final = "bench:holds:"
RECOVERY_WAIT_S: Final = 20.0
"""Longest wait for the peers' recovery; their defaults, which are minutes, are quoted instead."""
RECOVERY_MUST_S: Final = 15.0
NAPS: Final = 5_000
"""Jobs of 0.1 s: 32 slots need 15.6 s for them."""
SIZED_JOBS: Final = 20_000
MEMORY_JOBS: Final = 100_000
WARM_UP_JOBS: Final = 20_000
FIRST_USES: Final = frozenset({"xautoclaim", "xclaim", "memory|usage"})
"""Redis keeps 24 KB of latency histogram for each command from its first use on; a worker renews first after 3 s and
reclaims first after 10 s. The warm-up goes on until these have been used, or they would count as the jobs'."""
MEMORY_MUST: Final = 0.05
EXPIRED_WITHIN_S: Final = 90
"""An ended job of an arq program is kept for a minute."""


def recovery(bench: Bench) -> list[Row]:
    """Measure from the SIGKILL of a worker to the next run of its job: on an idle worker; ours also on a busy one."""
    bench.fresh()
    killed_at: dict[str, float] = {}
    with ExitStack() as stack:
        for contender in bench.contenders:
            killed_at[contender.name] = _kill_first(bench, contender, stack, workers=2 * len(killed_at))
        runs = [HOLDS + contender.name for contender in bench.contenders]
        with suppress(TimeoutError):
            bench.until(
                lambda: all(len(bench.noted(name)) > 1 for name in runs),
                what="all second runs",
                deadline_s=RECOVERY_WAIT_S,
            )
        second = {contender.name: bench.noted(HOLDS + contender.name)[1:] for contender in bench.contenders}
    idle, busy = "re-run after SIGKILL, with an idle worker", f"re-run after SIGKILL, {NAPS:,} jobs waiting"
    rows = [Row(idle, "s"), Row(busy, "s")]
    for contender in bench.contenders:
        took_s = [at - killed_at[contender.name] for at in second[contender.name]]
        late = f"> {RECOVERY_WAIT_S:g} ({contender.recovery})"
        rows[0].values[contender.name] = f"{took_s[0]:.1f}" if took_s else late
        rows[1].values[contender.name] = f"documented: {contender.recovery}"
    own = min((at - killed_at[SIGHTLINE.name] for at in second[SIGHTLINE.name]), default=float("inf"))
    own_busy = _busy_recovery(bench)
    rows[1].values[SIGHTLINE.name] = f"{own_busy:.1f}"
    for row, took in zip(rows, (own, own_busy), strict=True):
        row.targets = [(f"{took:.1f} s, must be ≤ {RECOVERY_MUST_S:g} s", took <= RECOVERY_MUST_S)]
    return rows


def _kill_first(bench: Bench, contender: Contender, stack: ExitStack, *, workers: int) -> float:
    """Kill the worker that runs a job that never ends, beside a second worker; return when."""
    runs = HOLDS + contender.name
    contender.produce(bench.url, "hold")
    doomed = stack.enter_context(contender.worker(bench.url))
    bench.until(lambda: len(bench.noted(runs)) == 1, what="the first run", deadline_s=30)
    stack.enter_context(contender.worker(bench.url))
    bench.await_workers(workers + 2)
    kill(doomed)
    return time.monotonic()


def _busy_recovery(bench: Bench) -> float:
    """Return the same with jobs waiting that keep all slots of the second worker busy for longer than that."""
    bench.fresh()
    with ExitStack() as stack:
        killed_at = _kill_first(bench, SIGHTLINE, stack, workers=0)
        SIGHTLINE.produce(bench.url, "naps", NAPS)
        runs = HOLDS + SIGHTLINE.name
        with suppress(TimeoutError):
            bench.until(lambda: len(bench.noted(runs)) > 1, what="the second run", deadline_s=60)
        second = bench.noted(runs)[1:]
    return second[0] - killed_at if second else float("inf")


def job_bytes(bench: Bench) -> list[Row]:
    """Measure Redis's memory per waiting and per finished no-op job, each library as it keeps them by default."""
    bench.fresh()
    found = {contender.name: _job_bytes(bench, contender) for contender in bench.contenders}
    rows: list[Row] = []
    for title, at in (("waiting", 0), ("finished", 1)):
        sizes = {name: sizes[at] for name, sizes in found.items()}
        row = Row(f"Redis memory per {title} no-op job", "bytes", {n: f"{size:,.0f}" for n, size in sizes.items()})
        peers = others(sizes)
        if peers:
            least = min(peers, key=lambda name: peers[name])
            own = sizes[SIGHTLINE.name]
            row.targets = [(f"{own:,.0f} bytes, must be ≤ {least}'s {peers[least]:,.0f}", own <= peers[least])]
        rows.append(row)
    return rows


def _job_bytes(bench: Bench, contender: Contender) -> tuple[float, float]:
    count = 5_000 if contender.is_slow else SIZED_JOBS
    bench.fresh()
    before = used_bytes(bench.redis)
    contender.produce(bench.url, "submit_many", count)
    waiting = used_bytes(bench.redis)
    with contender.worker(bench.url):
        bench.await_workers(1)
        bench.until(lambda: contender.left(bench.redis) == 0, what=f"{contender.name}'s last job")
    bench.redis.slowlog_reset()
    return (waiting - before) / count, (used_bytes(bench.redis) - before) / count


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
        (f"{change:+.1%}, must be ≤ +{MEMORY_MUST:.0%}", change <= MEMORY_MUST),
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
        (f"{change:+.1%}, must be ≤ +{MEMORY_MUST:.0%}", change <= MEMORY_MUST),
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
    return used_bytes(bench.redis)


def _chunks(keys: Iterable[Any], size: int) -> Iterable[list[Any]]:
    rest = iter(keys)
    while chunk := list(islice(rest, size)):
        yield chunk


def _usage(redis: Redis, key: str) -> int:
    return int(cast("int | None", redis.memory_usage(key, samples=0)) or 0)


UPKEEP_ROWS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "recovery": recovery,
    "job_bytes": job_bytes,
    "memory": memory,
    "switched": switched,
}
