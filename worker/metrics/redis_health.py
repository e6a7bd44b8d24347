"""The health of Redis: memory and disk, age of the newest backup, remaining time of its certificate.

Next: ``shared.py``, which serves them.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from prometheus_client.core import Metric
from redis.asyncio import Redis

from producer.keys import Keys
from producer.stored.backups import age_s

_DISK: Final = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """One reading; memory in bytes, limit 0 means none. None: there is no backup, or no encryption."""

    memory_used: int
    memory_limit: int
    writes_ok: bool
    backup_age_s: float | None
    certificate_left_s: float | None


async def read_health(redis: Redis, keys: Keys) -> RedisHealth:
    """Read the facts in one round trip. Raises redis-py's errors."""
    call = cast("Any", redis)
    async with call.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.info("memory")
        pipe.info("persistence")
        pipe.hgetall(keys.backup)
        (seconds, _), memory, disk, backup = await pipe.execute()
    ends = certificate_end(await peer_certificate(redis))
    return RedisHealth(
        memory_used=int(memory["used_memory"]),
        memory_limit=int(memory.get("maxmemory", 0)),
        writes_ok=all(disk.get(name, "ok") == "ok" for name in _DISK),
        backup_age_s=age_s(backup, now_ms=seconds * 1000),
        certificate_left_s=None if ends is None else ends - seconds,
    )


async def peer_certificate(redis: Redis) -> Mapping[str, Any]:
    """Return the certificate that Redis presented to a connection of the pool; empty if none was checked."""
    pool = cast("Any", redis.connection_pool)
    connection: Any = await pool.get_connection()
    try:
        writer = connection._writer  # noqa: SLF001  redis-py does not expose it
        tls = None if writer is None else writer.get_extra_info("ssl_object")
        return {} if tls is None else tls.getpeercert() or {}
    finally:
        await pool.release(connection)


def certificate_end(certificate: Mapping[str, Any]) -> float | None:
    """Return the certificate's expiry in Unix time. Pure."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else None


def health_families(gauge: Callable[..., Metric], health: RedisHealth) -> Iterator[Metric]:
    """Yield the metrics of ``health``. Pure."""
    yield gauge("redis_memory_bytes", "Memory that Redis uses", {(): health.memory_used})
    yield gauge("redis_memory_limit_bytes", "maxmemory of Redis; 0 means none", {(): health.memory_limit})
    yield gauge("redis_writes_ok", "Whether the last write to Redis's disk succeeded", {(): float(health.writes_ok)})
    age = {} if health.backup_age_s is None else {(): health.backup_age_s}
    yield gauge("backup_age_seconds", "Age of the newest 'sightline backup'; missing if there is none", age)
    left = {} if health.certificate_left_s is None else {(): health.certificate_left_s}
    yield gauge("redis_certificate_seconds", "Time until the certificate of a TLS Redis expires", left)
