"""What is paused or drained, as one worker knows it: looked up every second, whatever else the worker does.

A pause is a field of a hash (``producer/stored/controls.py``). Hosts and sites are not looked up here: enter_host.lua
does that when a scan wants to begin. Next: ``loop.py``, which asks before it takes a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.client.controls_view import WORKER, Control
from producer.keys import Keys
from producer.stored.controls import lift

LOOK_EVERY_S: Final = 1.0
DRAIN_EVERY_S: Final = 0.05

log = structlog.get_logger()


class Heeds(Protocol):
    """What acts on a change: the worker's loop."""

    async def heed_controls(self) -> None: ...  # noqa: D102  the class says it

    @property
    def is_idle(self) -> bool: ...  # noqa: D102  the same


class Controls:
    """The controls of an environment; none before the first look, and the last known ones while Redis is away.

    ``fields`` name what is paused (``lane:batch``, ``batch:nightly``); the loop and the executor look there.
    """

    def __init__(self, redis: Redis, keys: Keys, *, worker: str) -> None:
        self._redis = redis
        self._keys = keys
        self._own = Control(WORKER, worker)
        self.fields: frozenset[str] = frozenset()
        self.is_draining = False
        """Whether this worker takes no more jobs, and ends when those that it has are done."""

    async def look(self) -> bool:
        """Read them; returns whether they changed. Raises redis-py's errors."""
        names = await cast("Awaitable[list[bytes]]", self._redis.hkeys(self._keys.controls))
        before, self.fields = self.fields, frozenset(name.decode("utf-8", "replace") for name in names)
        self.is_draining = self._own.field in self.fields
        return before != self.fields

    async def watch(self, loop: Heeds) -> None:
        """Look every second and have ``loop`` act on changes; returns when this worker was drained and is idle."""
        while True:
            try:
                if await self.look():
                    log.info("controls.changed", controls=sorted(self.fields)[:20], draining=self.is_draining)
                    await loop.heed_controls()
                if self.is_draining and loop.is_idle:
                    await lift(self._redis, self._keys, self._own, event="drained")
                    return
            except (RedisError, OSError) as error:
                log.warning("controls.not_read", error=str(error))
            await asyncio.sleep(DRAIN_EVERY_S if self.is_draining else LOOK_EVERY_S)
