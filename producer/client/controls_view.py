"""Reads pauses, drains and limits. ``producer/stored/controls.py`` sets them and describes their effect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.client.limits_view import HostLimits
    from producer.keys import Keys

PAUSED: Final = ("lane", "batch", "host", "site")
"""Kinds of things that can be paused."""
WORKER: Final = "worker"
"""Kind of a worker's control: it is drained."""
LIMITS: Final = "limits"
"""Kind of a host's limits."""


@dataclass(frozen=True, slots=True)
class Control:
    """A pause, a worker's drain, or a host's limits.

    ``by`` is the user who set it, ``at_ms`` the time by the user's clock.
    """

    kind: str
    name: str
    at_ms: int = 0
    by: str = ""
    limits: HostLimits | None = None

    @property
    def field(self) -> str:
        """The name of its hash field in Redis."""
        return f"{self.kind}:{self.name}"


async def read_controls(redis: Redis, keys: Keys) -> tuple[Control, ...]:
    """Return the pauses, drains and limits by kind and name; none for a user without permission."""
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  a command's help needs no Redis

    try:
        fields = await cast("Any", redis).hgetall(keys.controls)
    except NoPermissionError:
        return ()
    return tuple(sorted((control_of(name, value) for name, value in fields.items()), key=lambda one: one.field))


def control_of(name: bytes, value: bytes) -> Control:
    """Decode a stored control; with an invalid value, such as one written by hand, it is still in force."""
    kind, _, rest = name.decode("utf-8", "replace").partition(":")
    limits = None
    if kind == LIMITS:
        from producer.client.limits_view import HostLimits  # noqa: PLC0415  few environments have any

        limits = HostLimits.of(value)
    try:
        about = json.loads(value)
        return Control(kind, rest, int(about["at_ms"]), str(about["by"]), limits)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Control(kind, rest, limits=limits)
