"""Worker processes to kill, on the test's own keys."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from producer.client import Client
from producer.keys import Keys
from tests.support.processes import StartWorker, children, start_program
from tests.support.queue import settings_for

__all__ = ["children"]


@pytest.fixture
def start_worker(children: list[subprocess.Popen[bytes]], tmp_path: Path, redis_url: str, keys: Keys) -> StartWorker:
    def start(*options: str, url: str = redis_url) -> subprocess.Popen[bytes]:
        return start_program(children, tmp_path / "workers.log", url, keys.environment, *options)

    return start


@pytest.fixture
async def client(redis_url: str, keys: Keys) -> AsyncGenerator[Client]:
    async with Client(settings_for(redis_url, keys)) as client:
        yield client
