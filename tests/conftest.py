"""Fixtures of all tests: a real Redis, separate keys for each test, no outside settings, and no network."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from producer.settings import setting_names
from tests.support.command_line import Call, StartProgram, run_sightline, start_sightline
from tests.support.network import only_loopback
from tests.support.queue import settings_for
from tests.support.redis_server import StartServer, delete_environment, start_or_skip
from tests.support.scan_worker import environment_for
from tests.support.scheduling import FileScheduling, waiting_first
from worker.own_redis.server import EmbeddedRedis
from worker.settings import WorkerSettings


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run two processes more than there are cores, since many tests wait for leases and deadlines.

    Four more on two cores took a quarter longer: 350 MB each and a browser, and the machine is busy already.
    """
    del config
    return len(os.sched_getaffinity(0)) + 2 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 2


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling | None:
    return FileScheduling(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    waiting_first(items)


def pytest_configure() -> None:
    """Give SIGINT back to the programs under test: a shell that runs the tests in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude collected test objects from garbage collection, since nearly all live until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Generator[None]:
    """Nothing in this process reaches beyond loopback."""
    with only_loopback():
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Log exceptions as Python prints them: by default, structlog draws them with all local variables, for a second."""
    *others, _ = structlog.get_config()["processors"]
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, console])


@pytest.fixture(scope="session", autouse=True)
def no_settings() -> Generator[None]:
    """No setting of the developer's shell reaches the tests: a REDIS_URL there may be one that people rely on.

    The same holds for variables of the CI system, since commands write to its log.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in (*setting_names(WorkerSettings), "CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "TF_BUILD"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Address of the session's Redis. Use ``keys`` with it: other tests' keys are there too."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), die_with_parent=True)
    start_or_skip(server)
    yield server.url
    server.stop()


@pytest.fixture
def keys(redis_url: str) -> Generator[Keys]:
    """Keys of an environment used only by this test; they are deleted after it."""
    keys = Keys(environment=f"t{secrets.token_hex(8)}")
    yield keys
    delete_environment(redis_url, keys)


@pytest.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis]:
    """An async client of the session's Redis: RESP2, bytes."""
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def client(redis_url: str, keys: Keys) -> AsyncGenerator[Client]:
    async with Client(settings_for(redis_url, keys)) as client:
        yield client


@pytest.fixture
def children() -> Generator[list[subprocess.Popen[bytes]]]:
    """Processes that are always killed after the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


@pytest.fixture
def call(redis_url: str, keys: Keys) -> Call:
    def run(*words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return run_sightline(environment_for(redis_url, keys, **variables), *words, given=given)

    return run


@pytest.fixture
def program(redis_url: str, keys: Keys) -> Generator[StartProgram]:
    """Start programs that are killed after the test, if they have not ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, variables: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        environment = environment_for(redis_url, keys, **(variables or {}))
        started.append(start_sightline(environment, *words, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def redis_server(tmp_path: Path) -> Generator[StartServer]:
    """Start servers that only this test uses, to kill, freeze, fill or configure."""
    servers: list[EmbeddedRedis] = []

    def start(
        *, data_dir: Path | None = None, config: Mapping[str, str | Sequence[str]] | None = None
    ) -> EmbeddedRedis:
        folder = data_dir or tmp_path / f"redis-{len(servers)}"
        servers.append(EmbeddedRedis(folder, config=config, die_with_parent=True))
        return start_or_skip(servers[-1])

    yield start
    for server in servers:
        server.kill()
