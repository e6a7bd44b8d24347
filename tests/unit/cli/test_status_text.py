"""Status and events as lines for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from producer.cli.status_text import batch_lines, job_lines, queue_lines
from producer.cli.terminal import folded
from producer.cli.watch import event_line
from producer.client.lane_view import LaneInfo
from producer.client.queue_info import BatchInfo, JobInfo, QueueInfo, WorkerInfo
from producer.contract import Event, JobState

JOB = JobInfo("j1", "scan", "batch", JobState.QUEUED, 0, "", "", 1_795_401_109_949, None, None, "", "", 3)


def test_a_queued_job_shows_its_position() -> None:
    lines = list(job_lines(JOB))

    assert lines[0] == "job j1: queued"
    assert "  position    3 in lane batch" in lines


def test_a_jobs_error_cannot_command_the_terminal() -> None:
    job = JobInfo("j1", "scan", "batch", JobState.DEAD, 3, "", "w", 1, 2, 3, "", "boom\x1b[2J\nrm -rf", None)

    lines = list(job_lines(job))

    assert "  last error  boom [2J rm -rf" in lines
    assert lines[-1] == "Next: sightline result j1"


def test_an_open_batch_says_how_to_close_it() -> None:
    batch = BatchInfo("b1", 10, 4, 3, 0, 1, sealed=False, finished_ms=None)

    lines = list(batch_lines(batch))

    assert "  4 of 10 jobs ended" in lines
    assert lines[-1] == "If its submitter is gone: sightline batch close b1"


def test_a_queue_without_workers_says_how_to_start_one() -> None:
    queue = QueueInfo({"batch": LaneInfo(queued=7, running=0)}, scheduled=0, dead=0, workers=())

    assert list(queue_lines(queue, now_ms=0))[-1] == "No worker is alive. Start one: sightline worker"


def test_batches_that_share_a_lane_are_named() -> None:
    lanes = {"batch": LaneInfo(queued=17, running=2), "interactive": LaneInfo(queued=2, running=0)}
    turns = {"batch": ("night", "", "b3", "b4", "b5"), "interactive": ("",)}

    batch, interactive, *_ = queue_lines(QueueInfo(lanes, scheduled=0, dead=0, workers=(), turns=turns), now_ms=0)

    assert batch.endswith("2 running  in turn: night, jobs without a batch, b3, b4 and 1 more")
    assert interactive.endswith("running")


def test_a_worker_is_shown_with_its_load_and_age() -> None:
    worker = WorkerInfo("w1", "host", 7, 1_000, 3, ("a", "b"), 0, 0, 0, sandbox="off: root")
    queue = QueueInfo({}, scheduled=0, dead=0, workers=(worker,))

    assert (
        list(queue_lines(queue, now_ms=5_000))[-1]
        == "  w1  host:7  2/3 jobs  last heartbeat 4 s ago  sandbox off: root"
    )


def test_an_event_of_a_scan_names_the_page_and_its_barriers() -> None:
    event = Event.model_validate(
        {"event": "job.succeeded", "job_id": "j1", "url": "https://a.example/", "status": "scanned", "barriers": 6}
    )

    assert event_line(event).endswith("job.succeeded     https://a.example/  6 elements")


def test_an_event_of_an_unscanned_page_does_not_look_like_a_pass() -> None:
    event = Event.model_validate(
        {"event": "job.succeeded", "url": "https://a.example/", "status": "unreachable", "barriers": 0}
    )

    assert event_line(event).endswith("https://a.example/  unreachable")


def test_an_event_cannot_command_the_terminal() -> None:
    event = Event.model_validate({"event": "job.dead", "job_id": "j1", "error": {"message": "x\x1b[2J\ny"}})

    assert event_line(event).endswith("j1  x [2J y")


def test_an_event_fits_a_narrow_terminal_without_its_worker_and_the_middle_of_its_address() -> None:
    address = "https://shop.example/section/of/the/shop/with/a/long/name/tea.html"
    event = Event.model_validate(
        {"event": "job.succeeded", "url": address, "status": "scanned", "barriers": 6, "worker": "host-1-abc"}
    )

    wide, narrow = event_line(event), event_line(event, width=80)

    assert wide.endswith(f"{address}  6 elements  host-1-abc")
    assert len(narrow) == 80
    assert "tea.html  6 elements" in narrow


def test_an_error_is_shown_in_full_on_a_narrow_terminal() -> None:
    event = Event.model_validate({"event": "job.dead", "job_id": "j1", "error": {"message": "why " * 30}})

    assert event_line(event, width=40).endswith("j1  " + "why " * 29 + "why")


def test_a_finished_batch_names_the_command_that_shows_it() -> None:
    batch = BatchInfo("nightly", 2, 2, 2, 0, 0, sealed=True, finished_ms=1_795_401_109_949)

    assert list(batch_lines(batch))[-1] == "Next: sightline result nightly"


def test_an_answer_is_folded_between_words_and_keeps_its_lines_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    assert folded("The worst is (https://shop.example/cart).\n\nSources:\n  scan 1") == (
        "The worst is\n(https://shop.example/cart).\n\nSources:\n  scan 1"
    )


def test_the_queue_names_notices_that_wait_or_were_given_up_once() -> None:
    quiet = WorkerInfo("w1", "host", 7, 2_000, 3, (), 0, 0, 0)
    sender = replace(quiet, name="w2", at_ms=1_000, notices="1 given up within a week, the last one: mail: \x1b[2Jgone")
    queue = QueueInfo({}, scheduled=0, dead=0, workers=(quiet, sender, quiet))

    told = [line for line in queue_lines(queue, now_ms=2_000) if line.startswith("notices")]

    assert told == ["notices: 1 given up within a week, the last one: mail: [2Jgone"]
