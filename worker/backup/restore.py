"""Puts a backup into an empty Redis: for as long as the transfer takes, that Redis is a replica of this process.

Redis itself loads the snapshot, so indexes, times to live and modules' data are restored unchanged, and its append-only
file is rewritten. Nothing is overwritten: a Redis with a key or an index in it is refused.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from producer.errors import RedisUnsuitable, ServiceError
from producer.redis.scripts import as_text
from producer.reports.plain_text import counted
from worker.backup.folder import Manifest
from worker.backup.replication_source import Offer

CALL_BACK_WITHIN_S: Final = 20.0
STANDSTILL_S: Final = 120.0
"""Time without progress. A large history takes much longer in all, since its vectors are indexed as it loads."""
SILENCE_S: Final = 1_800.0
"""Time in which a Redis that indexes vectors may answer no one; one that has ended refuses the connection."""
AWAY_S: Final = 5.0
"""A Redis that cannot parse a snapshot exits."""
POLL_S: Final = 0.05
NEEDED_MODULES: Final = frozenset({"search", "ReJSON"})
_AS_BEFORE: Final = (
    "once it answers, run redis-cli REPLICAOF NO ONE, and CONFIG SET masterauth and masteruser to what they were"
)
STEPS: Final = ("master_sync_read_bytes", "loading_loaded_bytes", "current_save_keys_processed")
"""Fields of INFO that grow while Redis receives a snapshot, loads it, and writes its append-only file."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The contents of Redis after a restore."""

    keys: int
    indexes: int


def check_target(redis: Redis, manifest: Manifest) -> None:
    """Raise ``RedisUnsuitable`` unless this Redis is empty, a primary, and can read the backup."""
    info = {**_info(redis, "server"), **_info(redis, "replication"), **_info(redis, "cluster")}
    if info["role"] != "master" or int(info.get("cluster_enabled", 0)):
        msg = "this Redis is a replica or part of a cluster: restore into a single primary (redis-cli REPLICAOF NO ONE)"
        raise RedisUnsuitable(msg)
    if version_of(info["redis_version"]) < version_of(manifest.redis_version):
        made_by, this = manifest.redis_version, info["redis_version"]
        msg = f"the backup was made by Redis {made_by}, and this Redis is only {this}: upgrade it"
        raise RedisUnsuitable(msg)
    missing = NEEDED_MODULES.intersection(manifest.modules).difference(modules_of(redis))
    if missing:
        msg = f"this Redis lacks {', '.join(sorted(missing))}, which the backup needs: use redis:8 or Redis Stack"
        raise RedisUnsuitable(msg)
    keys, indexes = int(cast("Any", redis.dbsize())), indexes_of(redis)
    if keys or indexes:
        held = f"{counted(keys, 'key')}, {counted(len(indexes), 'index', 'indexes')}"
        msg = (
            f"this Redis is not empty ({held}), and a restore overwrites nothing: "
            f"stop all workers, then start Redis on a new data folder, or empty it yourself with FLUSHALL"
        )
        raise RedisUnsuitable(msg)


def restore(redis: Redis, offer: Offer, *, address: str) -> Restored:
    """Let this Redis load the snapshot of ``offer`` at ``address``; returns once it is loaded, indexed and on disk.

    Raises ``ServiceError`` if it does not connect or cannot load it; it is then an empty primary again, or the message
    says how to make it one.
    """
    with _replicating(redis, offer, address):
        _until(
            offer.called.is_set,
            within_s=CALL_BACK_WITHIN_S,
            what=f"Redis did not connect to {address}:{offer.port}: run restore where it can (in Compose: docker "
            f"compose run --rm worker sightline restore DIR), or name this machine as Redis sees it with --address",
        )
        _until(
            lambda: _is_loaded(redis, offer),
            within_s=STANDSTILL_S,
            what="Redis stopped loading: see its log",
            progress=partial(_progress, redis),
        )
    _until(
        lambda: _is_on_disk(redis),
        within_s=STANDSTILL_S,
        what="the append-only file is not written: see its log",
        progress=partial(_progress, redis),
    )
    indexes = indexes_of(redis)
    for name in indexes:
        _await_index(redis, name)
    return Restored(int(cast("Any", redis.dbsize())), len(indexes))


def own_address(redis: Redis) -> str:
    """Return this machine's address as seen from its connection to Redis."""
    connection: Any = redis.connection_pool.get_connection()
    try:
        sock: socket.socket = connection._sock  # noqa: SLF001  redis-py has no public name for it
        return "127.0.0.1" if sock.family == socket.AF_UNIX else sock.getsockname()[0]
    finally:
        redis.connection_pool.release(connection)


