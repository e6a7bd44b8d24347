"""A worker's process takes on little before it has work, and its heap no large blocks: one start shows both."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
import worker.__main__

print("prometheus_client" in sys.modules, flush=True)

def heap_bytes():
    line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[heap]"))
    first, last = line.split()[0].split("-")
    return int(last, 16) - int(first, 16)

worker.__main__.main()
bytes(16 << 20)  # made and freed: from now on this would be the usual size
before = heap_bytes()
kept = [bytes(1 << 20) for _ in range(8)]
print(heap_bytes() - before)
"""


@pytest.fixture(scope="module")
def ended() -> subprocess.CompletedProcess[str]:
    refused = {"ENVIRONMENT": "not a name"}  # the worker ends before it needs anything
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=refused, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_worker_without_metrics_loads_no_metrics_library(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.stdout.startswith("False\n"), ended.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has no such thresholds")
def test_a_workers_heap_takes_in_no_large_block_even_after_a_larger_one_was_freed(
    ended: subprocess.CompletedProcess[str],
) -> None:
    assert "ENVIRONMENT is 'not a name'" in ended.stderr
    assert int(ended.stdout.split()[1]) < 1 << 20
