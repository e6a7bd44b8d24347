"""``sightline worker --processes``: restarts what dies, passes a signal on once, leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from producer.errors import RedisUnreachable, RedisUnsuitable
from producer.keys import Keys
from tests.support.command_line import StartProgram
from tests.support.processes_of import all_gone, command_of, until_within
from tests.support.scan_worker import ROOT, environment_for, need_browser
from worker.cli.processes import keep_processes
from worker.cli.worker import count_up_port

KEEP = """
import os, signal, sys, time
from worker.cli.processes import keep_processes
from worker.telemetry import configure_logging

folder = sys.argv[1]

def note(signum, _):
    with open(f"{folder}/signals.{os.getpid()}", "a") as file:
        file.write("x")

def child(number):
    signal.signal(signal.SIGTERM, note)
    open(f"{folder}/{number}.{os.getpid()}", "w").close()
    while not os.path.exists(f"{folder}/signals.{os.getpid()}"):
        time.sleep(0.01)
    time.sleep(0.05)
    return int(open(f"{folder}/code").read())

configure_logging(level="info", form="json")
sys.exit(keep_processes(child, 2))
"""


ARQ_PROGRAM = """
import os
from arq.connections import RedisSettings

async def nothing(ctx):
    pass

class Settings:
    functions = [nothing]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
