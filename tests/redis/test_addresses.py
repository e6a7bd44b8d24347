"""Errors for a wrong REDIS_URL, from a real server: within seconds, and naming the server."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from redis.asyncio import Redis as PooledRedis
from redis.asyncio.connection import ConnectionPool
from redis.backoff import ExponentialBackoff
from redis.exceptions import DataError

from producer.client.client import Client
from producer.errors import DependencyMissing, RedisUnreachable, RedisUnsuitable
from producer.redis import connection
from producer.redis.connection import open_blocking_redis, open_redis, redis_errors
from producer.redis.dial import blocking_twin
from producer.settings import ClientSettings
from tests.support.site import Site
from worker.own_redis.server import free_port


async def refusal(url: str) -> str:
    async with Client(ClientSettings(redis_url=url)) as client:
        with pytest.raises(RedisUnsuitable) as refused:
            await client.queue()
    return str(refused.value)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the number of failures before each wait for another attempt; none of them is waited for."""
    found: list[int] = []

    def compute(_: ExponentialBackoff, failures: int) -> float:
        found.append(failures)
        return 0.0

    monkeypatch.setattr(ExponentialBackoff, "compute", compute)
    return found


async def test_a_plain_server_asked_for_tls_is_named_as_such_at_the_first_attempt(
    redis_url: str, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.5)  # it does not answer the handshake

    said = await refusal(redis_url.replace("redis://", "rediss://"))

    assert "does not speak TLS: write redis://, not rediss://" in said
    assert waits == []


async def test_a_server_of_tls_asked_in_plain_is_named_as_such_at_the_first_attempt(waits: list[int]) -> None:
    with Site(tls=True) as secure:
        where = f"127.0.0.1:{secure.port}"
        said = await refusal(f"redis://{where}/0")

    assert f"Redis at '{where}' speaks only TLS: write rediss://, not redis://" in said
    assert waits == []


async def test_a_password_file_is_read_again_at_each_connection(redis_url: str, tmp_path: Path) -> None:
    name, file = f"u{os.getpid()}", tmp_path / "password"
    address = redis_url.replace("redis://", f"redis://{name}@")
    async with open_redis(ClientSettings(redis_url=redis_url)) as admin:
        await admin.acl_setuser(name, enabled=True, passwords=["+first"], commands=["+@all"], keys=["*"])
        try:
            file.write_text("first\n")
            settings = ClientSettings.from_env({"REDIS_URL": address, "REDIS_PASSWORD_FILE": str(file)})
            async with open_redis(settings) as redis:
                twin = blocking_twin(redis_pool(redis), timeout_s=2)
                assert (await redis.acl_whoami(), twin.acl_whoami()) == (name, name)
                await admin.acl_setuser(name, enabled=True, passwords=["-first", "+second"])
                file.write_text("second\n")
                await redis_pool(redis).disconnect()
                twin.connection_pool.disconnect()

                assert (await redis.acl_whoami(), twin.acl_whoami()) == (name, name)
                with open_blocking_redis(settings, timeout_s=2) as third:
                    assert third.acl_whoami() == name
        finally:
            await admin.acl_deluser(name)


def redis_pool(redis: PooledRedis) -> ConnectionPool:
    assert isinstance(redis.connection_pool, ConnectionPool)
    return redis.connection_pool


async def test_a_socket_s_path_is_dialled_by_the_thread_too(tmp_path: Path) -> None:
    settings = ClientSettings(redis_url=f"unix://{tmp_path}/redis.sock")

    async with open_redis(settings) as redis:
        twin = blocking_twin(redis_pool(redis), timeout_s=1)
        with pytest.raises(RedisUnreachable, match="No such file or directory"), redis_errors(settings):
            twin.ping()


async def test_commands_are_packed_as_redis_py_packs_them(redis_url: str) -> None:
    async with open_redis(ClientSettings(redis_url=redis_url)) as redis:
        ours = redis_pool(redis).make_connection()
    theirs = PooledRedis.from_url(redis_url).connection_pool.make_connection()

    for command in (("GET", "schlüssel"), ("CONFIG GET", "maxmemory"), ("SET", b"\x00\xff", 12, "PX", 1.5), ("PING",)):
        assert b"".join(ours.pack_command(*command) or ()) == b"".join(theirs.pack_command(*command) or ())
    with pytest.raises(DataError):
        ours.pack_command("SET", "name", object())  # pyright: ignore[reportArgumentType]  as a caller's mistake


async def test_a_value_that_redis_cannot_hold_is_the_callers_mistake_and_no_outage(redis_url: str) -> None:
    settings = ClientSettings(redis_url=redis_url)

    async with open_redis(settings) as redis:
        with pytest.raises(DataError), redis_errors(settings):
            await redis.set("name", object())  # pyright: ignore[reportArgumentType]  as a caller's mistake


def test_a_file_of_this_machine_that_fails_is_not_called_redis(tmp_path: Path) -> None:
    settings = ClientSettings(redis_url=f"redis://127.0.0.1:{free_port()}")

    full = pytest.raises(DependencyMissing, match=r"'full' cannot be used \(No space left on device\).*set TMPDIR")
    with full, redis_errors(settings):
        raise OSError(errno.ENOSPC, "No space left on device", "full")
    with pytest.raises(DependencyMissing, match="nowhere"), redis_errors(settings):
        (tmp_path / "nowhere" / "file").read_text()
