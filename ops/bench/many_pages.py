"""Scans thousands of real pages and prints the costs: ``python ops/bench/many_pages.py [PAGES]``.

The sample shop is served under that many addresses to two workers with their browsers. The command line is used as
people use it: submit and wait, Ctrl-C after a tenth, wait again, write reports. It prints the seconds to submit, the
client's peak memory, the seconds from the first submit to the last result, the events of the batch, and the size of the
report. 5,000 pages keep two cores busy for a quarter of an hour.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scan import addresses, served_site  # noqa: E402  after the path is set

from ops.demo.shop import PAGES, workers  # noqa: E402  the same
from producer.keys import Keys  # noqa: E402  the same
from worker.own_redis.server import EmbeddedRedis  # noqa: E402  the same

BATCH: Final = "big"
KEYS: Final = Keys(environment="bench")
WORKERS: Final = 2
LOOK_S: Final = 0.05
STOP_AT: Final = 10
"""Ctrl-C when this fraction of the pages is done."""


async def main(pages: int) -> int:
    """Run it; the exit code is 1 unless all pages were scanned and the batch's end was announced once."""
    with tempfile.TemporaryDirectory() as text, served_site() as site:
        folder = Path(text)
        urls = addresses(site, -(-pages // len(PAGES)))[:pages]
        (folder / "urls.txt").write_text("\n".join(urls))
        with EmbeddedRedis(folder / "redis", die_with_parent=True) as server:
            settings = {"REDIS_URL": server.url, "ENVIRONMENT": KEYS.environment, "SCAN_ALLOW_PRIVATE": "1"}
            models = {"CHAT_MODEL": "builtin", "EMBEDDING_MODEL": "builtin", "TRY_FIXES": "0", "LOG_LEVEL": "warning"}
            environment = {**os.environ, **settings, **models}
            async with Redis.from_url(server.url, protocol=2) as redis:
                with workers(WORKERS, environment):
                    await _until(lambda: _workers_up(redis))
                    return await _measure(redis, folder, environment, pages)


async def _measure(redis: Redis, folder: Path, environment: dict[str, str], pages: int) -> int:
    began = time.perf_counter()
    waiting = _cli(environment, "scan", "--file", str(folder / "urls.txt"), "--batch", BATCH, "--wait")
    peak = asyncio.create_task(_peak_mb(waiting))
    await _until(lambda: _field(redis, "sealed"))
    submitted_s = time.perf_counter() - began
    print(f"submitted     {pages:,} pages in {submitted_s:.1f} s, start of the program included", flush=True)
    await _until(lambda: _is_done(redis, pages // STOP_AT))
    waiting.send_signal(signal.SIGINT)
    _, said = await asyncio.to_thread(waiting.communicate)
    told = said.decode().strip().splitlines()[-1]
    print(f"Ctrl-C        exit {waiting.returncode}, {await peak} MB at most: {told}", flush=True)

    html, lines = folder / "report.html", folder / "report.jsonl"
    resumed = _cli(environment, "result", BATCH, "--wait", "--format", f"html={html}", "--format", f"jsonl={lines}")
    peak = asyncio.create_task(_peak_mb(resumed))
    await _until(lambda: _field(redis, "finished_ms"))
    took_s = time.perf_counter() - began
    await asyncio.to_thread(resumed.communicate)
    written_s = time.perf_counter() - began - took_s
    states = collections.Counter(json.loads(line)["status"] for line in lines.read_text().splitlines())
    ends = await _ends(redis)
    print(f"scanned       in {took_s:.0f} s, {pages / took_s * 60:.0f} a minute: {dict(states)}")
    print(f"reported      {written_s:.1f} s after the last page, exit {resumed.returncode}, {await peak} MB at most")
    print(f"HTML report   {html.stat().st_size / 1e6:.1f} MB")
    print(f"batch events  {ends}")
    return int(states["scanned"] != pages or ends != 1)


def _cli(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "producer.cli.main", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


async def _until(holds: Callable[[], Awaitable[Any]]) -> None:
    while not await holds():  # noqa: ASYNC110  other programs are looked at
        await asyncio.sleep(LOOK_S)


async def _workers_up(redis: Redis) -> bool:
    return len([name async for name in redis.scan_iter(f"{KEYS.prefix}worker:*")]) == WORKERS


async def _field(redis: Redis, name: str) -> bytes | None:
    found: Any = redis.hget(KEYS.batch(BATCH), name)
    return await found


async def _is_done(redis: Redis, number: int) -> bool:
    return int(await _field(redis, "done") or 0) >= number


async def _ends(redis: Redis) -> int:
    """Return the number of completion events of the batch."""
    rows: Any = await redis.xrange(KEYS.events)
    return sum(json.loads(fields[b"event"])["event"] == "batch.finished" for _, fields in rows)


async def _peak_mb(process: subprocess.Popen[bytes]) -> int:
    """Return a program's peak memory, sampled until it exits; Linux only."""
    peak_kb = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()  # noqa: ASYNC240  no disk behind it
            peak_kb = max(peak_kb, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))
        await asyncio.sleep(LOOK_S)
    return peak_kb // 1024


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)))
