"""``sightline worker module.WorkerSettings`` as a separate process, in the folder of an arq program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from arq.connections import RedisSettings

from producer.keys import Keys
from tests.support.command_line import Call
from worker.own_redis.server import free_port
from worker.queue.arq_pool import create_pool

SHOP = "tests.support.arq_shop"
PROGRAM = """
from arq.connections import RedisSettings

async def add(ctx, a, b):
    return a + b

class WorkerSettings:
    functions = [add]
    redis_settings = RedisSettings.from_dsn({url!r})
    queue_name = "test:command"
    health_check_interval = 30

log_dict = {{
    "version": 1,
    "formatters": {{"own": {{"format": "own format: %(message)s"}}}},
    "handlers": {{"own": {{"class": "logging.StreamHandler", "formatter": "own"}}}},
    "loggers": {{"arq": {{"handlers": ["own"], "level": "INFO"}}}},
}}
"""


def sightline(folder: Path, keys: Keys, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ENVIRONMENT": keys.environment}
    command = [sys.executable, "-m", "producer.cli.main", "worker", *args]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path: Path, redis_url: str) -> Path:
    (tmp_path / "tasks_of_arq.py").write_text(PROGRAM.format(url=redis_url))
    return tmp_path


async def test_a_program_is_run_by_its_settings(folder: Path, keys: Keys, redis_url: str):
    settings = RedisSettings.from_dsn(redis_url)
    pool = await create_pool(settings, default_queue_name="test:command", environment=keys.environment)
    job = await pool.enqueue_job("add", 1, b=2)
    assert job is not None

    log_dict = "--custom-log-dict=tasks_of_arq.log_dict"
    done = sightline(folder, keys, "tasks_of_arq.WorkerSettings", "--burst", log_dict)

    assert done.returncode == 0, done.stderr
    assert await job.result(timeout=60) == 3
    assert "own format: Starting worker for 1 functions: add" in done.stderr + done.stdout
    assert (
        sightline(folder, keys, "tasks_of_arq.WorkerSettings", "--check").returncode == 1
    )  # it is gone, and so is its line
    await pool.aclose()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (f"{SHOP}.WorkerSettings --custom-log-dict={SHOP}.MAILS", "expected a dict for logging"),
        (f"{SHOP}.MAILS", "expected a class"),
        (f"{SHOP}.Nobody", "has no 'Nobody'"),
        ("no_such_module.WorkerSettings", "there is no module 'no_such_module'"),
        ("WorkerSettings", "expected a module and a name in it"),
    ],
)
def test_a_wrong_name_is_said_in_one_line(call: Call, words: str, what: str):
    done = call("worker", *words.split())

    assert done.returncode == 64
    assert what in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("--burst",), ("--check",)])
def test_a_redis_that_is_not_there_is_named(tmp_path: Path, keys: Keys, words: tuple[str, ...]):
    url = f"redis://127.0.0.1:{free_port()}"
    (tmp_path / "tasks_of_arq.py").write_text(PROGRAM.format(url=url))
    with (tmp_path / "tasks_of_arq.py").open("a") as file:
        file.write("\nWorkerSettings.redis_settings.conn_retries = 0\n")

    done = sightline(tmp_path, keys, "tasks_of_arq.WorkerSettings", *words)

    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("sightline: the Redis of 'tasks_of_arq.WorkerSettings' cannot be")
    assert done.stderr.endswith("start it, or correct redis_settings\n")