"""


@pytest.fixture
def keep(tmp_path: Path):
    """Start two children that note their signals, and yield the process that keeps them."""
    (tmp_path / "code").write_text("0")
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    yield process
    process.kill()
    process.wait()


def test_a_signal_reaches_each_child_once_and_its_code_is_returned(keep: subprocess.Popen[bytes], tmp_path: Path):
    until_within(lambda: len(_pids(tmp_path)) == 2, seconds=20)
    (tmp_path / "code").write_text("7")

    keep.send_signal(signal.SIGTERM)
    said, _ = keep.communicate(timeout=20)

    assert keep.returncode == 7
    assert [file.read_text() for file in tmp_path.glob("signals.*")] == ["x", "x"]
    assert said.count(b"process.started") == 2
    assert not any(map(command_of, _pids(tmp_path)))


def test_a_killed_child_is_restarted_and_named(keep: subprocess.Popen[bytes], tmp_path: Path):
    until_within(lambda: len(_pids(tmp_path)) == 2, seconds=20)

    os.kill(_pids(tmp_path)[0], signal.SIGKILL)
    until_within(lambda: len(_pids(tmp_path)) == 3, seconds=20)
    keep.send_signal(signal.SIGINT)
    said, _ = keep.communicate(timeout=20)

    assert keep.returncode == 0
    assert b'"exit_code": -9' in said
    assert b'"restarted_in_s": 0.5' in said


def test_children_do_not_outlive_a_killed_parent(keep: subprocess.Popen[bytes], tmp_path: Path):
    until_within(lambda: len(_pids(tmp_path)) == 2, seconds=20)

    keep.kill()

    assert all_gone(_pids(tmp_path), within_s=20)
    assert len(list(tmp_path.glob("signals.*"))) == 2


def test_a_child_that_ignores_the_end_of_its_parent_is_killed(tmp_path: Path):
    ignores = KEEP.replace("signal.SIGTERM, note", "signal.SIGTERM, signal.SIG_IGN")
    keep = subprocess.Popen([sys.executable, "-c", ignores, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    until_within(lambda: len(_pids(tmp_path)) == 2, seconds=20)

    keep.kill()
    keep.wait()

    assert all_gone(_pids(tmp_path), within_s=20)


def test_each_process_has_a_port_for_metrics_of_its_own(monkeypatch: pytest.MonkeyPatch):
    ports: list[str] = []
    for given in ("9464", " 9464 ", "0", "no port"):
        monkeypatch.setenv("METRICS_PORT", given)
        count_up_port(2)
        ports.append(os.environ["METRICS_PORT"])

    assert ports == ["9466", "9466", "0", "no port"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_child_that_is_stopped_before_it_handles_signals_is_no_failure(tmp_path: Path, number: signal.Signals):
    handles_nothing = KEEP.replace("signal.signal(signal.SIGTERM, note)", "")
    keep = subprocess.Popen([sys.executable, "-c", handles_nothing, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    until_within(lambda: len(_pids(tmp_path)) == 2, seconds=20)

    keep.send_signal(number)

    assert keep.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_children_it_runs_until_a_signal(number: signal.Signals):
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            os.kill(os.getpid(), number)

    assert keep_processes(int, 0, look=look) == 0
    assert len(looks) == 3


def test_a_look_that_fails_ends_the_children(tmp_path: Path):
    def look() -> None:
        if _pids(tmp_path):
            raise RedisUnsuitable("it ends again and again")

    def run(number: int) -> int:
        (tmp_path / f"{number}.{os.getpid()}").touch()
        time.sleep(100)
        return 0

    with pytest.raises(RedisUnsuitable):
        keep_processes(run, 2, look=look)
    assert not any(map(command_of, _pids(tmp_path)))


def test_a_burst_restarts_only_what_was_killed(tmp_path: Path):
    def run(number: int) -> int:
        at = tmp_path / str(number)
        if at.exists():
            return 3
        at.touch()
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    code = keep_processes(run, 2, burst=True)

    assert code == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_drained_child_is_not_restarted(tmp_path: Path):
    def run(_: int) -> int:
        (tmp_path / str(os.getpid())).touch()
        return 0

    code = keep_processes(run, 2)

    assert code == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_an_error_for_the_user_is_printed_and_its_code_returned(capfd: pytest.CaptureFixture[str]):
    def run(_: int) -> int:
        raise RedisUnreachable("the Redis is away")

    code = keep_processes(run, 1, burst=True)

    assert code == RedisUnreachable.exit_code
    assert capfd.readouterr().err.endswith("sightline: the Redis is away\n")


def test_a_child_has_no_handler_of_its_parent_and_a_session_of_its_own():
    def run(_: int) -> int:
        handlers = {signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return 0 if handlers == {signal.SIG_DFL} and not blocked and os.getsid(0) == os.getpid() else 3

    assert keep_processes(run, 2, burst=True) == 0


def test_where_a_fork_is_not_safe_children_are_started_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("worker.cli.processes.FORKS", False)
    monkeypatch.setenv("METRICS_PORT", "9464")

    code = keep_processes(partial(_note_port, tmp_path), 2)

    assert code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["9464", "9465"]


def test_workers_share_the_memory_of_what_they_import(program: StartProgram):
    need_browser()
    process = program("worker", "--processes", "2", variables={"LOG_FORMAT": "json"})
    assert process.stderr is not None
    lines = (json.loads(line) for line in process.stderr)
    started = [line["pid"] for line in islice((one for one in lines if one["event"] == "process.started"), 2)]
    ready = list(islice((one for one in lines if one["event"] == "worker.started"), 2))

    kib = [_memory_of(pid) for pid in started]
    process.terminate()

    assert len(ready) == 2
    assert all(shared > 2 * own for shared, own in kib)
    assert process.wait(40) == 0


def _memory_of(pid: int) -> tuple[int, int]:
    """Return what the process shares with others and what is its own, of what was written to, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines[1:])}
    return kib["Shared_Dirty"], kib["Private_Dirty"]


def test_processes_of_an_arq_program_log_each_line_once(redis_url: str, keys: Keys, tmp_path: Path):
    (tmp_path / "tasks.py").write_text(ARQ_PROGRAM)
    command = [sys.executable, "-m", "producer.cli.main", "worker", "tasks.Settings", "--processes", "2", "--burst"]
    variables = {**environment_for(redis_url, keys), "PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert (done.stdout + done.stderr).count("Starting worker for 1 functions") == 2


def _note_port(folder: Path, number: int) -> int:
    count_up_port(number)
    (folder / os.environ["METRICS_PORT"]).touch()
    return 0


def test_a_wrong_setting_ends_all_with_its_code():
    command = [sys.executable, "-m", "producer.cli.main", "worker", "nowhere.Settings", "--processes", "2"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 64
    assert "nowhere" in done.stderr
    assert "process.died" not in done.stdout + done.stderr


def _pids(folder: Path) -> list[int]:
    return [int(file.suffix[1:]) for file in folder.glob("[01].*")]
