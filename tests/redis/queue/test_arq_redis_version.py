"""An arq program's worker on a Redis that is too old: arq ran on it, so the refusal must say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from arq.connections import RedisSettings
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from producer.errors import RedisUnsuitable, SettingsError
from producer.keys import Keys
from tests.support.queue import add
from worker.queue.arq_pool import create_pool
from worker.queue.arq_worker import ArqWorker


async def run_on(redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch, answer: object) -> int:
    """Run one job where INFO says ``answer``; return how many are complete."""

    async def info(*_: Any) -> object:
        if isinstance(answer, Exception):
            raise answer
        return {"redis_version": answer}

    monkeypatch.setattr(Redis, "info", info)
    settings = RedisSettings.from_dsn(redis_url)
    pool = await create_pool(settings, environment=keys.environment)
    await pool.enqueue_job("add", 1)
    worker = ArqWorker([add], redis_settings=settings, environment=keys.environment, burst=True, handle_signals=False)
    try:
        await worker.main()
    finally:
        await worker.close()
        await pool.aclose()
    return worker.jobs_complete


async def test_an_old_redis_is_refused_by_its_version(redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RedisUnsuitable, match=r"Redis is version 6\.2\.14: expected 7 or newer"):
        await run_on(redis_url, keys, monkeypatch, "6.2.14")


async def test_a_pool_too_small_for_a_worker_is_refused(redis_url: str, keys: Keys):
    settings = RedisSettings.from_dsn(redis_url)
    settings.max_connections = 3
    worker = ArqWorker([add], redis_settings=settings, environment=keys.environment, burst=True, handle_signals=False)

    with pytest.raises(SettingsError, match="max_connections of the Redis connections is 3: a worker needs at least 6"):
        await worker.main()
    await worker.close()


@pytest.mark.parametrize("answer", ["7.0.0", "10.1", "unstable", NoPermissionError("no INFO")])
async def test_a_new_redis_and_one_that_does_not_tell_are_used(
    redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch, answer: object
):
    assert await run_on(redis_url, keys, monkeypatch, answer) == 1
