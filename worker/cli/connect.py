"""Reads a worker's settings from the environment, and connects to their Redis."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys
    from worker.settings import WorkerSettings

T = TypeVar("T")


def read_settings(*, level: Literal["warning", "error"] = "warning") -> WorkerSettings:
    """Return the settings; events of ``level`` and above go to stderr as text. Raises ``SettingsError``."""
    from worker.settings import WorkerSettings
    from worker.telemetry import configure_logging

    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level=level, form="console")
    return settings


def with_redis(
    settings: WorkerSettings,
    action: Callable[[WorkerSettings, Redis, Keys], Awaitable[T]],
    *,
    doubt: Callable[[], str] | None = None,
) -> T:
    """Run ``action`` on the settings' Redis; raises ``ServiceError`` in place of the errors of redis-py and RedisVL.

    A Redis that does not reply for half a minute is such an error; ``doubt`` says what may have taken effect by then;
    None: nothing. Ctrl-C cancels it and raises KeyboardInterrupt.
    """
    import asyncio

    from producer.keys import Keys
    from producer.redis.connection import open_redis, redis_errors
    from worker.memory.vectors.indexes import search_errors

    async def act() -> T:
        with redis_errors(settings, doubt):
            async with open_redis(settings, gives_up=True) as redis, search_errors():
                return await action(settings, redis, Keys(settings.environment))

    try:
        return asyncio.run(act())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
