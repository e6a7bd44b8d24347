"""Batches from the command line: resumed, refused, interrupted and abandoned, on a real worker and Redis."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.command_line import Call, StartProgram
from tests.support.queue import is_reading_events, until
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

WAIT_S = 90


async def test_a_batch_is_queued_and_announced_once_when_all_of_it_has_ended(
    call: Call, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
) -> None:
    queued = call("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "nightly")
    lines = [json.loads(line) for line in queued.stdout.splitlines()]
    start_worker()

    waited = call("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "nightly", "--resume")

    rows: Any = await redis.xrange(keys.events)
    events = [json.loads(fields[b"event"]) for _, fields in rows]
    assert queued.returncode == 0
    assert [(line["batch"], line["created"]) for line in lines] == [("nightly", True), ("nightly", True)]
    assert waited.returncode == 1
    assert sorted(json.loads(line)["job_id"] for line in waited.stdout.splitlines()) == sorted(
        line["job_id"] for line in lines
    )
    assert "2 pages had already been submitted" in waited.stderr
    assert [event["event"] for event in events].count("batch.finished") == 1
    assert len(events) == 3


def test_the_name_of_a_complete_batch_is_refused_so_that_no_old_result_passes_for_a_new_one(
    call: Call, site: SmallSite
) -> None:
    call("scan", f"{site.url}/guilty", "--batch", "nightly")

    again = call("scan", f"{site.url}/guilty", "--batch", "nightly")

    assert again.returncode == 64
    assert "batch 'nightly' is complete: choose another --batch, or add --resume" in again.stderr


def test_an_id_is_taken_once(call: Call, site: SmallSite) -> None:
    call("scan", f"{site.url}/guilty", "--id", "mine")

    again = call("scan", f"{site.url}/clean", "--id", "mine")

    assert again.returncode == 64
    assert "job 'mine' exists" in again.stderr


async def test_ctrl_c_while_waiting_exits_130_and_says_how_to_resume(
    program: StartProgram, call: Call, site: SmallSite, redis: Redis, keys: Keys
) -> None:
    waiting = program("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "b1", "--wait")
    await until(lambda: redis.hget(keys.batch("b1"), "sealed"), what="the batch to be in")
    await until(lambda: is_reading_events(redis), what="the program to wait")

    waiting.send_signal(signal.SIGINT)

    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 130
    [line] = said.splitlines()
    assert line == "sightline: stopped waiting; 2 jobs in batch b1 continue: sightline result b1 --wait"
    assert json.loads(call("status", "b1").stdout)["total"] == 2


async def test_ctrl_c_while_waiting_for_one_page_names_its_job(
    program: StartProgram, site: SmallSite, redis: Redis, keys: Keys
) -> None:
    waiting = program("scan", f"{site.url}/guilty", "--id", "mine", "--wait")
    await until(lambda: redis.exists(keys.job("mine")), what="the job to be in")
    await until(lambda: is_reading_events(redis), what="the program to wait")

    waiting.send_signal(signal.SIGINT)

    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 130
    assert "the job continues: sightline result mine --wait" in said


def test_a_pipe_closed_early_is_quiet_about_it_and_says_how_to_go_on(
    program: StartProgram, start_worker: StartScanWorker, site: SmallSite
) -> None:
    start_worker()
    reading, writing = os.pipe()
    os.close(reading)

    waiting = program("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "b1", "--wait", stdout=writing)

    os.close(writing)
    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 141
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "sightline result b1 --wait" in said


def test_a_batch_is_cancelled_by_its_name(call: Call, site: SmallSite) -> None:
    call("scan", f"{site.url}/guilty", f"{site.url}/clean", "--batch", "nightly")

    cancelled = call("cancel", "nightly")
    again = call("cancel", "nightly")

    assert [json.loads(line)["state"] for line in cancelled.stdout.splitlines()] == ["cancelled", "cancelled"]
    assert json.loads(call("status", "nightly").stdout)["cancelled"] == 2
    assert (again.returncode, again.stdout) == (0, "")
