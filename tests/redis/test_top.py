"""The live board of a real queue, as lines of JSON and on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.board import read_board
from producer.client import Client
from producer.keys import Keys
from tests.support.queue import running_worker, settings_for, until
from tests.support.scan_worker import ROOT, environment_for
from worker.stream_worker import func

WAIT_S = 60

StartTop = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def top(redis_url: str, keys: Keys) -> StartTop:
    def start(*arguments: str, columns: int = 80, **options: Any) -> subprocess.Popen[bytes]:
        environment = environment_for(redis_url, keys, TERM="xterm", COLUMNS=str(columns), LINES="30")
        command = [sys.executable, "-m", "producer.cli.main", "top", *arguments]
        return subprocess.Popen[bytes](command, cwd=ROOT, env=environment, **options)

    return start


async def test_it_tells_what_each_worker_runs_at_this_moment(redis_url: str, keys: Keys, redis: Redis) -> None:
    running, leave = asyncio.Event(), asyncio.Event()

    async def scan(ctx: dict[Any, Any], **payload: Any) -> Any:
        del ctx
        running.set()
        await leave.wait()
        return payload["url"]

    async with Client(settings_for(redis_url, keys)) as client:
        empty = await read_board(client)
        async with running_worker(redis_url, keys, [func(scan, name="scan")], max_jobs=2):
            for number in range(4):
                await client.submit("scan", {"url": f"https://shop.example/{number}"}, batch="nightly")
            await asyncio.wait_for(running.wait(), WAIT_S)
            by_hand: Any = await redis.xadd(keys.lane("batch"), {"kind": "scan", "payload": "not json"})
            busy = await read_board(client)
            leave.set()
            await until(lambda: redis.xlen(keys.dead), what="the entry by hand to be rejected")
            after = await read_board(client)

    assert (empty.jobs, empty.queue.workers, empty.troubles, empty.recent.counts["succeeded"]) == ((), (), (), 0)
    [job] = busy.jobs
    assert (job.about, job.worker, job.batch) == ("https://shop.example/0", busy.queue.workers[0].name, "nightly")
    assert [(batch.batch_id, batch.total, batch.done) for batch in busy.batches] == [("nightly", 4, 0)]
    assert busy.queue.lanes["batch"].running == 1
    assert after.recent.counts["succeeded"] == 4
    assert [(trouble.what, trouble.job_id) for trouble in after.troubles] == [("dead", f"batch-{by_hand.decode()}")]


def test_in_a_pipe_it_is_a_line_of_json_and_a_reader_that_leaves_ends_it_quietly(top: StartTop) -> None:
    once = top("--once", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = once.communicate(timeout=WAIT_S)
    endless = top(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert endless.stdout is not None
    first = json.loads(endless.stdout.readline())
    endless.stdout.close()

    assert json.loads(out)["queue"]["lanes"]["batch"]["queued"] == 0
    assert (once.returncode, err) == (0, b"")
    assert first["v"] == 1
    assert endless.wait(WAIT_S) == 141
    assert endless.stderr is not None
    assert endless.stderr.read() == b""
    endless.stderr.close()


def test_on_a_terminal_q_ends_it_and_gives_the_screen_back(top: StartTop) -> None:
    ours, theirs = pty.openpty()
    process = top(stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = _read_until(ours, b"q ends")
    os.write(ours, b"q")
    seen += _read_until(ours, b"")

    assert process.wait(WAIT_S) == 0
    assert b"\x1b[?1049h" in seen  # the screen it draws on is another one
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"q ends")
    assert b"No worker. Start one" in seen


def _read_until(descriptor: int, text: bytes) -> bytes:
    """Read until ``text`` has come, or to the end for none."""
    seen = b""
    while not (text and text in seen):
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        seen += part
    return seen
