"""``sightline worker --processes``: restarts what dies, passes a signal on once, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes_of import all_gone, command_of, until_within
from tests.support.scan_worker import ROOT
from worker.cli.processes import ChildCommand, keep_processes
from worker.cli.up import env_of

CHILD = """
import os, signal, sys, time
folder, number = sys.argv[1:]
def note(signum, _):
    with open(f"{folder}/signals.{os.getpid()}", "a") as file:
        file.write("x")
signal.signal(signal.SIGTERM, note)
open(f"{folder}/{number}.{os.getpid()}", "w").close()
while not os.path.exists(f"{folder}/signals.{os.getpid()}"):
    time.sleep(0.01)
time.sleep(0.05)
sys.exit(int(open(f"{folder}/code").read()))
"""
KEEP = f"""
import sys
from worker.cli.processes import ChildCommand, keep_processes
from worker.cli.up import env_of
from worker.telemetry import configure_logging
configure_logging(level="info", form="json")
one = [sys.executable, "-c", {CHILD!r}, sys.argv[1]]
sys.exit(keep_processes([ChildCommand([*one, str(n)]) for n in (1, 2)]))
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


def test_each_process_has_a_port_for_metrics_of_its_own():
    ports = [env_of({"METRICS_PORT": given}, 2)["METRICS_PORT"] for given in ("9464", " 9464 ", "0", "no port")]

    assert ports == ["9466", "9466", "0", "no port"]


def test_a_burst_restarts_only_what_was_killed(tmp_path: Path):
    ends = """
import os, pathlib, sys
at = pathlib.Path(sys.argv[1])
if at.exists():
    sys.exit(3)
at.touch()
os.kill(os.getpid(), 9)
"""
    commands = [ChildCommand([sys.executable, "-c", ends, str(tmp_path / str(number))]) for number in (1, 2)]

    code = keep_processes(commands, burst=True)

    assert code == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_drained_child_is_not_restarted(tmp_path: Path):
    ends = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch()"

    code = keep_processes([ChildCommand([sys.executable, "-c", ends, str(tmp_path)])] * 2)

    assert code == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_wrong_setting_ends_all_with_its_code():
    command = [sys.executable, "-m", "producer.cli.main", "worker", "nowhere.Settings", "--processes", "2"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 64
    assert "nowhere" in done.stderr
    assert "process.died" not in done.stdout + done.stderr


def _pids(folder: Path) -> list[int]:
    return [int(file.suffix[1:]) for file in folder.glob("[12].*")]
