"""``ops/roll.sh`` where Docker fails; that it rolls is seen with a real engine (``make containers``)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCKER = """#!/bin/sh
echo "$*" >> "$HOME/calls"
case "$*" in
  "compose ps --quiet worker") printf 'old1\nold2\nold3\n'; [ ! -e "$HOME/up" ] || printf 'new1\nnew2\nnew3\n' ;;
  "compose up "*) touch "$HOME/up" ;;
  inspect*) echo healthy ;;
  "stop --time 90 old2") echo 'Cannot connect to the Docker daemon' >&2; exit 1 ;;
esac
"""


def test_workers_that_are_left_when_docker_fails_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "ops/roll.sh", tmp_path / "ops")
    for name, text in (("ops/passwords.sh", "#!/bin/sh\n"), ("bin/docker", DOCKER)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    env = {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    ended = subprocess.run(["ops/roll.sh"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stdout == "roll: old1 stopped\n"
    assert "old2 was not stopped" in ended.stderr
    assert "roll: docker stop --time 90 old2 old3; docker rm old2 old3\n" in ended.stderr
    assert "stop --time 90 old3" not in (tmp_path / "calls").read_text()
