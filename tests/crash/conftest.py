"""Worker processes to kill, on the test's own keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from producer.keys import Keys
from tests.support.processes import StartWorker, start_program


@pytest.fixture
def start_worker(children: list[subprocess.Popen[bytes]], tmp_path: Path, redis_url: str, keys: Keys) -> StartWorker:
    def start(*options: str, url: str = redis_url) -> subprocess.Popen[bytes]:
        return start_program(children, tmp_path / "workers.log", url, keys.environment, *options)

    return start
