"""Proves that a backup can be restored: a Redis of our own loads it, and what its indexes are of is counted.

Counted by keys: to index a hundred thousand vectors takes many times as long as to load them, and proves nothing more.

The server lives in a folder of its own for as long as that takes, needs as much memory as the data does, and reads the
snapshot where it lies. Next: ``folder.py``, which looks at manifest and digest first.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

from producer.errors import InputError, RedisUnsuitable
from worker.backup import folder as folders
from worker.backup.folder import Manifest
from worker.backup.restore import indexes_of, version_of
from worker.own_redis.server import EmbeddedRedis

NEWEST: Final = (7, 4)
"""The embedded Redis: it cannot read what a newer one wrote."""
SCANNED_TOGETHER: Final = 5_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a Redis had after it loaded the backup. ``documents`` are the keys that each index is of."""

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
    prefixes = {name: _prefixes(redis, name) for name in indexes_of(redis)}
    documents = Counter[str](dict.fromkeys(prefixes, 0))
    for key in redis.scan_iter(count=SCANNED_TOGETHER):
        documents.update(name for name, own in prefixes.items() if key.startswith(own))
    return Verified(manifest, int(cast("Any", redis.dbsize())), dict(documents))


def _prefixes(redis: Redis, index: str) -> tuple[bytes, ...]:
    rows = cast("list[Any]", redis.execute_command("FT.INFO", index))
    definition = dict(zip(rows[::2], rows[1::2], strict=False))[b"index_definition"]
    return tuple(dict(zip(definition[::2], definition[1::2], strict=False))[b"prefixes"])


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
