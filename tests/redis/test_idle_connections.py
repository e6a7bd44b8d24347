"""Connections that were not used for a while: unneeded ones are closed, and the others answer."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from producer.redis import dial
from producer.redis.connection import open_redis
from producer.settings import ClientSettings
from tests.support.queue import until
from tests.support.redis_server import StartServer, refuse_writes


async def connections(redis: Redis, name: str) -> int:
    return sum(one["name"] == name for one in await redis.client_list())


async def are_open(redis: Redis, name: str, count: int) -> bool:
    return await connections(redis, name) == count


async def test_connections_of_a_burst_are_closed_once_they_were_not_used_for_a_while(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"burst-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(dial, "IDLE_S", 60.0)
    async with open_redis(ClientSettings(redis_url=f"{redis_url}?client_name={name}")) as opened:
        burst: Any = opened  # redis-py types blpop as blocking, too
        reads = [asyncio.create_task(burst.blpop([f"{name}-list"], timeout=60)) for _ in range(6)]
        await until(partial(are_open, redis, name, len(reads)), what="a connection for each read")
        for _ in reads:
            await cast("Any", redis).rpush(f"{name}-list", "")
        await asyncio.gather(*reads)
        await burst.ping()
        assert await connections(redis, name) == 6, "they are kept for the next burst"

        monkeypatch.setattr(dial, "IDLE_S", 0.3)
        waiting = asyncio.create_task(burst.blpop([f"{name}-list"], timeout=60))
        await asyncio.sleep(0.4)
        for _ in range(8):
            await burst.ping()
        assert await connections(redis, name) == 2, "the one that waits and the one in use"

        await cast("Any", redis).rpush(f"{name}-list", "late")
        assert await waiting == (f"{name}-list".encode(), b"late")
        await asyncio.gather(*(burst.ping() for _ in range(6)))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_an_idle_connection_reads_while_redis_refuses_writes(
    redis_server: StartServer, tmp_path: Path, kind: str
) -> None:
    """Redis then refuses PING, too, with which redis-py checks a connection that was idle for 30 s."""
    server = redis_server(data_dir=tmp_path / "data", config={"unixsocket": f"{tmp_path}/redis.sock"})
    url = server.url if kind == "tcp" else f"unix://{tmp_path}/redis.sock"
    async with open_redis(ClientSettings(redis_url=url)) as redis:
        await redis.set("name", "value")
        await refuse_writes(redis, tmp_path / "data")
        for connection in cast("ConnectionPool", redis.connection_pool)._available_connections:
            connection.next_health_check = 1.0

        assert await redis.get("name") == b"value"
