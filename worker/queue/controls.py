"""A worker's view of pauses and drains, read from Redis every second.

A pause is a field of a hash (``producer/stored/controls.py``). Pauses of hosts and sites are checked by enter_host.lua
when a scan starts; all are checked here once more before its page is loaded. Next: ``loop.py``, which checks before it
claims a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.client.controls_view import WORKER, Control
from producer.client.queue_view import consumers
from producer.errors import Paused
from producer.keys import Keys
from producer.redis.raw_connection import replied
from producer.stored.controls import lift
from worker.queue.delivery import Delivery

LOOK_EVERY_S: Final = 1.0
DRAIN_EVERY_S: Final = 0.05

log = structlog.get_logger()


async def lift_drains_of_the_gone(redis: Redis, keys: Keys) -> list[str]:
    """End the drains of workers that were killed; returns their names. Raises redis-py's errors.

    Such a worker has no heartbeat, and ``reap_consumers`` has removed it from all lanes. Safe to call twice.
    """
    names = await cast("Awaitable[list[bytes]]", redis.hkeys(keys.controls))
    prefix = f"{WORKER}:".encode()
    drained = [name.removeprefix(prefix).decode("utf-8", "replace") for name in names if name.startswith(prefix)]
    silent = [name for name in drained if not await redis.exists(keys.worker(name))]
    known = await consumers(redis, keys) if silent else ()
    gone = [name for name in silent if name not in known]
    for name in gone:
        await lift(redis, keys, Control(WORKER, name), event="dropped")
    return gone


class Heeds(Protocol):
    """The worker's loop, which reacts to changes."""

    async def heed_controls(self) -> None: ...  # noqa: D102  described by the class

    @property
    def is_idle(self) -> bool: ...  # noqa: D102  as above


class Controls:
    """The controls of an environment; none before the first read, the last known ones while Redis is unreachable.

    ``fields`` are the names of pauses (``lane:batch``, ``batch:nightly``); the loop and the executor read them.
    """

    def __init__(self, redis: Redis, keys: Keys, *, worker: str) -> None:
        self._redis = redis
        self._keys = keys
        self._own = Control(WORKER, worker)
        self.fields: frozenset[str] = frozenset()
        self.is_draining = False
        """Whether this worker claims no more jobs and exits once its jobs are done."""

    def check(self, delivery: Delivery, *others: str) -> None:
        """Raise ``Paused`` if the delivery's batch or lane, or one of ``others`` (fields), is paused."""
        if field := delivery.pause_in(self.fields, *others):
            raise Paused(field)

    async def look(self) -> bool:
        """Read the controls; returns whether they changed. Raises redis-py's errors."""
        names = await replied(cast("Awaitable[list[bytes]]", self._redis.hkeys(self._keys.controls)))
        before, self.fields = self.fields, frozenset(name.decode("utf-8", "replace") for name in names)
        self.is_draining = self._own.field in self.fields
        return before != self.fields

    async def watch(self, loop: Heeds) -> None:
        """Read every second and let ``loop`` react to changes; returns once this worker is drained and idle."""
        while True:
            try:
                if await self.look():
                    await loop.heed_controls()  # first: once it is logged, no read waits in a paused lane
                    log.info("controls.changed", controls=sorted(self.fields)[:20], draining=self.is_draining)
                if self.is_draining and loop.is_idle:
                    await lift(self._redis, self._keys, self._own, event="drained")
                    return
            except (RedisError, OSError) as error:
                log.warning("controls.not_read", error=str(error))
            await asyncio.sleep(DRAIN_EVERY_S if self.is_draining else LOOK_EVERY_S)
