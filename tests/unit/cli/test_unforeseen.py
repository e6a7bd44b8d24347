"""Unexpected errors, and a stdout that cannot be written: one line, and never exit 1, which means findings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producer import errors
from producer.cli import main, status
from producer.cli.outputs import Output, write_reports
from producer.cli.scan import gate
from producer.reports.formats import ReportContext
from producer.reports.page import refused_page

PROGRAM = (sys.executable, "-m", "producer.cli.main")
CONTEXT = ReportContext(datetime(2026, 11, 23, tzinfo=UTC))
PAGE = Path(__file__).parents[3] / "docs/ci.md"


def raising(error: BaseException) -> Any:
    def act(*_: object, **__: object) -> None:
        raise error

    return act


def test_an_unexpected_error_is_one_line_and_does_not_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "with_client", raising(KeyError("lost\nkey")))

    assert main.run(["status"]) == main.EXIT_CRASHED
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"sightline: internal error, please report it: KeyError: 'lost\\nkey' \(producer/cli/status.py:\d+\); "
        r"SIGHTLINE_DEBUG=1 shows the traceback\n",
        said,
    ), said


def test_the_traceback_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "with_client", raising(KeyError("lost")))
    monkeypatch.setenv(main.DEBUG, "1")

    assert main.run(["status"]) == main.EXIT_CRASHED
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_error_of_the_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "with_client", raising(OSError(28, "No space left on device", "/full/part")))

    assert main.run(["status"]) == main.EXIT_NOT_WRITTEN
    assert capsys.readouterr().err.startswith("sightline: '/full/part': No space left on device (producer/cli/status")


def test_a_closed_pipe_under_rich_does_not_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    end = SystemExit(1)
    end.__context__ = BrokenPipeError()
    monkeypatch.setattr(status, "with_client", raising(end))
    monkeypatch.setattr(main, "_drop_stdout", lambda: None)

    assert main.run(["status"]) == main.EXIT_PIPE_CLOSED


def run_program(**options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*PROGRAM, "--help"), stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_stdout_has_a_code_and_a_line_of_its_own() -> None:
    with Path("/dev/full").open("w") as full:
        done = run_program(stdout=full)

    assert (done.returncode, done.stderr) == (74, "sightline: cannot write to stdout: No space left on device\n")


def test_a_closed_stdout_has_a_code_and_a_line_of_its_own() -> None:
    done = run_program(preexec_fn=lambda: os.close(1))

    assert (done.returncode, done.stderr) == (74, "sightline: cannot write to stdout: Bad file descriptor\n")


def test_a_closed_stderr_or_stdin_is_no_fault_of_the_program() -> None:
    closed = subprocess.run([*PROGRAM, "config", "check"], preexec_fn=lambda: os.close(2), check=False, cwd="/")
    assert closed.returncode == main.EXIT_USAGE
    one_try = "from producer.redis import connection as c; c.ATTEMPTS = 1; from producer.cli.main import main; main()"
    waited = subprocess.run(
        [sys.executable, "-c", one_try, "scan", "https://shop.example/", "--timeout", "9", "--json"],
        preexec_fn=lambda: os.close(2),
        env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
        check=False,
    )
    assert waited.returncode == errors.RedisUnreachable.exit_code

    listed = subprocess.run(
        [*PROGRAM, "scan", "--file", "-"], preexec_fn=lambda: os.close(0), check=False, capture_output=True, text=True
    )
    assert (listed.returncode, "has no addresses" in listed.stderr) == (main.EXIT_USAGE, True), listed.stderr


def test_an_argument_that_is_not_utf_8_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main.run(["config", "init", "--start", "B\udcfccher", "-o", str(tmp_path / "made.toml")])

    said = capsys.readouterr().err
    assert (code, said) == (main.EXIT_USAGE, "sightline: the argument 'B\\udcfccher' is not text in UTF-8\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_before_the_programs_own_help_does_not_make_it_exit_1() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = run_program(stdout=theirs)
    finally:
        os.close(theirs)

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_report_for_which_there_is_no_room_is_no_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    def act(*_: object) -> None:
        write_reports([Output("json", Path("/dev/full"))], [refused_page("nonsense", "x" * 100_000)], CONTEXT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(status, "with_client", act)
        code = main.run(["status"])

    assert code == main.EXIT_NOT_WRITTEN
    assert capsys.readouterr().err.startswith("sightline: '/dev/full': No space left on device (producer/cli/outputs")


def test_the_documentation_has_every_exit_code_and_no_other() -> None:
    table = PAGE.read_text().partition("| exit code | meaning |")[2].partition("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    ours = {value for name, value in vars(main).items() if name.startswith("EXIT_")}
    ours |= {gate.FINE, gate.FINDINGS, gate.NOT_SCANNED, gate.NO_ANSWER, gate.NO_RESULT}
    ours |= {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}

    assert documented == ours
