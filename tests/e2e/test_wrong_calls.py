"""A user's mistakes: one line naming the thing and what to do, the right exit code, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest
import redis as blocking_redis
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.keys import Keys
from tests.support.command_line import SIGHTLINE, Call, run_module
from tests.support.queue import settings_for
from tests.support.scan_worker import environment_for
from worker.own_redis.build import fetch


def one_line(answer: subprocess.CompletedProcess[str]) -> str:
    """Return its stderr, which must be one line."""
    lines = [line for line in answer.stderr.splitlines() if line and not line.startswith(("{", "Usage:", "Try "))]
    assert len(lines) == 1, answer.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "not a url"], "'not a url' has no scheme"),
        (["scan", "file:///etc/passwd"], "http:// or https://"),
        (["scan", "--colour"], "--colour"),
        (["scan", "https://example.org/", "--standard", "wcag9"], "wcag9"),
        (["no-such-command"], "no-such-command"),
        (["schedule", "add", "nightly", "every day", "https://example.org/"], "cron line 'every day'"),
        (["dead", "replay"], "--all"),
    ],
)
def test_a_wrong_call_exits_64_with_one_line(arguments: list[str], said: str, call: Call, redis_url: str, keys: Keys):
    answer = call(*arguments)

    assert answer.returncode == 64
    assert said in one_line(answer)
    with blocking_redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter(match=f"{keys.prefix}*")) == []


@pytest.mark.parametrize("program", [[SIGHTLINE, "scan", "https://example.org/"], [SIGHTLINE, "status"], ["worker"]])
def test_redis_down_exits_3_and_says_what_to_start(program: list[str], keys: Keys):
    answer = run_module(environment_for("redis://127.0.0.1:1/0", keys), *program)

    assert answer.returncode == 3
    assert "nothing answers at REDIS_URL 'redis://127.0.0.1:1/0'" in one_line(answer)


@pytest.mark.parametrize("program", [[SIGHTLINE, "status"], ["worker"]])
def test_database_1_is_refused(program: list[str], redis_url: str, keys: Keys):
    address = settings_for(redis_url, keys).redis_url.rstrip("/0").rstrip("/") + "/1"

    answer = run_module(environment_for(address, keys), *program)

    assert answer.returncode == 64
    assert "database 0 only" in one_line(answer)


def test_a_worker_exits_3_on_a_redis_without_search_and_names_what_is_missing(plain_redis: str, keys: Keys):
    answer = run_module(environment_for(plain_redis, keys), "worker")

    assert answer.returncode == 3
    assert "search" in one_line(answer).lower()


def test_a_wrong_password_gives_one_line_that_does_not_show_it(call: Call, redis_url: str):
    address = redis_url.replace("redis://", "redis://:s3cret@")

    answer = call("status", REDIS_URL=address)

    assert answer.returncode == 3
    assert "s3cret" not in answer.stderr + answer.stdout
    assert "password" in one_line(answer)


@pytest.fixture
def plain_redis(tmp_path: Path) -> Generator[str]:
    """A Redis with no modules, on a socket."""
    socket = tmp_path / "redis.sock"
    command = [
        str(fetch() / "bin" / "redis-server"),
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--save",
        "",
        "--locale-collate",
        "C",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, env={**os.environ})
    try:
        with blocking_redis.Redis(unix_socket_path=str(socket), retry_on_error=[ConnectionError]) as client:
            _wait_for(client)
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


def _wait_for(client: blocking_redis.Redis) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.ping()
        except RedisConnectionError:
            time.sleep(0.01)
            continue
        return
    pytest.fail("the plain Redis does not start")
