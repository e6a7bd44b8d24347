"""Facts about the newest backup: ``sightline backup`` writes them to Redis; the metrics read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from redis import Redis

    from producer.keys import Keys

MADE_MS: Final = b"made_ms"


def age_s(fields: Mapping[bytes, bytes], *, now_ms: int) -> float | None:
    """Return the age of the newest backup, None if there is none. Pure."""
    made = fields.get(MADE_MS, b"")
    return max(0.0, (now_ms - int(made)) / 1000) if made.isdigit() else None


def note_backup(redis: Redis, keys: Keys, *, size: int) -> None:
    """Record that a backup was just made. Raises redis-py's errors."""
    seconds, _ = cast("tuple[int, int]", redis.time())
    about = {MADE_MS: seconds * 1000, b"bytes": size}
    redis.hset(keys.backup, mapping=cast("dict[str | bytes, int]", about))
