"""The log is one JSON object per line from every logger, and the catalogue of events is complete."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Generator
from typing import Literal

import pytest
import structlog

from tests.support.scan_worker import ROOT
from worker import telemetry
from worker.queue.outcome import Dead, Outcome, decide

LOGGED = re.compile(r"\b(?:log\.(?:debug|info|warning|error)|tell|level)\(\s*\"([a-z_.]+)\"")
UNSEEN = re.compile(r"asyncio\.(?:create_task|ensure_future)\(")
SEEN = {
    "worker/cli/arq_program.py": 2,  # awaited
    "worker/cli/web.py": 1,  # awaited
    "worker/gpu/pool.py": 2,  # `keep` goes on by itself; errands
    "worker/queue/executor.py": 1,  # a delivery: asyncio logs what nobody awaits
    "worker/queue/loop.py": 1,  # a failed reader ends the loop, and that the worker
    "worker/queue/run.py": 1,  # a note of progress: logs why it was lost
    "worker/queue/stream.py": 1,  # awaited
    "worker/queue/worker.py": 5,  # the first that fails ends the worker
    "worker/scan/cdp.py": 1,  # logs its end, and the browser is replaced
    "worker/scan/frozen.py": 1,  # as a delivery
    "worker/scan/page.py": 1,  # awaited
    "worker/scan/proxy.py": 1,  # awaited
    "worker/scan/relay.py": 3,  # awaited
    "worker/telemetry.py": 1,  # `in_background` itself
}
"""How many tasks a module starts by itself, and what happens if one fails; all others are run ``in_background``."""
LISTED = re.compile(r"^([a-z]+\.[a-z_]+) +\S", re.MULTILINE)


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level, before = list(root.handlers), root.level, structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_catalogue_has_exactly_the_events_that_are_logged():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "worker").rglob("*.py")]
    logged = {name for source in sources for name in LOGGED.findall(source)}

    listed = set(LISTED.findall(telemetry.__doc__ or ""))

    assert logged - listed == set()
    assert listed - logged == set()


def test_what_a_library_logs_is_an_event_without_its_traceback(capsys: pytest.CaptureFixture[str]):
    telemetry.configure_logging(level="info", form="json")

    lost = ConnectionError("lost: " + "page " * 500)
    logging.getLogger("langgraph.checkpoint").error("TTL of %s\nnot set", "key" * 500, exc_info=lost)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["event"] == "library.warned"
    assert event["logger"] == "langgraph.checkpoint"
    assert event["error"] == "ConnectionError"
    assert event["said"].startswith("TTL of keykey")
    assert len(event["said"]) <= telemetry.MAX_SAID


def test_a_librarys_chatter_is_dropped(capsys: pytest.CaptureFixture[str]):
    telemetry.configure_logging(level="info", form="json")

    logging.getLogger("arq.worker").info("10 jobs done")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_of_a_page_or_model_controls_the_terminal_of_a_log_s_reader(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
):
    telemetry.configure_logging(level="info", form=form)

    structlog.get_logger().warning(
        "model.failed", error="\x1b[2Jgone", host="\x9b2J\u202eevil", model="a\nb.c level=error"
    )

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "gone" in lines[0]
    assert all(character.isprintable() for character in lines[0])


def log_a_failure(*, tracebacks: bool) -> None:
    telemetry.configure_logging(level="info", form="json", tracebacks=tracebacks)
    outcome: Outcome | None = None
    try:
        int("no such page")
    except ValueError as error:
        outcome = decide(error, attempt=1, tries=3, random=lambda: 0.5)
    assert isinstance(outcome, Dead)
    structlog.get_logger().warning("job.finished", error=outcome.error.type, exc_info=outcome.cause)


def test_a_failed_function_s_traceback_is_logged_unless_that_is_switched_off(capsys: pytest.CaptureFixture[str]):
    log_a_failure(tracebacks=True)
    log_a_failure(tracebacks=False)

    told, silent = map(json.loads, capsys.readouterr().err.splitlines())
    assert told["exception"].startswith("Traceback (most recent call last)")
    assert "in log_a_failure" in told["exception"]
    assert told["exception"].endswith("with base 10: 'no such page'")
    assert silent.keys() == told.keys() - {"exception"}


async def test_a_background_task_that_fails_is_logged_with_its_traceback_and_goes_on(
    capsys: pytest.CaptureFixture[str],
):
    telemetry.configure_logging(level="info", form="json")
    failures, has_gone_on = [ValueError("no such host")], asyncio.Event()

    async def fails_once() -> None:
        if failures:
            raise failures.pop()
        has_gone_on.set()

    task = telemetry.in_background(fails_once, name="look", again_s=0.001)
    async with asyncio.timeout(10):
        await has_gone_on.wait()
        await task

    (event,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (event["event"], event["level"], event["task"]) == ("background.failed", "error", "look")
    assert event["error"] == "ValueError: no such host"
    assert "in fails_once" in event["exception"]


async def test_a_task_that_failed_while_nothing_waited_for_it_is_logged_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
):
    telemetry.configure_logging(level="info", form="json")

    async def fails_unseen() -> None:
        msg = "unseen"
        raise ValueError(msg)

    await asyncio.wait([asyncio.create_task(fails_unseen())])

    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["error"]) == ("library.warned", "ValueError")
    assert "in fails_unseen" in event["exception"]


def test_no_task_of_a_worker_ends_in_silence():
    paths = (ROOT / "worker").rglob("*.py")

    started = {str(path.relative_to(ROOT)): len(UNSEEN.findall(path.read_text(encoding="utf-8"))) for path in paths}

    assert {path: count for path, count in started.items() if count} == SEEN
