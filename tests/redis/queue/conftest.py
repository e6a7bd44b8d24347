"""A client and a consumer of the test's own environment."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis

from producer.client import Client
from producer.keys import Keys
from tests.support.queue import open_stream, settings_for
from worker.stream import JobStream


@pytest.fixture
async def client(redis_url: str, keys: Keys) -> AsyncGenerator[Client]:
    async with Client(settings_for(redis_url, keys)) as client:
        yield client


@pytest.fixture
async def stream(redis: Redis, keys: Keys) -> AsyncGenerator[JobStream]:
    async with open_stream(redis, keys) as stream:
        yield stream
