"""The command line on real parts: a person's or a pipeline's calls, a real worker, a real Redis."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.e2e.conftest import Site
from tests.support.queue import until
from tests.support.scan_worker import ROOT, StartScanWorker, environment_for

WAIT_S = 90
CLEAN = (200, "text/html", b"<!doctype html><html lang='en'><title>Clean</title><main><h1>Tea</h1></main></html>")

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(redis_url: str, keys: Keys) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "producer.cli.main", *arguments]
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = environment_for(redis_url, keys, PYTHONUNBUFFERED="1")
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **{**pipes, **options})

    return start


@pytest.fixture
def call(program: Callable[..., subprocess.Popen[str]]) -> Call:
    def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        process = program(*arguments, stdin=subprocess.PIPE)
        out, err = process.communicate(given, timeout=WAIT_S)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


@pytest.fixture
def shop(site: Site) -> Site:
    site.pages["/clean"] = CLEAN
    return site


# ---------------------------------------------------------------------------------------------- scan --wait


def test_findings_at_the_threshold_are_1_and_the_line_is_what_redis_holds(
    call: Call, start_worker: StartScanWorker, shop: Site
) -> None:
    start_worker()

    answer = call("scan", f"{shop.url}/guilty", "--wait", "--timeout", "60")

    assert answer.returncode == 1
    [line] = answer.stdout.splitlines()
    shown = json.loads(line)
    kept = json.loads(call("result", shown["job_id"]).stdout)
    assert shown == kept
    assert [finding["rule"] for finding in shown["findings"]] == ["image-alt"]


def test_one_bad_address_and_one_missing_page_spoil_nothing_and_are_2(
    call: Call, start_worker: StartScanWorker, shop: Site
) -> None:
    start_worker()
    pages = [f"{shop.url}/{name}" for name in ("guilty", "missing", "clean")]

    answer = call("scan", *pages, "nonsense", "--wait", "--timeout", "60", "--format", "json")

    report = json.loads(answer.stdout)
    assert answer.returncode == 2
    assert [page.get("status", page["state"]) for page in report["pages"]] == [
        "scanned",
        "unreachable",
        "scanned",
        "refused",
    ]
    assert report["summary"]["passed"] == 1


@pytest.mark.parametrize(("options", "code"), [((), 1), (("--fail-on", "never"), 0)])
def test_a_run_without_problems_exits_by_the_threshold(
    call: Call, start_worker: StartScanWorker, shop: Site, options: tuple[str, ...], code: int
) -> None:
    start_worker()

    answer = call("scan", f"{shop.url}/clean", f"{shop.url}/guilty", "--wait", "--timeout", "60", *options)

    assert answer.returncode == code
    assert len(answer.stdout.splitlines()) == 2


def test_a_clean_page_is_0(call: Call, start_worker: StartScanWorker, shop: Site) -> None:
    start_worker()

    assert call("scan", f"{shop.url}/clean", "--wait", "--timeout", "60").returncode == 0


def test_several_reports_are_written_at_once(
    call: Call, start_worker: StartScanWorker, shop: Site, tmp_path: Path
) -> None:
    start_worker()
    sarif, reports = tmp_path / "a.sarif", tmp_path / "reports"

    answer = call(
        *("scan", "--file", "-", "--timeout", "60", "--format", f"sarif={sarif}"),
        *("--format", "html", "--format", "junit", "--output", str(reports)),
        given=f"# the shop\n{shop.url}/guilty\n{shop.url}/clean\n",
    )

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert sorted(path.name for path in reports.iterdir()) == ["junit.xml", "report.html"]
    assert [result["ruleId"] for result in json.loads(sarif.read_text())["runs"][0]["results"]] == ["image-alt"]


def test_time_running_out_is_3_and_the_job_goes_on(call: Call, shop: Site) -> None:
    answer = call("scan", f"{shop.url}/guilty", "--id", "later", "--timeout", "0.2", "--format", "json")

    assert answer.returncode == 3
    [page] = json.loads(answer.stdout)["pages"]
    assert page["state"] == "waiting"
    assert json.loads(call("status", "later").stdout)["state"] == "queued"


# ---------------------------------------------------------------------------------------------- batches and resuming


async def test_a_batch_is_queued_and_announced_once_when_all_of_it_has_ended(
    call: Call, start_worker: StartScanWorker, shop: Site, redis: Redis, keys: Keys
) -> None:
    queued = call("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--batch", "nightly")
    lines = [json.loads(line) for line in queued.stdout.splitlines()]
    start_worker()

    waited = call("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--batch", "nightly", "--resume")

    rows: Any = await redis.xrange(keys.events)
    events = [json.loads(fields[b"event"]) for _, fields in rows]
    assert queued.returncode == 0
    assert [(line["batch"], line["created"]) for line in lines] == [("nightly", True), ("nightly", True)]
    assert waited.returncode == 1
    assert sorted(json.loads(line)["job_id"] for line in waited.stdout.splitlines()) == sorted(
        line["job_id"] for line in lines
    )
    assert "2 pages had been submitted before" in waited.stderr
    assert [event["event"] for event in events].count("batch.finished") == 1
    assert len(events) == 3


def test_the_name_of_a_complete_batch_is_refused_so_that_no_old_result_passes_for_a_new_one(
    call: Call, shop: Site
) -> None:
    call("scan", f"{shop.url}/guilty", "--batch", "nightly")

    again = call("scan", f"{shop.url}/guilty", "--batch", "nightly")

    assert again.returncode == 64
    assert "batch 'nightly' is complete: choose another --batch, or add --resume" in again.stderr


def test_an_id_is_taken_once(call: Call, shop: Site) -> None:
    call("scan", f"{shop.url}/guilty", "--id", "mine")

    again = call("scan", f"{shop.url}/clean", "--id", "mine")

    assert again.returncode == 64
    assert "job 'mine' exists" in again.stderr


async def test_ctrl_c_while_waiting_is_130_and_says_how_to_resume(
    program: Callable[..., subprocess.Popen[str]], call: Call, shop: Site, redis: Redis, keys: Keys
) -> None:
    waiting = program("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--batch", "b1", "--wait")
    await until(lambda: redis.hget(keys.batch("b1"), "sealed"), what="the batch to be in")
    await _until_it_waits(redis, waiting)

    waiting.send_signal(signal.SIGINT)

    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 130
    [line] = said.splitlines()
    assert line == "sightline: stopped waiting; 2 jobs in batch b1 go on: sightline result b1 --wait"
    assert json.loads(call("status", "b1").stdout)["total"] == 2


async def test_ctrl_c_while_waiting_for_one_page_names_its_job(
    program: Callable[..., subprocess.Popen[str]], shop: Site, redis: Redis, keys: Keys
) -> None:
    waiting = program("scan", f"{shop.url}/guilty", "--id", "mine", "--wait")
    await until(lambda: redis.exists(keys.job("mine")), what="the job to be in")
    await _until_it_waits(redis, waiting)

    waiting.send_signal(signal.SIGINT)

    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 130
    assert "the job goes on: sightline result mine --wait" in said


def test_a_pipe_closed_early_is_quiet_about_it_and_says_how_to_go_on(
    program: Callable[..., subprocess.Popen[str]], start_worker: StartScanWorker, shop: Site
) -> None:
    start_worker()
    reading, writing = os.pipe()
    os.close(reading)

    waiting = program("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--batch", "b1", "--wait", stdout=writing)

    os.close(writing)
    _, said = waiting.communicate(timeout=WAIT_S)
    assert waiting.returncode == 141
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "sightline result b1 --wait" in said


# ---------------------------------------------------------------------------------------------- result, cancel, watch


def test_a_result_that_is_not_there_yet_is_3(call: Call, shop: Site) -> None:
    call("scan", f"{shop.url}/guilty", "--id", "mine")

    answer = call("result", "mine")

    assert answer.returncode == 3
    assert "job 'mine' is queued, there is no result yet: add --wait" in answer.stderr


@pytest.mark.parametrize("command", ["status", "result", "cancel"])
def test_an_unknown_job_is_64(call: Call, command: str) -> None:
    answer = call(command, "nobody")

    assert answer.returncode == 64
    assert "'nobody'" in answer.stderr


def test_a_queued_job_is_cancelled_at_once_and_its_result_is_2(call: Call, shop: Site) -> None:
    call("scan", f"{shop.url}/guilty", "--id", "mine")

    cancelled = call("cancel", "mine")

    assert json.loads(cancelled.stdout) == {"v": 1, "job_id": "mine", "state": "cancelled"}
    answer = call("result", "mine")
    assert answer.returncode == 2
    assert "job 'mine' was cancelled" in answer.stderr


def test_a_batch_is_cancelled_by_its_name(call: Call, shop: Site) -> None:
    call("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--batch", "nightly")

    cancelled = call("cancel", "nightly")
    again = call("cancel", "nightly")

    assert [json.loads(line)["state"] for line in cancelled.stdout.splitlines()] == ["cancelled", "cancelled"]
    assert json.loads(call("status", "nightly").stdout)["cancelled"] == 2
    assert (again.returncode, again.stdout) == (0, "")


async def test_watch_shows_events_and_says_from_where_to_go_on(
    program: Callable[..., subprocess.Popen[str]], call: Call, shop: Site
) -> None:
    call("scan", f"{shop.url}/guilty", "--id", "mine")
    call("cancel", "mine")
    watching = program("watch", "--since", "0")
    assert watching.stdout is not None
    event = json.loads(watching.stdout.readline())

    watching.send_signal(signal.SIGINT)

    _, said = watching.communicate(timeout=WAIT_S)
    assert (event["event"], event["job_id"]) == ("job.cancelled", "mine")
    assert watching.returncode == 130
    assert f"sightline watch --since {event['id']}" in said


def test_status_tells_of_the_lanes_and_the_missing_workers(call: Call, shop: Site) -> None:
    call("scan", f"{shop.url}/guilty")

    queue = json.loads(call("status").stdout)

    assert queue["lanes"]["batch"].pop("oldest_ms") >= 0
    assert queue["lanes"]["batch"] == {"queued": 1, "running": 0}
    assert queue["workers"] == []


# ---------------------------------------------------------------------------------------------- in a terminal


def test_a_terminal_shows_a_bar_and_then_the_table(
    program: Callable[..., subprocess.Popen[str]], start_worker: StartScanWorker, shop: Site
) -> None:
    start_worker()
    ours, theirs = pty.openpty()

    process = program("scan", f"{shop.url}/guilty", f"{shop.url}/clean", "--wait", stdout=theirs, stderr=theirs)

    os.close(theirs)
    shown = _read_all(ours)
    assert process.wait(WAIT_S) == 1
    assert re.search(r"Scanning.*2/2", shown, re.DOTALL)
    assert "1 page with findings that are serious or worse" in shown
    assert "{" not in shown


async def _until_it_waits(redis: Redis, process: subprocess.Popen[str]) -> None:
    """Return when the process reads events, which it does once it knows its jobs to be in."""

    async def reads_events() -> bool:
        connections: Any = await redis.client_list()
        return any(connection["cmd"] == "xread" for connection in connections)

    await until(reads_events, what=f"process {process.pid} to wait for events")


def _read_all(descriptor: int) -> str:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode())
