"""The Redis server: version, search and JSON, eviction, disk, memory. Facts are read first, then judged.

Needs only INFO, COMMAND INFO and CONFIG GET; if the server refuses CONFIG GET, the open questions become warnings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from producer.client.durability import durability_problem
from producer.settings import ClientSettings
from worker.doctor.line import Line, error, ok, warning
from worker.memory.vectors.indexes import as_text

OLDEST: Final = (7, 4)
"""Vectors of 16 bits came with its search module, 2.10; WAITAOF came with 7.2, script flags with 7.0."""
TIGHT_SHARE: Final = 0.7
"""Share of maxmemory: a busy night below the share at which submits are refused."""
MIB: Final = 1 << 20
_MODULES: Final = {"search": "FT.SEARCH", "JSON": "JSON.SET"}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server's facts: ``missing`` modules; ``appendfsync``, '' if it may not be read; sizes in bytes."""

    version: str
    role: str
    missing: tuple[str, ...]
    policy: str
    used: int
    limit: int
    keeps_aof: bool
    appendfsync: str
    write_failure: str


async def read_facts(redis: Redis) -> ServerFacts:
    """Read the facts; raises redis-py's errors."""
    info: dict[str, Any] = {}
    for section in ("server", "replication", "memory", "persistence"):
        info |= await redis.info(section)
    known = await cast("Any", redis).execute_command("COMMAND INFO", *_MODULES.values())
    writes = {"aof_last_write_status": "append-only file", "aof_last_bgrewrite_status": "its rewrite"}
    writes |= {"rdb_last_bgsave_status": "snapshot"}
    return ServerFacts(
        version=str(info["redis_version"]),
        role=str(info.get("role", "")),
        missing=tuple(name for name, found in zip(_MODULES, known, strict=True) if not found),
        policy=str(info.get("maxmemory_policy", "")),
        used=int(info.get("used_memory", 0)),
        limit=int(info.get("maxmemory", 0)),
        keeps_aof=bool(int(info.get("aof_enabled", 0))),
        appendfsync=await _appendfsync(redis),
        write_failure=", ".join(what for name, what in writes.items() if info.get(name, "ok") != "ok"),
    )


async def _appendfsync(redis: Redis) -> str:
    try:
        values = await cast("Any", redis).config_get("appendfsync")
    except (NoPermissionError, ResponseError):
        return ""
    return next((as_text(value) for value in values.values()), "")


def server_lines(facts: ServerFacts) -> list[Line]:
    """Return the lines for ``facts``, one per subject."""
    return [_version(facts), _modules(facts), _eviction(facts), _disk(facts), _memory(facts)]


def _version(facts: ServerFacts) -> Line:
    number = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdecimal())
    if facts.role not in {"master", ""}:
        return error("redis", f"it is a {facts.role}, which accepts no writes", "point REDIS_URL at the primary")
    if number < OLDEST:
        return error("redis", f"version {facts.version} lacks required features", "use redis:8, or Redis Stack 7.4")
    return ok("redis", f"version {facts.version} answers")


def _modules(facts: ServerFacts) -> Line:
    if not facts.missing:
        return ok("modules", "search and JSON are available")
    names = " and ".join(facts.missing)
    todo = "use redis:8 or Redis Stack, or let 'sightline up' install one"
    return error("modules", f"{names} missing: history, memories and conversations need them", todo)


def _eviction(facts: ServerFacts) -> Line:
    if facts.policy == "noeviction":
        return ok("eviction", "noeviction: a full Redis refuses new jobs and drops nothing")
    text = f"maxmemory-policy is {facts.policy!r}: "
    todo = "set 'maxmemory-policy noeviction' in redis.conf and with CONFIG SET"
    if not facts.limit:
        return warning("eviction", f"{text}once maxmemory is set, a full Redis drops keys", todo)
    if facts.policy.startswith("volatile-"):
        loss = "a full Redis drops results, conversations and secrets of scans before their time"
        return error("eviction", text + loss, todo)
    return error("eviction", f"{text}a full Redis drops waiting jobs and history", todo)


def _disk(facts: ServerFacts) -> Line:
    if facts.write_failure:
        return error(
            "disk", f"the last write failed: {facts.write_failure}", "check Redis's log and its free disk space"
        )
    if not facts.keeps_aof:
        text = "no append-only file: a restart loses waiting jobs and history"
        return error("disk", text, "set 'appendonly yes' in redis.conf and with CONFIG SET")
    if not facts.appendfsync:
        todo = "permit CONFIG GET to this user, or ask Redis's operator for appendfsync"
        return warning("disk", "there is an append-only file; its appendfsync cannot be read", todo)
    problem = durability_problem("yes", facts.appendfsync, facts.version)
    if problem:
        return warning(
            "disk", f"{problem.partition(': set')[0]}: durable submits are refused", "set 'appendfsync always'"
        )
    return ok("disk", f"append-only file, appendfsync {facts.appendfsync}")


def _memory(facts: ServerFacts) -> Line:
    used = f"{facts.used / MIB:,.0f} MiB used"
    if not facts.limit:
        todo = "set maxmemory, so that submits are refused before the machine is out of memory"
        return warning("memory", f"{used}, without a limit", todo)
    share = facts.used / facts.limit
    text = f"{used} of {facts.limit / MIB:,.0f} ({share:.0%})"
    todo = "raise maxmemory, or free some: sightline history prune --older-than '1 year'"
    if share > ClientSettings.memory_limit_share:
        refused = f"over {ClientSettings.memory_limit_share:.0%}, submits are refused"
        return error("memory", f"{text}: {refused}", todo)
    if share > TIGHT_SHARE:
        return warning("memory", f"{text}: submits are refused above {ClientSettings.memory_limit_share:.0%}", todo)
    return ok("memory", text)
