"""How busy the GPU is while anyone waits for it, and how long a hand-over takes: ``python ops/bench/gpu.py``.

Worker processes make chat calls through the pool to one stub of an Ollama with one chat slot; all numbers come from the
stub's own journal. Busy share: the part of the time during which calls ran, from the first call's arrival to the last
one's, since somebody waits all that while. Hand-over: from the end of one call to the arrival of the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.child import Child  # noqa: E402  the stub is a test's; the product never imports it
from tests.support.ollama_server import Call, OllamaServer, most_at_once  # noqa: E402
from worker.embedded import EmbeddedRedis  # noqa: E402

MUST_BUSY = 0.97
MUST_HAND_OVER_MS = 5.0


@dataclass(frozen=True)
class Measured:
    """What the journal of one run tells."""

    calls: int
    workers: int
    call_ms: float
    most_at_once: int
    busy_share: float
    hand_over_p50_ms: float
    hand_over_p99_ms: float
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether the numbers are what DESIGN §12 and §8 ask for."""
        return self.most_at_once == 1 and self.busy_share >= MUST_BUSY and self.hand_over_p50_ms < MUST_HAND_OVER_MS


def measure(journal: list[Call], *, workers: int, call_ms: float) -> Measured:
    """Return the numbers of a run in which somebody waited until the last call began."""
    calls = sorted(journal, key=lambda call: call.arrived)
    gaps = [after.arrived - before.ended for before, after in pairwise(calls)]
    span_s = calls[-1].arrived - calls[0].arrived
    return Measured(
        calls=len(calls),
        workers=workers,
        call_ms=call_ms,
        most_at_once=most_at_once(calls),
        busy_share=sum(call.seconds for call in calls[:-1]) / span_s,
        hand_over_p50_ms=statistics.median(gaps) * 1000,
        hand_over_p99_ms=statistics.quantiles(gaps, n=100)[98] * 1000,
        seconds=calls[-1].ended - calls[0].arrived,
    )


async def run(*, workers: int, calls: int, call_ms: float, fsync: str) -> Measured:
    """Make ``calls`` calls from ``workers`` processes, two at a time in each, and measure."""
    share = -(-calls // workers)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = await stack.enter_async_context(
            EmbeddedRedis(Path(folder), config={"appendfsync": fsync}, die_with_parent=True)
        )
        ollama = await stack.enter_async_context(OllamaServer(call_s=call_ms / 1000))
        where = ["--redis", redis.url, "--environment", "bench", "--ollama", ollama.url]
        children = [
            await stack.enter_async_context(
                Child("tests.support.gpu_worker", *where, "--name", f"w{n}", "--calls", str(share), "--at-once", "2")
            )
            for n in range(workers)
        ]
        for child in children:
            await child.event("ready", timeout_s=60)
        for child in children:
            child.go()
        limit_s = 60 + 3 * workers * share * call_ms / 1000
        async with asyncio.timeout(limit_s):
            for child in children:
                await child.event("finished", timeout_s=limit_s)
        return measure(ollama.calls(), workers=workers, call_ms=call_ms)


def main() -> int:
    """Run once, print the numbers; 1 when they are not what they must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--call-ms", type=float, default=200.0)
    parser.add_argument("--fsync", choices=("everysec", "always"), default="everysec", help="as ops/redis.conf")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(run(workers=options.workers, calls=options.calls, call_ms=options.call_ms, fsync=options.fsync))
    if options.json:
        print(json.dumps({**asdict(found), "is_good": found.is_good}))
    else:
        print(f"{found.calls} calls of {found.call_ms:g} ms from {found.workers} workers, {found.seconds:.1f} s")
        print(f"  calls at once at the host  {found.most_at_once}          must be 1")
        print(f"  GPU busy while anyone waits {found.busy_share:.2%}   must be {MUST_BUSY:.0%} or more")
        print(f"  hand-over p50 / p99        {found.hand_over_p50_ms:.2f} / {found.hand_over_p99_ms:.2f} ms", end="")
        print(f"   p50 must be under {MUST_HAND_OVER_MS:g} ms")
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
