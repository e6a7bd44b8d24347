"""A planned failover (FAILOVER, or a managed Redis behind a name) keeps the connections to the old primary."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from arq.worker import func
from redis import Redis as BlockingRedis
from redis.exceptions import ReadOnlyError

from producer.client.client import Client
from producer.errors import RedisUnreachable, Unconfirmed
from producer.redis import script_pipe
from producer.redis.connection import open_blocking_redis, open_redis
from producer.redis.raw_connection import ReplyLost
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Script
from producer.settings import ClientSettings
from worker.own_redis.server import EmbeddedRedis
from worker.queue.arq_pool import StreamPool, connections_of
from worker.queue.arq_worker import ArqWorker

_TEXT = "return redis.call('INCR', KEYS[1])"
WAIT_S = 60
COUNT = Script("test", _TEXT, hashlib.sha1(_TEXT.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest


class Sentinel:
    """Names the server at ``port`` as the primary."""

    port = 0

    async def reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(1_000):
            port = str(self.port)
            named = f"*2\r\n$9\r\n127.0.0.1\r\n${len(port)}\r\n{port}\r\n" if b"GET-MASTER" in asked else ""
            writer.write((named or "+OK\r\n" * asked.count(b"*")).encode())


@asynccontextmanager
async def sentinel() -> AsyncGenerator[tuple[Sentinel, ClientSettings]]:
    stub = Sentinel()
    server = await asyncio.start_server(stub.reply, "127.0.0.1", 0)
    try:
        yield stub, ClientSettings(redis_url=f"redis+sentinel://127.0.0.1:{server.sockets[0].getsockname()[1]}/main")
    finally:
        server.close()


@asynccontextmanager
async def servers(
    tmp_path: Path, *, named_after_s: float = 0.0
) -> AsyncGenerator[tuple[Callable[[], Awaitable[None]], ClientSettings]]:
    """Start a primary and a replica; yield the failover between them, and settings that name their Sentinel.

    The Sentinel names the new primary ``named_after_s`` later.
    """
    config = {"repl-diskless-sync-delay": "0"}
    with (
        EmbeddedRedis(tmp_path / "old", config=config, die_with_parent=True) as old,
        EmbeddedRedis(tmp_path / "new", config=config, die_with_parent=True) as new,
    ):
        async with sentinel() as (stub, settings):
            stub.port = old.port

            async def fail_over() -> None:
                await asyncio.to_thread(_fail_over, old, new)
                if named_after_s:
                    asyncio.get_running_loop().call_later(named_after_s, setattr, stub, "port", new.port)
                else:
                    stub.port = new.port

            yield fail_over, settings


async def test_connections_to_a_demoted_server_are_dialled_again(tmp_path: Path) -> None:
    async with servers(tmp_path) as (fail_over, settings):
        redis, blocking = open_redis(settings), open_blocking_redis(settings, timeout_s=5)
        running, many, calling = (ScriptPipe(connections_of(redis)) for _ in range(3))
        await running.run(COUNT, ["k"], [])
        await many.run_many(COUNT, [(["k"], [])])
        await calling.call(COUNT, ["k"], [])
        await redis.incr("k")
        await asyncio.to_thread(blocking.incr, "k")
        await fail_over()

        # Sent again at once, since a refused write took no effect.
        replies = [
            await running.run(COUNT, ["k"], []),
            *await many.run_many(COUNT, [(["k"], [])]),
            await redis.incr("k"),
        ]
        calls: list[Callable[[], Any]] = [
            lambda: calling.call(COUNT, ["k"], []),
            lambda: asyncio.to_thread(blocking.incr, "k"),
        ]
        for call in calls:
            with pytest.raises(ReadOnlyError):
                await call()
            replies.append(await call())

        assert replies == [6, 7, 8, 9, 10]
        await running.close()
        await many.close()
        await calling.close()
        await redis.aclose()
        blocking.close()


async def test_scripts_wait_until_the_sentinels_name_the_new_primary(tmp_path: Path) -> None:
    async with servers(tmp_path, named_after_s=1.0) as (fail_over, settings):
        redis = open_redis(settings)
        running, many = ScriptPipe(connections_of(redis)), ScriptPipe(connections_of(redis))
        await running.run(COUNT, ["k"], [])
        await many.run_many(COUNT, [(["k"], [])])
        await fail_over()

        replies = await asyncio.gather(running.run(COUNT, ["k"], []), many.run_many(COUNT, [(["k"], []), (["k"], [])]))

        assert sorted([replies[0], *replies[1]]) == [3, 4, 5]
        await running.close()
        await many.close()
        await redis.aclose()


async def test_a_failover_that_names_no_new_primary_in_time_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with servers(tmp_path, named_after_s=WAIT_S) as (fail_over, settings), Client(settings) as client:
        await client.submit("add", {"a": 1})
        await fail_over()
        monkeypatch.setattr(script_pipe, "REPLY_S", 0.5)

        with pytest.raises(RedisUnreachable, match="is read-only, as during a failover: try again") as refused:
            await client.submit("add", {"a": 1})

        assert not isinstance(refused.value, Unconfirmed)


async def test_a_batch_that_redis_refused_in_part_is_sent_again_whole_and_its_loss_says_that_some_may_have_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "if ARGV[1] == 'read' then return redis.call('GET', KEYS[1]) end return redis.call('INCR', KEYS[1])"
    script = Script("test", text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324  EVALSHA's own digest
    calls = [(["k"], ["write"]), (["k"], ["read"]), (["k"], ["write"])]
    async with servers(tmp_path, named_after_s=2.0) as (fail_over, settings):
        redis = open_redis(settings)
        many = ScriptPipe(connections_of(redis))
        await many.run_many(script, calls)
        await fail_over()

        with monkeypatch.context() as impatient:
            impatient.setattr(script_pipe, "REPLY_S", 0.5)
            with pytest.raises(ReplyLost, match="became read-only"):
                await many.run_many(script, calls)
        replies = await many.run_many(script, calls)

        assert replies == [3, b"3", 4]
        await many.close()
        await redis.aclose()


async def test_a_worker_outlives_a_planned_failover_and_keeps_its_jobs(tmp_path: Path) -> None:
    has_begun = asyncio.Event()

    async def waits(ctx: dict[Any, Any], time_s: float) -> str:
        has_begun.set()
        await asyncio.sleep(time_s)
        return str(ctx["job_id"])

    async with servers(tmp_path) as (fail_over, settings):
        pool, own = (StreamPool.over(open_redis(settings), environment="demoted") for _ in range(2))
        worker = ArqWorker(
            [func(waits, name="waits")], redis_pool=own, environment="demoted", handle_signals=False, lease_s=2
        )
        task = asyncio.create_task(worker.main())
        held = await pool.enqueue_job("waits", 6)
        assert held
        await asyncio.wait_for(has_begun.wait(), WAIT_S)

        await fail_over()
        after = await pool.enqueue_job("waits", 0)

        assert after
        assert await after.result(timeout=WAIT_S) == after.job_id
        assert await held.result(timeout=WAIT_S) == held.job_id
        ended = await held.result_info()
        assert ended
        assert ended.job_try == 1
        await worker.close()
        await task
        await pool.aclose()


def _fail_over(old: EmbeddedRedis, new: EmbeddedRedis) -> None:
    with BlockingRedis.from_url(new.url) as to, BlockingRedis.from_url(old.url) as client:
        to.execute_command("REPLICAOF", "127.0.0.1", old.port)
        _wait(lambda: cast("Any", to.info("replication"))["master_link_status"] == "up")
        client.execute_command("FAILOVER")
        _wait(lambda: cast("Any", to.info("replication"))["role"] == "master")
        _wait(lambda: cast("Any", client.info("replication"))["role"] == "slave")


def _wait(is_so: Any) -> None:
    until_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.05)
