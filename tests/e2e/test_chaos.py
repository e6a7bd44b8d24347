"""A short chaos run: everything fails, nothing is lost. ``make chaos`` runs longer ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes_of import all_gone, command_of, descendants, until_within
from tests.support.scan_worker import ROOT, need_browser

SECONDS = 8


@pytest.mark.timeout(400)
def test_chaos_loses_nothing_and_doubles_nothing(redis_url: str):
    del redis_url  # where no Redis can be started this is skipped, or fails, as everywhere
    need_browser()
    command = [sys.executable, "ops/chaos/run.py", "--minutes", f"{SECONDS / 60}", "--seed", "11", "--workers", "2"]

    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as run:
        try:
            said, _ = run.communicate(timeout=380)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise

    assert run.returncode == 0, said
    assert "jobs succeeded" in said
    assert said.count(" yes ") == 11


@pytest.mark.timeout(300)
def test_a_chaos_that_is_killed_leaves_no_process(redis_url: str, tmp_path: Path):
    del redis_url  # as above
    need_browser()
    command = [sys.executable, "ops/chaos/run.py", "--minutes", "5", "--seed", "11", "--workers", "1"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}) as run:
        until_within(lambda: any(b"chrom" in command_of(pid) for pid in descendants(run.pid)), seconds=200)
        below = descendants(run.pid)
        run.kill()

    assert len(below) >= 8  # two servers, three Sentinels, Ollama, worker, browser
    assert all_gone(below, within_s=30)
