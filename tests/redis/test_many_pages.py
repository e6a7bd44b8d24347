"""Three thousand pages from the command line: queued, interrupted, scanned meanwhile, and reported whole afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from producer.contract import ScanResult
from producer.keys import Keys
from tests.support.command_line import Call, StartProgram
from tests.support.queue import events_of, is_reading_events, running_worker, until
from worker.queue.outcome import Commit
from worker.queue.worker import func

PAGES = 3_000
WAIT_S = 100
MAX_MB = 150
"""Of the program, Python and its packages included; one that kept a task or a result a page took 400 for 5,000."""


async def scan(ctx: dict[Any, Any], **payload: Any) -> Commit:
    """What a scan leaves, without its browser: whoever waits cannot tell the difference."""
    del ctx
    if payload["url"].endswith("/13"):
        raise ValueError("this page kills its scan")
    return Commit(result=ScanResult(url=payload["url"], status="scanned"), event={"url": payload["url"]})


async def test_thousands_of_pages_are_queued_interrupted_and_reported_whole(
    program: StartProgram, redis_url: str, keys: Keys, redis: Redis, tmp_path: Path
) -> None:
    pages = [f"https://shop.example/{number}" for number in range(PAGES)]
    (tmp_path / "urls.txt").write_text("\n".join([*pages, *pages[:100]]))
    waiting = program("scan", "--file", str(tmp_path / "urls.txt"), "--batch", "big", "--wait")
    sealed: Any = keys.batch("big"), "sealed"
    await until(lambda: redis.hget(*sealed), what="the batch to be in")
    await until(lambda: is_reading_events(redis), what="the program to wait")

    waiting.send_signal(signal.SIGINT)
    _, said = await asyncio.to_thread(waiting.communicate, timeout=WAIT_S)
    async with running_worker(redis_url, keys, [func(scan, name="scan")], max_jobs=50):
        out = (tmp_path / "out.jsonl").open("w")
        resumed = program("result", "big", "--wait", stdout=out, warm=False)  # its memory is its own
        peak_mb = await _peak_mb(resumed)
        out.close()

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    events = [json.loads(line)["event"] for line in await events_of(redis, keys)]
    assert (waiting.returncode, said) == (130, f"{STOPPED}\n")
    assert sorted(line["url"] for line in lines) == sorted(pages)
    assert [line["url"] for line in lines if line["state"] == "failed"] == ["https://shop.example/13"]
    assert resumed.returncode == 2  # one page could not be scanned, and spoiled no other
    assert events.count("batch.finished") == 1
    assert 0 < peak_mb < MAX_MB


async def _peak_mb(process: subprocess.Popen[str]) -> int:
    """Return the most memory a program had, seen until its end.

    Not getrusage's: that begins with what this process had when it forked.
    """
    peak_kb = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()  # noqa: ASYNC240  no disk behind it
            peak_kb = max(peak_kb, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))
        await asyncio.sleep(0.02)
    return peak_kb // 1024


STOPPED = "sightline: stopped waiting; 3,000 jobs in batch big continue: sightline result big --wait"


def test_a_batch_that_is_not_done_is_reported_as_far_as_it_is(call: Call) -> None:
    call("scan", "https://shop.example/1", "https://shop.example/2", "--batch", "b")

    early = call("result", "b", "--format", "json")
    nobody = call("result", "nobody")

    assert early.returncode == 3, early.stderr
    assert [(page["url"], page["state"]) for page in json.loads(early.stdout)["pages"]] == [
        ("https://shop.example/1", "waiting"),
        ("https://shop.example/2", "waiting"),
    ]
    assert nobody.returncode == 64
    assert "no job or batch 'nobody'" in nobody.stderr
