"""The live board of a real queue, as lines of JSON and on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from producer.views.board import read_board
from tests.support.command_line import Call, StartProgram, open_terminal, read_terminal
from tests.support.queue import running_worker, until
from worker.queue.worker import func

WAIT_S = 60


async def test_the_board_shows_what_each_worker_runs(client: Client, redis_url: str, keys: Keys, redis: Redis) -> None:
    running, leave = asyncio.Event(), asyncio.Event()

    async def scan(ctx: dict[Any, Any], **payload: Any) -> Any:
        del ctx
        running.set()
        await leave.wait()
        return payload["url"]

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
    assert "job.succeeded" in [one.what for one in after.events]
    assert [(trouble.what, trouble.job_id) for trouble in after.troubles] == [("dead", f"batch-{by_hand.decode()}")]


def test_in_a_pipe_it_is_a_line_of_json_and_a_reader_that_leaves_ends_it_quietly(
    call: Call, program: StartProgram
) -> None:
    once = call("top", "--once")
    endless = program("top")
    assert endless.stdout is not None
    first = json.loads(endless.stdout.readline())
    endless.stdout.close()

    assert json.loads(once.stdout)["queue"]["lanes"]["batch"]["queued"] == 0
    assert (once.returncode, once.stderr) == (0, "")
    assert first["v"] == 1
    assert endless.wait(WAIT_S) == 141
    assert endless.stderr is not None
    assert endless.stderr.read() == ""


def test_on_a_terminal_q_ends_it_and_gives_the_screen_back(program: StartProgram) -> None:
    ours, theirs = open_terminal()
    process = program("top", variables={"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = read_terminal(ours, until=b"q ends")
    os.write(ours, b"q")
    seen += read_terminal(ours)
    os.close(ours)

    assert process.wait(WAIT_S) == 0
    assert b"\x1b[?1049h" in seen  # the screen it draws on is another one
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"q ends")
    assert b"No worker. Start one" in seen


async def test_a_batch_is_chosen_paused_opened_and_cancelled_by_keys(client: Client, program: StartProgram) -> None:
    job = await client.submit("scan", {"url": "https://shop.example/"}, batch="nightly")
    await client.seal_batch("nightly")
    ours, theirs = open_terminal()
    process = program("top", variables={"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    await asyncio.to_thread(read_terminal, ours, until=b"q ends")
    os.write(ours, b"\x1b[Bp")
    seen = await asyncio.to_thread(read_terminal, ours, until=b"batch nightly: paused")
    os.write(ours, b"o")
    seen += await asyncio.to_thread(read_terminal, ours, until=b"any key goes back")
    os.write(ours, b"xcyq")
    seen += await asyncio.to_thread(read_terminal, ours)
    os.close(ours)

    assert process.wait(WAIT_S) == 0
    assert b"0 of 1 job ended" in seen
    assert (await client.job(job.job_id)).state == "cancelled"
    assert [control.field for control in (await client.queue()).controls] == ["batch:nightly"]
