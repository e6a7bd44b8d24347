"""The live board: what matters is on the screen at 40, 80 and 120 columns, and nothing runs over its edge."""

from __future__ import annotations

from typing import Any

import pytest

from producer.cli.status_text import duration
from producer.cli.top_board import board_lines
from producer.client.gpu_view import GpuHost, GpuView, GpuWaiter, LoadedModel
from producer.client.lane_view import LaneInfo
from producer.client.queue_info import BatchInfo, QueueInfo, WorkerInfo
from producer.stored.dead_letters import DeadLetter
from producer.views.board import (
    ENOUGH,
    WINDOW_MS,
    Board,
    ModelUse,
    Recent,
    RunningJob,
    Trouble,
    models_of,
    recent_of,
    troubles_of,
)

NOW = 1_795_573_359_604
URL = "https://shop.example/collections/teas/darjeeling-first-flush?page=12"


def board(**changes: Any) -> Board:
    workers = tuple(WorkerInfo(f"worker-{n}", "box", 100 + n, NOW - n * 30_000, 3, (), 1_204, n, 0) for n in range(2))
    lanes = {"interactive": LaneInfo(0, 1), "batch": LaneInfo(12_345, 2)}
    hosts = (
        GpuHost(
            "http://gpu1:11434",
            1,
            1,
            1,
            0,
            is_up=True,
            reason="",
            since_ms=0,
            loaded=(LoadedModel("qwen3.5:4b", 1, 4_200_000_000, 8192),),
        ),
        GpuHost("http://gpu2:11434", 1, 1, 0, 0, is_up=False, reason="connection refused", since_ms=0),
    )
    waiter = GpuWaiter("t", "chat", "batch", "worker-0", "j", 2_500, 1, 4_000)
    whole: dict[str, Any] = {
        "at_ms": NOW,
        "environment": "dev",
        "queue": QueueInfo(lanes, 3, 2, workers),
        "jobs": (RunningJob("nightly-1", "worker-0", "scan", URL, "auditing", 2, "nightly", 3_200),),
        "batches": (BatchInfo("nightly", 5_000, 1_250, 1_249, 0, 1, sealed=True, finished_ms=None),),
        "gpu": GpuView(NOW, hosts, (), (waiter,)),
        "recent": Recent(WINDOW_MS, {"succeeded": 125, "retried": 2}),
        "models": (ModelUse("chat", "qwen3.5:4b", 31, 1, 12_345, 2_345, 900, 60_000),),
        "troubles": (Trouble(NOW - 5_000, "dead", "nightly-7", "AttemptsExhausted: attempt 3 of 3 was the last"),),
        **changes,
    }
    return Board(**whole)


def shown(board: Board, width: int, height: int | None = None) -> list[str]:
    return [line.plain for line in board_lines(board, width=width, height=height)]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_section_fits_its_columns(width: int) -> None:
    lines = shown(board(), width)

    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for wanted in (
        "12,345 queued",
        "2 running",
        "2 dead",
        "125 a minute",
        "1,250/5,000",
        "30 min left",
        "12,345 in",
        "1/3",
    ):
        assert wanted in text
    for wanted in ("chat 1/1", "unhealthy", "1 call waiting", "Last errors", "AttemptsExhausted"[: width - 20]):
        assert wanted in text
    assert "first-flush" in text


@pytest.mark.parametrize("height", [16, 20, 24])
def test_a_low_screen_counts_what_it_cannot_list(height: int) -> None:
    many = tuple(WorkerInfo(f"worker-{n}", "box", n, NOW, 3, (), 0, 0, 0) for n in range(30))
    troubles = tuple(Trouble(NOW, "dead", f"job-{n}", "no") for n in range(8))

    lines = shown(
        board(queue=QueueInfo({"batch": LaneInfo(0, 0)}, 0, 0, many), troubles=troubles, gpu=GpuView(NOW)), 80, height
    )

    assert len(lines) <= height
    assert sum("more lines" in line for line in lines) == 2
    assert lines[0].startswith("Sightline")


