"""Proves that a backup can be restored: an embedded Redis loads it, and its scans are counted.

Indexes are left out: indexing a hundred thousand vectors takes many times as long as loading them, and workers create
missing indexes. The server uses a temporary folder, and needs as much memory and disk space as the data. Next:
``folder.py``, which checks the manifest and digest first.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

from producer.errors import InputError, RedisUnsuitable
from worker.backup import folder as folders
from worker.backup.folder import Manifest
from worker.backup.restore import version_of
from worker.backup.without_secrets import CHUNK, SecretFilter
from worker.own_redis.server import EmbeddedRedis

NEWEST: Final = (7, 4)
"""The version of the embedded Redis, which cannot read snapshots of a newer one."""
SCANNED_TOGETHER: Final = 5_000
SCAN: Final = re.compile(rb"sightline:[a-z0-9_-]+:scan:")


@dataclass(frozen=True, slots=True)
class Verified:
    """Contents of a Redis that has loaded the backup; ``scans`` are those of the history, in all environments."""

    manifest: Manifest
    keys: int
    scans: int


def verify(folder: Path) -> Verified:
    """Load the backup in ``folder`` and count its contents. Raises ``InputError`` if that fails or it is damaged."""
    manifest = folders.check(folder)
    if version_of(manifest.redis_version) > NEWEST:
        msg = (
            f"the backup is intact, but it was made by Redis {manifest.redis_version}, which the embedded Redis "
            f"({_text(NEWEST)}) cannot load: restore it into an empty Redis of that version "
            f"(REDIS_URL=… sightline restore {folder})"
        )
        raise RedisUnsuitable(msg)
    with tempfile.TemporaryDirectory(prefix="sightline-verify-") as scratch:
        _copy(folder / folders.SNAPSHOT, Path(scratch) / folders.SNAPSHOT)
        server = EmbeddedRedis(
            Path(scratch), config={"appendonly": "no", "dbfilename": folders.SNAPSHOT}, die_with_parent=True
        )
        try:
            server.start()
        except RedisUnsuitable as error:
            raise InputError(f"{str(folder)!r} is damaged: Redis cannot load it: {error}") from None
        try:
            with Redis.from_url(server.url) as redis:
                scans = sum(1 for key in redis.scan_iter(count=SCANNED_TOGETHER) if SCAN.match(key))
                return Verified(manifest, int(cast("Any", redis.dbsize())), scans)
        finally:
            server.kill()


def _copy(snapshot: Path, copy: Path) -> None:
    try:
        with snapshot.open("rb") as source, copy.open("wb") as target:
            for piece in SecretFilter(iter(partial(source.read, CHUNK), b""), with_indexes=False).pieces():
                target.write(piece)
    except OSError as error:
        raise InputError(f"{str(copy.parent)!r} cannot hold the backup ({error.strerror}): set TMPDIR") from None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
