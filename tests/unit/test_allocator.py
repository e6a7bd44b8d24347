"""A worker's heap excludes large blocks, tested in a separate process, since the setting is process-wide."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
import worker.__main__

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has no such thresholds")
def test_a_workers_heap_takes_in_no_large_block_even_after_a_larger_one_was_freed() -> None:
    refused = {"ENVIRONMENT": "not a name"}  # the worker ends before it needs anything

    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=refused, capture_output=True, text=True, check=True, timeout=60
    )

    assert "ENVIRONMENT is 'not a name'" in said.stderr
    assert int(said.stdout) < 1 << 20
