"""Proves that a backup can be restored: a Redis of our own loads it, indexes it, and counts what is in it.

The server lives in a folder of its own for as long as that takes, needs as much memory as the data does, and reads the
snapshot where it lies. Next: ``folder.py``, which looks at manifest and digest first.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis import Redis

from producer.errors import InputError, RedisUnsuitable
from worker.backup import folder as folders
from worker.backup.folder import Manifest
from worker.backup.restore import indexes_of, until_indexed, version_of
from worker.own_redis.server import EmbeddedRedis

NEWEST = (7, 4)
"""The embedded Redis: it cannot read what a newer one wrote."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a Redis had after it loaded the backup. ``documents`` are by index."""

    manifest: Manifest
    keys: int
    documents: dict[str, int]

    @property
    def scans(self) -> int:
        """Scans of the history, in all environments."""
        return sum(number for name, number in self.documents.items() if name.split(":")[2:3] == ["scans"])


def verify(folder: Path) -> Verified:
    """Load the backup in ``folder`` and count. Raises ``InputError`` for one that is damaged or cannot be loaded."""
    manifest = folders.check(folder)
    if version_of(manifest.redis_version) > NEWEST:
        msg = (
            f"the backup is whole, but of Redis {manifest.redis_version}; the embedded one ({_text(NEWEST)}) cannot "
            f"load it: restore it into an empty Redis of that version (REDIS_URL=… sightline restore {folder})"
        )
        raise RedisUnsuitable(msg)
    with tempfile.TemporaryDirectory(prefix="sightline-verify-") as scratch:
        (Path(scratch) / folders.SNAPSHOT).symlink_to((folder / folders.SNAPSHOT).absolute())
        server = EmbeddedRedis(
            Path(scratch), config={"appendonly": "no", "dbfilename": folders.SNAPSHOT}, die_with_parent=True
        )
        try:
            server.start()
        except RedisUnsuitable as error:
            raise InputError(f"{str(folder)!r} is damaged: Redis cannot load it: {error}") from None
        try:
            with Redis.from_url(server.url) as redis:
                return _count(redis, manifest)
        finally:
            server.kill()


def _count(redis: Redis, manifest: Manifest) -> Verified:
    keys, indexes = int(cast("Any", redis.dbsize())), indexes_of(redis)
    until_indexed(redis, indexes)
    documents = Counter[str]()
    for name in indexes:
        rows = cast("list[Any]", redis.execute_command("FT.INFO", name))
        documents[name] = int(dict(zip(rows[::2], rows[1::2], strict=False))[b"num_docs"])
    return Verified(manifest, keys, dict(documents))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
