"""Measures how busy the GPU is while calls wait, and how long it idles between two: ``python ops/bench/run.py gpu``.

Jobs of one model call each wait in the queue; worker processes run them against one stub of an Ollama with one chat
slot. All numbers come from the stub's own journal. Busy share: the fraction of the time from the first call's arrival
to the last one's in which a call ran; calls wait all that time. Hand-over: from the end of one call to the arrival of
the next.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from contenders import PROGRAMS, SIGHTLINE
from rows import STARTED, Bench, Row

from producer.client.client import Client
from producer.settings import ClientSettings
from tests.support.ollama_server import Call, OllamaServer, most_at_once

WORKERS: Final = 8
JOBS: Final = 400
CALL_MS: Final = 200
DEADLINE_S: Final = 3 * JOBS * CALL_MS / 1000
MUST_BUSY: Final = 0.97
MUST_HAND_OVER_MS: Final = 5.0
TITLE: Final = f"GPU busy while calls wait: {WORKERS} workers, {JOBS} jobs of one {CALL_MS} ms call"


@dataclass(frozen=True)
class Measured:
    """The measurements from the journal of one run."""

    calls: int
    most_at_once: int
    busy_share: float
    hand_over_p50_ms: float
    hand_over_p99_ms: float


def measure(journal: Sequence[Call]) -> Measured:
    """Return the measurements of a run; calls must have been waiting until the last one began. Pure."""
    calls = sorted(journal, key=lambda call: call.arrived)
    gaps = [after.arrived - before.ended for before, after in pairwise(calls)]
    return Measured(
        calls=len(calls),
        most_at_once=most_at_once(calls),
        busy_share=sum(call.seconds for call in calls[:-1]) / (calls[-1].arrived - calls[0].arrived),
        hand_over_p50_ms=statistics.median(gaps) * 1000,
        hand_over_p99_ms=statistics.quantiles(gaps, n=100)[98] * 1000,
    )


def gpu(bench: Bench) -> list[Row]:
    """Measure once, whatever the number of rounds: the medians are over hundreds of hand-overs."""
    bench.fresh()
    return [row_of(measure(asyncio.run(_run(bench))))]


def row_of(found: Measured) -> Row:
    """Return the row with its targets. Pure."""
    row = Row(TITLE, "share; hand-over p50 / p99 ms")
    hand_over = f"{found.hand_over_p50_ms:.2f} / {found.hand_over_p99_ms:.2f}"
    row.values[SIGHTLINE.name] = f"{found.busy_share:.1%}; {hand_over}"
    row.targets = [
        (f"{found.busy_share:.1%}, must be ≥ {MUST_BUSY:.0%}", found.busy_share >= MUST_BUSY),
        (
            f"hand-over p50 {found.hand_over_p50_ms:.2f} ms, must be < {MUST_HAND_OVER_MS:g} ms",
            found.hand_over_p50_ms < MUST_HAND_OVER_MS,
        ),
        (
            f"{found.calls} calls, at most {found.most_at_once} at once, must be {JOBS} and 1",
            (found.calls, found.most_at_once) == (JOBS, 1),
        ),
    ]
    return row


async def _run(bench: Bench) -> list[Call]:
    async with OllamaServer(call_s=CALL_MS / 1000) as ollama:
        with _workers(bench.url, ollama.url):

            def started() -> bool:
                return len(bench.noted(STARTED)) == WORKERS

            await asyncio.to_thread(bench.until, started, what=f"{WORKERS} started workers")
            async with Client(ClientSettings(redis_url=bench.url, environment="bench")) as client:
                async for _ in client.submit_many("ask", ({} for _ in range(JOBS)), lane="batch"):
                    pass

            def is_done() -> bool:
                return SIGHTLINE.left(bench.redis) == 0

            await asyncio.to_thread(bench.until, is_done, what="the last call", deadline_s=DEADLINE_S)
        return ollama.calls()


@contextmanager
def _workers(redis_url: str, ollama_url: str) -> Generator[None]:
    command = [sys.executable, PROGRAMS / "gpu_program.py", redis_url, ollama_url]
    with ExitStack() as stack:
        for _ in range(WORKERS):
            process = stack.enter_context(subprocess.Popen(command, cwd=PROGRAMS))
            stack.callback(process.terminate)
        yield
