"""The log is one JSON object per line from every logger, and the catalogue of events is complete."""

from __future__ import annotations

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
LISTED = re.compile(r"^([a-z]+\.[a-z_]+) +\S", re.MULTILINE)


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
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
