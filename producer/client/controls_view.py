"""Looks at what is paused or drained. Who does so, and what heeds it: ``producer/stored/controls.py``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from producer.client.limits_view import LIMITS, HostLimits

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys

PAUSED: Final = ("lane", "batch", "host", "site")
"""Kinds of what can be paused."""
WORKER: Final = "worker"
"""Kind of a worker's control: it is drained."""


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that is paused, a worker that is drained, or a host with limits.

    ``by`` is who asked, ``at_ms`` when by their clock.
    """

    kind: str
    name: str
    at_ms: int = 0
    by: str = ""
    limits: HostLimits | None = None

    @property
    def field(self) -> str:
        """Its name in Redis."""
        return f"{self.kind}:{self.name}"


async def read_controls(redis: Redis, keys: Keys) -> tuple[Control, ...]:
    """Return what is paused, drained or limited, by kind and name; nothing for a user who may not see it."""
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  a command's help needs no Redis

    try:
        fields = await cast("Any", redis).hgetall(keys.controls)
    except NoPermissionError:
        return ()
    return tuple(sorted((_read(name, value) for name, value in fields.items()), key=lambda one: one.field))


def _read(name: bytes, value: bytes) -> Control:
    kind, _, rest = name.decode("utf-8", "replace").partition(":")
    limits = HostLimits.of(value) if kind == LIMITS else None
    try:
        about = json.loads(value)
        return Control(kind, rest, int(about["at_ms"]), str(about["by"]), limits)
    except (ValueError, KeyError, TypeError):  # written by hand: it holds all the same
        return Control(kind, rest, limits=limits)
