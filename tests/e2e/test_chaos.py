"""A short chaos: everything breaks, nothing is lost. ``make chaos`` runs longer ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.scan_worker import ROOT, need_browser

SECONDS = 45


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
    assert said.count(" yes ") == 8
