"""Measures queue, scans, GPU pool, memories and command line beside their peers: ``python ops/bench/run.py [row …]``.

Rows: pickup drain cores submit backlog recovery job_bytes memory switched gpu scans scan-growth start pages reports
grouping history cache growth finished commits web; by name only, as it takes an hour: history_million.

All contenders use one embedded Redis, which nothing else uses. The tables are printed; ``--write`` also writes them to
RESULTS.md, and a plot of the rows with peers to results.svg. The exit code is 1 if a target is missed. Takes about
twenty minutes.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cli_rows import CLI_ROWS
from contenders import ALL, SIGHTLINE, Contender
from gpu import gpu
from growth_rows import GROWTH_ROWS
from memory_rows import MEMORY_ROWS, history_million
from plot import PLOT, bars, svg
from report import RESULTS, machine, markdown
from report_rows import REPORT_ROWS
from rows import Bench, Row
from scan import scans
from scan_growth import scan_growth
from speed_rows import SPEED_ROWS
from upkeep_rows import UPKEEP_ROWS
from web_rows import WEB_ROWS

from worker.own_redis.server import EmbeddedRedis

QUEUE_ROWS = {**SPEED_ROWS, **UPKEEP_ROWS}
SCAN_ROWS = {"scans": scans, "scan-growth": scan_growth}
LONG_ROWS = {"history_million": history_million}
ROWS = {**QUEUE_ROWS, "gpu": gpu, **SCAN_ROWS, **CLI_ROWS, **REPORT_ROWS, **MEMORY_ROWS, **GROWTH_ROWS, **WEB_ROWS}
ALL_ROWS = {**ROWS, **LONG_ROWS}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ALL_ROWS)}; all but the last without")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fsync", choices=["always", "everysec", "no"], default="everysec")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} and {PLOT.name}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if unknown := set(options.rows) - set(ALL_ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}: expected some of {', '.join(ALL_ROWS)}")
    names = options.rows or list(ROWS)
    wanted = ALL if set(names) & set(QUEUE_ROWS) else (SIGHTLINE,)
    contenders = tuple(contender for contender in wanted if contender.install())
    rows, about = measure(names, contenders, rounds=options.rounds, fsync=options.fsync)
    page = markdown(rows, about)
    print(page)
    if options.write:
        RESULTS.write_text(page)
        PLOT.write_text(svg(bars(rows)))
    return 0 if all(met for row in rows for _, met in row.targets) else 1


def _stop(*_: object) -> None:
    """End, and with this program the contenders' workers."""
    sys.exit(143)


def measure(
    names: list[str], contenders: tuple[Contender, ...], *, rounds: int, fsync: str
) -> tuple[list[Row], list[str]]:
    """Return the rows, and lines that describe the measurement."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis(Path(folder), config={"appendfsync": fsync}, die_with_parent=True) as server,
        Redis.from_url(server.url) as redis,
    ):
        bench = Bench(server.url, redis, rounds, contenders)
        about = machine(cast("dict[str, Any]", redis.info("server")), fsync=fsync, rounds=rounds)
        for name in names:
            began = time.monotonic()
            try:
                found = ALL_ROWS[name](bench)
            except (TimeoutError, OSError, RedisError, subprocess.SubprocessError) as error:
                found = [Row(name, "", targets=[(f"not measured: {error}", False)])]
            rows += found
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            for row in found:
                print(f"  {row.title} ({row.unit}): {row.values}", file=sys.stderr, flush=True)
    return rows, about


if __name__ == "__main__":
    sys.exit(main())
