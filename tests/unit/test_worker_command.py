"""The command that ``up`` and ``--local`` start a worker with runs our modules, whatever is in the current folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from producer.errors import InputError
from worker import command


def test_a_worker_starts_in_a_folder_that_has_modules_of_the_same_names(tmp_path: Path) -> None:
    for name in ("redis", "worker", "sightline", "producer"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the current folder was imported')\n")

    run = subprocess.run(
        command(),
        cwd=tmp_path,
        env={**os.environ, "REDIS_URL": "no address"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "REDIS_URL" in run.stderr
    assert run.returncode == InputError.exit_code
