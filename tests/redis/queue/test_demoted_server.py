"""A planned failover (FAILOVER, or a managed Redis behind a name) keeps the connections to the old primary."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from redis import Redis as BlockingRedis
from redis.exceptions import ReadOnlyError

from producer.redis.connection import open_blocking_redis, open_redis
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Script
from producer.settings import ClientSettings
from worker.own_redis.server import EmbeddedRedis
from worker.queue.arq_pool import connections_of

_TEXT = "return redis.call('INCR', KEYS[1])"
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


async def test_connections_to_a_demoted_server_are_dialled_again(tmp_path: Path) -> None:
    config = {"repl-diskless-sync-delay": "0"}
    with (
        EmbeddedRedis(tmp_path / "old", config=config, die_with_parent=True) as old,
        EmbeddedRedis(tmp_path / "new", config=config, die_with_parent=True) as new,
    ):
        async with sentinel() as (stub, settings):
            stub.port = old.port
            redis, blocking = open_redis(settings), await asyncio.to_thread(open_blocking_redis, settings, timeout_s=5)
            running, calling = ScriptPipe(connections_of(redis)), ScriptPipe(connections_of(redis))
            await running.run(COUNT, ["k"], [])
            await calling.call(COUNT, ["k"], [])
            await redis.incr("k")
            await asyncio.to_thread(blocking.incr, "k")
            await asyncio.to_thread(_fail_over, old, new)
            stub.port = new.port

            replies = [await running.run(COUNT, ["k"], [])]  # once more at once: it took no effect
            for call in (
                lambda: calling.call(COUNT, ["k"], []),
                lambda: redis.incr("k"),
                lambda: asyncio.to_thread(blocking.incr, "k"),
            ):
                try:
                    refused = await cast("Any", call)()
                except ReadOnlyError:
                    refused = None
                assert refused is None
                replies.append(await cast("Any", call)())

            assert replies == [5, 6, 7, 8]
            await running.close()
            await calling.close()
            await redis.aclose()
            blocking.close()


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
