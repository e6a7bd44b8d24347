"""Durable submits: a WAITAOF after the script, on the same connection.

WAITAOF only covers writes of its own connection and returns at once on a fresh one. So the script and the wait are sent
together, both are repeated after a lost connection, and submit.lua always writes. Redis 7.4 with ``appendfsync
everysec`` acknowledges without an fsync (redis pull request 13793, fixed in 8.0), so that combination is refused before
anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from producer.errors import NotDurable
from producer.redis.dial import asks_sentinels
from producer.redis.script_pipe import ScriptPipe
from producer.redis.scripts import Arg, Script, as_text

WAIT_MS: Final = 10_000
"""Longest wait for the disk; a slower fsync indicates a faulty disk."""
_WAIT: Final = pack_command(cast("Any", ("WAITAOF", 1, 0, WAIT_MS)))
_WAIT_FOR_REPLICA: Final = pack_command(cast("Any", ("WAITAOF", 1, 1, WAIT_MS)))
"""With Sentinel, an acknowledged write is also on a replica's disk: a dead primary's disk is of no use."""
_TRUSTED_EVERYSEC: Final = (8, 0)


async def check_durable(redis: Redis) -> None:
    """Check that Redis acknowledges only what is on disk; raises ``NotDurable`` with the setting to change.

    Raises redis-py's ``ResponseError`` if Redis refuses commands because it cannot write.
    """
    client = cast("Any", redis)
    try:
        config = await client.config_get("append*")
    except ResponseError as error:
        if "MISCONF" in str(error):
            raise
        msg = f"durable=True: cannot read how Redis persists data ({error}): permit CONFIG GET to this user"
        raise NotDurable(msg) from None
    values = {as_text(name): as_text(value) for name, value in config.items()}
    version = as_text((await client.info("server"))["redis_version"])
    problem = durability_problem(values.get("appendonly", ""), values.get("appendfsync", ""), version)
    if problem:
        raise NotDurable(f"durable=True: {problem}")


def durability_problem(appendonly: str, appendfsync: str, version: str) -> str:
    """Return why WAITAOF is unreliable under this configuration and what to change; '' if it is reliable."""
    if appendonly != "yes":
        return "Redis keeps no append-only file: set 'appendonly yes'"
    if appendfsync == "always":
        return ""
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if appendfsync == "everysec" and number >= _TRUSTED_EVERYSEC:
        return ""
    return (
        f"Redis {version} with 'appendfsync {appendfsync}' may acknowledge what is not on disk yet "
        f"(redis 13793): set 'appendfsync always', or submit without durable"
    )


async def run_durably(redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Arg], *, what: str) -> Any:
    """Run submit.lua and return its reply once the job is on disk; a refusal, which writes nothing, at once.

    Raises ``NotDurable`` if that takes longer than ``WAIT_MS`` or Redis cannot tell; the job is queued nevertheless.
    """
    pool = cast("ConnectionPool", redis.connection_pool)
    replicas = int(asks_sentinels(pool))
    pipe = ScriptPipe(pool)  # a separate one, since WAITAOF blocks later commands
    try:
        reply, synced = await pipe.run_many(script, [(keys, args)], then=_WAIT_FOR_REPLICA if replicas else _WAIT)
    finally:
        await pipe.close()
    if isinstance(reply, Exception):
        raise reply
    if reply[0] not in {b"created", b"duplicate"}:
        return reply
    if isinstance(synced, Exception):
        msg = f"{what} is queued, but Redis cannot confirm that it is on disk: {synced}"
        raise NotDurable(msg)
    if int(synced[0]) < 1:
        msg = f"{what} is queued, but Redis did not sync it to disk within {WAIT_MS // 1000} s: check its disk"
        raise NotDurable(msg)
    if int(synced[1]) < replicas:
        msg = (
            f"{what} is queued, but no replica had it on disk within {WAIT_MS // 1000} s, so a failover now could "
            f"lose it: check the replicas (INFO replication) and their appendonly setting"
        )
        raise NotDurable(msg)
    return reply
