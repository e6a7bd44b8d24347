"""A client, a consumer and an arq program in the test's environment."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from arq.connections import ArqRedis
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.arq_flavours import Flavour, Stock, Streamed
from tests.support.queue import open_stream
from worker.queue.stream import JobStream


@pytest.fixture
async def stream(redis: Redis, keys: Keys) -> AsyncGenerator[JobStream]:
    async with open_stream(redis, keys) as stream:
        yield stream


@pytest.fixture(params=[Stock, Streamed])
async def flavour(request: pytest.FixtureRequest, redis_url: str, keys: Keys) -> AsyncGenerator[Flavour]:
    """arq's own queue, then ours."""
    yield request.param(redis_url, keys)
    async with ArqRedis.from_url(redis_url) as redis:
        if left := await redis.keys("arq:*"):  # arq's own keys know no environment
            await redis.delete(*left)


@pytest.fixture
async def pool(flavour: Flavour) -> AsyncGenerator[ArqRedis]:
    pool = await flavour.open_pool()
    yield pool
    await pool.aclose()
