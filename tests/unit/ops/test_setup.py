"""``make setup``: its output and actions."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

from tests.support.scan_worker import ROOT


def test_packages_are_reinstalled_from_a_shell_with_the_old_environment_active(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ops/setup", tmp_path / "ops/setup")
    (tmp_path / "requirements.lock").write_text("# none\n")
    (tmp_path / "ops/setup.lock").write_text("# no uv: pip installs\n")
    venv.create(tmp_path / ".venv")
    active = {**os.environ, "PATH": f"{tmp_path}/.venv/bin:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "ops/setup/packages.sh", "python3"],
        cwd=tmp_path,
        env=active,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / ".venv/bin/pip").exists()
