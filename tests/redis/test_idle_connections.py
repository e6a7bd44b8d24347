"""A pool after a burst: connections that are no longer needed are closed, and those in use stay."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from redis.asyncio import Redis

from producer.redis import dial
from producer.redis.connection import open_redis
from producer.settings import ClientSettings


async def connections(redis: Redis, name: str) -> int:
    return sum(one["name"] == name for one in await redis.client_list())


async def test_connections_of_a_burst_are_closed_once_they_were_not_used_for_a_while(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"burst-{uuid.uuid4().hex[:8]}"
    async with open_redis(ClientSettings(redis_url=f"{redis_url}?client_name={name}")) as burst:
        await asyncio.gather(*(burst.blpop([f"{name}-nothing"], timeout=0.2) for _ in range(6)))
        await burst.ping()
        assert await connections(redis, name) == 6, "they are kept for the next burst"

        monkeypatch.setattr(dial, "IDLE_S", 0.3)
        waiting = asyncio.create_task(burst.blpop([f"{name}-nothing"], timeout=2))
        await asyncio.sleep(0.4)
        for _ in range(8):
            await burst.ping()
        assert await connections(redis, name) == 2, "the one that waits and the one in use"

        assert await waiting is None
        await asyncio.gather(*(burst.ping() for _ in range(6)))