def modules_of(redis: Redis) -> tuple[str, ...]:
    """Return the names of the loaded modules."""
    loaded = cast("list[dict[Any, Any]]", redis.module_list())
    names = [module.get("name") or module.get(b"name") for module in loaded]
    return tuple(sorted(map(as_text, names)))


def indexes_of(redis: Redis) -> list[str]:
    """Return the names of the search indexes; none without the search module."""
    try:
        names = cast("list[bytes]", redis.execute_command("FT._LIST"))
    except ResponseError:
        return []
    return [name.decode() for name in names]


def _await_index(redis: Redis, name: str) -> None:
    """Wait until the index is complete: a hundred thousand vectors take half an hour."""
    share = -1.0
    while share < 1:
        _until(
            partial(_has_grown, redis, name, share),
            within_s=STANDSTILL_S,
            what=f"building the index {name!r} makes no progress: see Redis's log",
        )
        share = _indexed(redis, name)


def _has_grown(redis: Redis, name: str, share: float) -> bool:
    return _indexed(redis, name) > share


@contextmanager
def _replicating(redis: Redis, offer: Offer, address: str) -> Generator[None]:
    """Make this Redis a replica of ``offer`` inside the block, and a primary with its old settings afterwards."""
    before = {name: _setting(redis, name) for name in ("masterauth", "masteruser")}
    try:
        redis.config_set("masterauth", offer.token)
        redis.config_set("masteruser", "")
        redis.execute_command("REPLICAOF", address, offer.port)
        yield
    finally:
        with suppress(RedisConnectionError, OSError):  # a restarted Redis is a primary with the settings of its file
            try:
                redis.execute_command("REPLICAOF", "NO", "ONE")
                for name, value in before.items():
                    redis.config_set(name, value)
            except (BusyLoadingError, RedisTimeoutError, ResponseError) as error:
                msg = f"Redis may still be a replica of this program, which ends now ({error}): {_AS_BEFORE}"
                raise ServiceError(msg) from error


def _setting(redis: Redis, name: str) -> str:
    values = cast("dict[Any, Any]", redis.config_get(name))
    value = next(iter(values.values()), b"")
    return as_text(value)


def _is_loaded(redis: Redis, offer: Offer) -> bool:
    if offer.failed.is_set():
        msg = "Redis could not load the backup; its log says why. Redis is empty again"
        raise ServiceError(msg)
    about = _info(redis, "replication")
    return offer.sent.is_set() and about.get("master_link_status") == "up"


def _is_on_disk(redis: Redis) -> bool:
    about = _info(redis, "persistence")
    waiting = ("loading", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    return not any(int(about.get(name, 0)) for name in waiting)


def _indexed(redis: Redis, name: str) -> float:
    rows = cast("list[Any]", redis.execute_command("FT.INFO", name))
    about = dict(zip(rows[::2], rows[1::2], strict=False))
    return float(about.get(b"percent_indexed", 1))


def _progress(redis: Redis) -> list[object]:
    about = {**_info(redis, "replication"), **_info(redis, "persistence")}
    return [about.get(name) for name in STEPS]


def _until(
    is_so: Callable[[], bool], *, within_s: float, what: str, progress: Callable[[], object] = lambda: None
) -> None:
    """Wait until ``is_so``; raises ``ServiceError`` after ``within_s`` without a change of ``progress``."""
    heard = moved = time.monotonic()
    seen: object = None
    while time.monotonic() < moved + within_s:
        try:
            if is_so():
                return
            now = progress()
            heard = time.monotonic()
            if now != seen:
                seen, moved = now, heard
        except BusyLoadingError:
            heard = time.monotonic()
        except RedisTimeoutError:  # Redis indexes vectors while it loads, and answers no one meanwhile
            moved = time.monotonic()
            if moved > heard + SILENCE_S:
                break
        except (RedisError, OSError):
            if time.monotonic() > heard + AWAY_S:
                msg = f"Redis exited, or did not answer for {AWAY_S:.0f} s: its log says why it cannot load the backup"
                raise ServiceError(msg) from None
        time.sleep(POLL_S)
    raise ServiceError(what)


def _info(redis: Redis, section: str) -> dict[str, Any]:
    return cast("dict[str, Any]", redis.info(section))


def version_of(text: object) -> tuple[int, ...]:
    """Return the major and minor number, for comparisons. Pure."""
    return tuple(int(part) for part in str(text).split(".")[:2] if part.isdecimal())
