"""The primary behind Sentinels is killed under load: acknowledged jobs end once, leases continue on the new one."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from arq.worker import func
from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from producer.client import durability
from producer.client.client import Client
from producer.contract import JobState
from producer.errors import NotDurable, RedisUnreachable, RedisUnsuitable
from producer.keys import Keys
from producer.redis import connection
from producer.redis.connection import open_blocking_redis, open_redis, redis_errors
from producer.redis.dial import blocking_twin
from producer.settings import ClientSettings
from tests.support.queue import events_of, running_worker, until
from tests.support.redis_server import StartServer
from tests.support.sentinels import SERVICE, Failover, failover
from worker.queue.arq_pool import StreamPool

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ops" / "chaos"))

from tcp_proxy import TcpProxy  # pyright: ignore[reportMissingImports]  # a program's own folder, no package

KEYS = Keys("failover")
PASSWORD = "of-the-sentinels"  # noqa: S105  of servers that live as long as the test
LEASE_S = 2.0
SUBMIT_WITHIN_S = 15.0
JOBS = 120


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Generator[Failover]:
    with failover(tmp_path_factory.mktemp("failover"), password=PASSWORD) as started:
        yield started


@pytest.fixture
def settings(servers: Failover) -> ClientSettings:
    return ClientSettings(redis_url=servers.url, environment=KEYS.environment)


async def test_what_was_acknowledged_before_a_failover_ends_once_and_what_runs_keeps_its_lease(
    servers: Failover, settings: ClientSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "_WAIT_FOR_REPLICA", pack_command(("WAITAOF", 1, 1, 1000)))  # pyright: ignore[reportArgumentType]  typed as a tuple of one
    runs: Counter[str] = Counter()
    is_over = asyncio.Event()

    async def quick(ctx: dict[str, Any]) -> None:
        runs[ctx["job_id"]] += 1

    async def held(ctx: dict[str, Any]) -> None:
        runs[ctx["job_id"]] += 1
        await is_over.wait()

    acknowledged: list[str] = []
    calls_s: list[float] = []

    async def produce(client: Client) -> None:
        durable = True
        while len(acknowledged) < JOBS:
            begun = time.monotonic()
            try:
                acknowledged.append((await client.submit("quick", {}, durable=durable)).job_id)
            except NotDurable:  # the promoted one has no replica: said, and not acknowledged
                durable = False
            calls_s.append(time.monotonic() - begun)

    pool = StreamPool.over(open_redis(settings), environment=KEYS.environment)
    functions = [func(quick, name="quick"), func(held, name="held")]
    async with Client(settings) as client, running_worker("", KEYS, functions, pool=pool, lease_s=LEASE_S):
        held_id = (await client.submit("held", {}, durable=True)).job_id
        await until(lambda: runs[held_id], what="the held job's start")
        producing = asyncio.create_task(produce(client))
        await until(lambda: len(acknowledged) > JOBS // 3, what="a third of the jobs")
        servers.primary.kill()
        killed_at = time.monotonic()
        await producing
        ends = await asyncio.gather(*(client.wait(job_id, timeout_s=30) for job_id in acknowledged))
        await until(lambda: time.monotonic() > killed_at + 2 * LEASE_S, what="two leases of the held job")
        is_over.set()
        ends.append(await client.wait(held_id, timeout_s=30))
        events = [json.loads(line) for line in await events_of(client.redis, KEYS)]

    assert {end.state for end in ends} == {JobState.SUCCEEDED}
    announced = Counter(event["job_id"] for event in events if event["event"] == "job.succeeded")
    assert {*acknowledged, held_id} <= announced.keys()
    assert set(announced.values()) == {1}
    assert runs[held_id] == 1
    assert max(calls_s) < SUBMIT_WITHIN_S


async def test_clients_and_workers_leave_a_primary_that_was_demoted_in_place(redis_server: StartServer) -> None:
    """An operator's FAILOVER, or a cloud's: the old primary keeps its connections, the address leads to the new one."""
    old, new = (redis_server(config={"repl-diskless-sync-delay": "0"}) for _ in range(2))
    is_over = asyncio.Event()

    async def held(ctx: dict[str, Any]) -> None:
        del ctx
        await is_over.wait()

    async with (
        Redis.from_url(old.url) as first,
        Redis.from_url(new.url) as second,
        TcpProxy(old.port) as address,
    ):
        await second.execute_command("REPLICAOF", "127.0.0.1", old.port)
        await until(lambda: _has_link(second), what="the replica's link")
        settings = ClientSettings(redis_url=f"redis://127.0.0.1:{address.port}", environment=KEYS.environment)
        pool = StreamPool.over(open_redis(settings), environment=KEYS.environment)
        async with Client(settings) as client, running_worker("", KEYS, [func(held, name="held")], pool=pool) as worker:
            running = (await client.submit("held", {})).job_id
            await until(lambda: worker.executor.running, what="the running job")

            await first.execute_command("FAILOVER")
            await until(lambda: _is_replica(first), what="the old primary's demotion")
            address.target_port = new.port
            is_over.set()
            waiting = (await client.submit("held", {})).job_id
            ends = [await client.wait(job_id, timeout_s=30) for job_id in (running, waiting)]
            events = [json.loads(line) for line in await events_of(second, KEYS)]

    assert {end.state for end in ends} == {JobState.SUCCEEDED}
    announced = [event["job_id"] for event in events if event["event"] == "job.succeeded"]
    assert sorted(announced) == sorted((running, waiting))


async def _has_link(replica: Redis) -> bool:
    return (await replica.info("replication")).get("master_link_status") == "up"


async def _is_replica(server: Redis) -> bool:
    return (await server.info("replication"))["role"] == "slave"


async def test_every_way_to_dial_asks_the_sentinels(settings: ClientSettings) -> None:
    manager = Sentinel(list(settings.address.hosts), sentinel_kwargs={"password": PASSWORD})
    arq_made = SentinelConnectionPool(SERVICE, manager)  # as arq's create_pool does

    async with open_redis(settings) as redis:
        assert await redis.ping()
        assert blocking_twin(cast("ConnectionPool", redis.connection_pool), timeout_s=5).ping()
    with open_blocking_redis(settings, timeout_s=5) as blocking:
        assert blocking.ping()
    assert blocking_twin(arq_made, timeout_s=5).ping()
    await asyncio.gather(*(cast("Any", client).aclose() for client in manager.sentinels))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            (f"={PASSWORD}", "=wrong"),
            RedisUnsuitable,
            "refuses the password: put it into REDIS_URL",
        ),
        ((f"/{SERVICE}", "/nobody"), RedisUnreachable, "no Sentinel names a primary of 'nobody': .* does not know it"),
    ],
)
async def test_sentinels_without_a_usable_reply_are_named(
    settings: ClientSettings,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str],
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.setattr(connection, "ATTEMPTS_OF_A_FAILOVER", 1)
    wrong = dataclasses.replace(settings, redis_url=settings.redis_url.replace(*change))

    with pytest.raises(error, match=said), redis_errors(wrong):
        async with open_redis(wrong) as redis:
            await redis.ping()
