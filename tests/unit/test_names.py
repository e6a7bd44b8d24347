"""A program may have a ``worker.py`` and a ``producer`` of its own beside ``sightline`` (``sightline/names.py``)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USES_OURS = """
from sightline import BlockingClient, Client
from sightline.arq import ArqRedis, create_pool, StreamWorker
import sightline.arq, worker

assert Client.__name__ == "Client", Client
assert issubclass(ArqRedis, __import__("arq").ArqRedis)
print(Client.__module__, StreamWorker.__module__, getattr(worker, "MINE", "not mine"))
"""


def run(folder: Path, *arguments: str, packages: Path = ROOT / "producer/import") -> str:
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{packages}{os.pathsep}{packages.parents[1]}"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"worker.py": "MINE = 'mine'"}, "producer.client.client sightline.worker.queue.arq_worker mine"),
        (
            {"worker/__init__.py": "MINE = 'mine'", "producer.py": ""},
            "sightline.producer.client.client sightline.worker.queue.arq_worker mine",
        ),
        ({}, "producer.client.client worker.queue.arq_worker not mine"),
    ],
    ids=["worker.py", "both", "neither"],
)
def test_a_program_has_its_own_modules_and_ours(tmp_path: Path, files: dict[str, str], expected: str):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "program.py").write_text(USES_OURS)

    assert run(tmp_path, "program.py").strip() == expected


def test_the_program_of_a_worker_py_is_found_where_ours_comes_first_on_the_path(tmp_path: Path):
    (tmp_path / "worker.py").write_text("class WorkerSettings:\n    functions = [print]\n    burst = 7\n")
    script = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry not in ("", {str(tmp_path)!r})]
from sightline import names
from pathlib import Path
names.look_for_hidden(folder=Path.cwd())
sys.path.insert(0, "")
loaded = names.load("worker.cli.arq_program").load_settings("worker.WorkerSettings")
print(loaded.burst, names.load("worker").command()[3:], names.load("producer.client.submission").SUBMIT.name)
"""

    assert run(tmp_path, "-c", script).strip() == "7 ['sightline', 'worker'] submit"


def test_the_program_starts_beside_a_worker_py(tmp_path: Path):
    (tmp_path / "worker.py").write_text("raise SystemExit('this is not yours')\n")
    (tmp_path / "producer.py").write_text("raise SystemExit('nor this')\n")

    assert "Run one worker, or several processes, until SIGTERM" in run(tmp_path, "-m", "sightline", "worker", "--help")
