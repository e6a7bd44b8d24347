"""Replaces ``conftest.py`` of arq's tests: the same fixtures, on ``StreamPool`` and ``ArqWorker``.

``run.py`` copies it there. Names that a test module imports from arq are replaced by Sightline's, as in a program that
switches: its classes, and the names of keys that have a counterpart here.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest
from arq.connections import RedisSettings
from pytest_mock import MockerFixture
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from sightline import arq as ours

from producer.keys import Keys

HOST: Final = "127.0.0.1"
PORT: Final = int(os.environ["ARQ_SUITE_REDIS_PORT"])
OUTCOMES: Final = Path(os.environ["ARQ_SUITE_OUTCOMES"])
EXCHANGED: Final = ("ArqRedis", "Worker", "create_pool", "create_worker", "run_worker")

KEYS: Final = Keys("dev")
RENAMED: Final = {
    ("test_cron", "in_progress_key_prefix"): KEYS.job(""),
    ("test_jobs", "job_key_prefix"): KEYS.job(""),
    ("test_jobs", "result_key_prefix"): KEYS.result(""),
    ("test_main", "default_queue_name"): KEYS.scheduled,
    ("test_worker", "job_key_prefix"): KEYS.job(""),
}
"""Constants of arq with names of keys, by the modules that use them as keys: ours of the same meaning."""

# `RedisSettings()` in a test means the suite's Redis.
RedisSettings.__init__.__defaults__ = tuple(
    {"localhost": HOST, 6379: PORT}.get(value, value) if isinstance(value, str | int) else value
    for value in RedisSettings.__init__.__defaults__ or ()
)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a test's outcome; a failed set-up or teardown counts, too."""
    if report.when == "call" or not report.passed:
        test = report.nodeid.removeprefix("tests/").replace(".py::", "::")
        with OUTCOMES.open("a", encoding="utf-8") as file:
            file.write(json.dumps([test, report.outcome]) + "\n")


@pytest.fixture(autouse=True)
def exchanged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the names that the test module imports from arq."""
    for name in EXCHANGED:
        if hasattr(request.module, name):
            monkeypatch.setattr(request.module, name, getattr(ours, name))
    for (module, name), key in RENAMED.items():
        if request.module.__name__.endswith(module):
            monkeypatch.setattr(request.module, name, key)


@pytest.fixture(name="loop")
async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def opened(**options: Any) -> AsyncGenerator[ours.StreamPool]:
    """Yield a pool over an empty Redis for one test."""
    pool = ours.StreamPool(host=HOST, port=PORT, encoding="utf-8", **options)
    await pool.flushall()
    yield pool
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
async def arq_redis() -> AsyncGenerator[ours.StreamPool]:
    async for pool in opened():
        yield pool


@pytest.fixture
async def arq_redis_msgpack() -> AsyncGenerator[ours.StreamPool]:
    deserializer = functools.partial(msgpack.unpackb, raw=False)
    async for pool in opened(job_serializer=msgpack.packb, job_deserializer=deserializer):
        yield pool


@pytest.fixture
async def arq_redis_retry() -> AsyncGenerator[ours.StreamPool]:
    retry = Retry(backoff=NoBackoff(), retries=3)
    async for pool in opened(retry=retry, retry_on_timeout=True, retry_on_error=[RedisConnectionError]):
        yield pool


Create = Callable[..., ours.StreamWorker]


async def workers(over: ours.StreamPool) -> AsyncGenerator[Create]:
    """Yield a function that makes a worker over the pool; the last one is closed after the test."""
    made: list[ours.StreamWorker] = []

    def create(
        functions: Any = (),
        burst: bool = True,
        poll_delay: float = 0,
        max_jobs: int = 10,
        arq_redis: Any = over,
        **options: Any,
    ) -> ours.StreamWorker:
        worker = ours.StreamWorker(
            functions=functions, redis_pool=arq_redis, burst=burst, poll_delay=poll_delay, max_jobs=max_jobs, **options
        )
        made.append(worker)
        return worker

    yield create
    if made:
        await made[-1].close()


@pytest.fixture
async def worker(arq_redis: ours.StreamPool) -> AsyncGenerator[Create]:
    async for create in workers(arq_redis):
        yield create


@pytest.fixture
async def worker_retry(arq_redis_retry: ours.StreamPool) -> AsyncGenerator[Create]:
    async for create in workers(arq_redis_retry):
        yield create


@pytest.fixture
def test_redis_host() -> str:
    return HOST


@pytest.fixture
def test_redis_port() -> int:
    return PORT


@pytest.fixture
def test_redis_settings() -> RedisSettings:
    return RedisSettings(host=HOST, port=PORT)


@pytest.fixture(name="create_pool")
async def _create_pool() -> AsyncGenerator[Callable[..., Any]]:
    pools: list[Any] = []

    async def create(*args: Any, **options: Any) -> Any:
        pools.append(await ours.create_pool(*args, **options))
        return pools[-1]

    yield create
    await asyncio.gather(*(pool.aclose(close_connection_pool=True) for pool in pools))


@pytest.fixture
def mocker(monkeypatch: pytest.MonkeyPatch) -> MockerFixture:
    return MockerFixture(monkeypatch)
