"""What ``sightline backup`` and ``sightline restore`` do, in the order in which they do it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import click
from redis import Redis

from producer.errors import InputError
from producer.redis.connection import CONNECT_TIMEOUT_S, redis_errors
from producer.settings import ClientSettings
from worker.backup import folder as folders
from worker.backup.folder import Manifest
from worker.backup.replication_source import Offer
from worker.backup.restore import check_target, modules_of, own_address, restore
from worker.backup.snapshot import receive

MIB: Final = 1 << 20
ANSWER_WITHIN_S: Final = 30.0


def make_backup(folder: Path) -> None:
    """Write the backup and say what it holds."""
    with open_redis() as redis:
        about = cast("dict[str, Any]", redis.info("server"))
        keys, modules = int(cast("Any", redis.dbsize())), modules_of(redis)
        folders.prepare(folder)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        size, digest = folders.keep(folder, receive(redis))
        folders.seal(folder, Manifest(made_at, str(about["redis_version"]), modules, keys, size, digest))
    click.echo(f"{folder}: about {keys:,} keys, {size / MIB:,.1f} MiB, SHA-256 {digest[:16]}…")


def put_back(folder: Path, *, address: str, port: int) -> None:
    """Check the backup and the Redis, restore the one into the other, and say what is there now."""
    manifest = folders.check(folder)
    with open_redis() as redis:
        check_target(redis, manifest)
        seen_as = address or own_address(redis)
        try:
            offer = Offer(folder / folders.SNAPSHOT, host=own_address(redis) if not address else "0.0.0.0", port=port)  # noqa: S104  asked for, and behind a token
        except OSError as error:
            msg = f"port {port} cannot be listened on ({error.strerror}): give another one"
            raise InputError(msg) from None
        with offer:
            restored = restore(redis, offer, address=seen_as)
    click.echo(
        f"restored {restored.keys:,} keys and {restored.indexes} indexes of {manifest.made_at} "
        f"(the backup had about {manifest.keys:,} keys; what has expired since is gone)"
    )


@contextmanager
def open_redis() -> Generator[Redis]:
    """Give a blocking client of REDIS_URL; redis-py's errors become ours."""
    settings = ClientSettings.from_env(os.environ)
    with (
        redis_errors(settings),
        Redis.from_url(
            settings.redis_url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_WITHIN_S
        ) as redis,
    ):
        redis.ping()
        yield redis
