"""``--start``: an application is started, awaited and stopped, however it and the run behave."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from producer.cli.scan.app import GUARD, _await_answer, _running, started
from producer.cli.scan.by_file import Start
from producer.cli.scan.local import while_it_lives
from producer.errors import ServiceError
from tests.support.processes_of import all_gone, until_within
from tests.support.small_site import small_site
from worker.own_redis.server import free_port

PYTHON = shlex.quote(sys.executable)


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def serving(folder: Path, before: str = "") -> tuple[Start, int]:
    port = free_port()
    command = f"{before}{PYTHON} -m http.server {port} --bind 127.0.0.1"
    return Start(command, f"http://127.0.0.1:{port}/", folder, timeout_s=60), port


def test_the_application_answers_during_the_run_and_is_stopped_afterwards(tmp_path: Path) -> None:
    start, port = serving(tmp_path)

    with started(start, {}) as application:
        assert application
        assert application.why_dead() is None
        assert answers(port)

    assert not answers(port)


def test_an_application_that_is_still_compiling_is_requested_again(tmp_path: Path) -> None:
    compiling = """import http.server as h, sys
class Once(h.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(503)
with h.HTTPServer(("127.0.0.1", int(sys.argv[1])), Once) as server: server.handle_request()
"""
    (tmp_path / "compiling.py").write_text(compiling)
    port = free_port()
    command = f"{PYTHON} compiling.py {port} && exec {PYTHON} -m http.server {port} --bind 127.0.0.1"

    with started(Start(command, f"http://127.0.0.1:{port}/", tmp_path), {}) as application:
        assert application
        assert "503" in application.last_lines()
        assert answers(port)


def test_an_application_that_exits_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    start = Start("echo one; echo two >&2; exit 3", f"http://127.0.0.1:{free_port()}/", tmp_path)

    text = r"has ended with 3; its last lines: one \| two; http://.* never answered"
    with pytest.raises(ServiceError, match=text), started(start, {}):
        pass


def test_an_application_that_never_answers_is_reported_and_stopped(tmp_path: Path) -> None:
    command = "echo $$; exec sleep 600"
    start = Start(command, f"http://127.0.0.1:{free_port()}/", tmp_path, timeout_s=0.0)

    with tempfile.TemporaryFile() as log, _running(start, log) as application:
        until_within(lambda: re.search(r"\d", application.last_lines()) is not None, seconds=60)
        pid = application.last_lines().split()[-1]
        text = rf"does not answer 0 s after .*; its last lines: {pid}$"
        with pytest.raises(ServiceError, match=text):
            _await_answer(start, application, 0)

    assert all_gone([int(pid)], within_s=60)


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"JENKINS_URL": "http://jenkins.example/"}])
def test_an_address_that_already_answers_is_used_and_in_ci_refused(tmp_path: Path, variables: dict[str, str]) -> None:
    with small_site() as site:
        site.files["/"] = b"<h1>Here</h1>"
        start = Start("exit 9", f"{site.url}/", tmp_path)

        with started(start, {"CI": "false"}) as application:
            assert application is None
        with pytest.raises(ServiceError, match="something already answers at"), started(start, variables):
            pass


async def test_a_run_ends_when_its_application_does(tmp_path: Path) -> None:
    start, _ = serving(tmp_path, "echo $$; exec ")
    with started(start, {}) as application:
        assert application
        until_within(lambda: re.search(r"\d+", application.last_lines()) is not None, seconds=60)
        first = re.search(r"lines: (\d+)", application.last_lines())
        assert first
        os.kill(int(first[1]), signal.SIGKILL)
        with pytest.raises(ServiceError, match="has ended with 137"):
            await while_it_lives(application.why_dead, asyncio.Event().wait())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_application_ends_when_the_run_is_killed(
    how: signal.Signals, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    mark = tmp_path / "pid"
    # The shell's own child: a group of processes ends, not only the one that was started.
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    command = f"{PYTHON} -c {shlex.quote(child)} > {shlex.quote(str(mark))} & wait"
    script = (
        "import subprocess, sys\n"
        "guard = subprocess.Popen([sys.executable, '-I', sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE,"
        " start_new_session=True)\nguard.wait()\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script, str(GUARD), command])
    children.append(run)
    until_within(lambda: mark.exists() and mark.read_text().endswith("\n"), seconds=60)
    pid = int(mark.read_text())

    run.send_signal(how)
    run.wait()

    assert all_gone([pid], within_s=60)