def test_a_low_screen_lists_workers_before_their_jobs() -> None:
    workers = tuple(WorkerInfo(f"worker-{n}", "box", n, NOW, 3, (), 0, 0, 0) for n in range(2))
    jobs = tuple(RunningJob(f"j{n}", f"worker-{n // 3}", "scan", URL, "", 1, "", 1) for n in range(6))
    queue = QueueInfo({"batch": LaneInfo(0, 6)}, 0, 0, workers)

    lines = shown(board(queue=queue, jobs=jobs, batches=(), gpu=GpuView(NOW), troubles=()), 80, 15)

    assert [line.split()[0] for line in lines if line.startswith("worker-")] == ["worker-0", "worker-1"]
    assert sum(line.startswith("  scan ") for line in lines) == 2
    assert "  … 4 more lines" in lines


def test_without_a_worker_it_says_how_to_start_one_also_in_forty_columns() -> None:
    lines = shown(board(queue=QueueInfo({"batch": LaneInfo(5, 0)}, 0, 0, ())), 40)

    assert "No worker. Start one: sightline worker" in lines


def test_a_silent_worker_is_told_apart() -> None:
    text = "\n".join(shown(board(), 120))

    assert "silent for 30 s" in text
    assert text.count("silent") == 1


def test_what_pages_and_errors_say_cannot_move_the_cursor() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\nsecond"
    jobs = (RunningJob("j", "worker-0", "scan", f"https://x.example/{evil}", evil, 1, "", 1),)

    lines = shown(board(jobs=jobs, troubles=(Trouble(NOW, "dead", evil, evil),)), 120)

    assert not any(ord(char) < 32 for line in lines for char in line)


def test_no_address_is_shown_with_its_password() -> None:
    jobs = (RunningJob("j", "worker-0", "scan", "https://user:secret@x.example/", "", 1, "", 1),)

    text = "\n".join(shown(board(jobs=jobs), 120))

    assert "x.example" in text
    assert "secret" not in text


# ---------------------------------------------------------------------------------------------- what it is made of


def test_rates_begin_with_the_oldest_event_once_there_are_enough() -> None:
    few: list[dict[str, Any]] = [{"event": "job.succeeded", "at_ms": NOW - 1_000}] * (ENOUGH - 1)
    enough: list[dict[str, Any]] = [
        {"event": "job.succeeded", "at_ms": NOW - second * 1_000} for second in range(1, 31)
    ]

    assert recent_of(few, now_ms=NOW, is_cut=False).per_minute("succeeded") == ENOUGH - 1
    assert recent_of(enough, now_ms=NOW, is_cut=False).per_minute("succeeded") == 60
    assert recent_of([], now_ms=NOW, is_cut=False).per_minute("succeeded") == 0


def test_a_days_usage_is_listed_by_model_even_one_with_a_colon() -> None:
    sums = {"chat:calls:qwen3.5:4b": 3, "chat:prompt_tokens:qwen3.5:4b": 90, "embed:calls:nomic": 2}

    assert models_of(sums) == (
        ModelUse("chat", "qwen3.5:4b", 3, 0, 90, 0, 0, 0),
        ModelUse("embed", "nomic", 2, 0, 0, 0, 0, 0),
    )


def test_troubles_are_dead_letters_and_retries_newest_first() -> None:
    letter = DeadLetter.of("1000-0", {b"id": b"a", b"error": b"ScanFailed", b"reason": b"no browser"})
    retried = {
        "event": "job.retried",
        "at_ms": 2_000,
        "job_id": "b",
        "error": {"type": "ScanFailed", "message": "crash"},
    }

    found = troubles_of([retried, {"event": "job.succeeded", "at_ms": 3_000}], [letter])

    assert found == (
        Trouble(2_000, "retried", "b", "ScanFailed: crash"),
        Trouble(1_000, "dead", "a", "ScanFailed: no browser"),
    )


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (850, "850 ms"),
        (12_400, "12 s"),
        (95_000, "95 s"),
        (240_000, "4 min"),
        (12_000_000, "3 h 20 min"),
        (9e8, "10 days"),
    ],
)
def test_durations_are_said_as_people_say_them(ms: float, said: str) -> None:
    assert duration(ms) == said
