"""Sets hosts aside that do not answer, and takes them back when they do.

Of all workers one makes each check (``gpu_probe.lua``): every 5 s while a host is up, every second while it is down,
and at once when a call to it failed. The first failed check ends grants; after the second, calls in progress are cut
off too, because a hung host never ends them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.client.gpu_view import HostReport
from producer.errors import ModelError
from producer.keys import Keys
from worker.gpu.hosts import Host
from worker.gpu.scripts import PoolScripts

EARLY_S: Final = 0.5
"""Least time between checks asked for by failed calls: a host that drops all of them is checked twice a second."""
REPORT_KEPT_S: Final = 60
"""As long as the pool's other keys."""

log = structlog.get_logger()


Probe = Callable[[Host], Awaitable[HostReport]]
"""Returns what was found on a host; raises ``ModelError`` when it is not fit for work. Bounds its own time."""


class HealthRounds:
    """Checks ``hosts`` in turns with the other workers."""

    def __init__(
        self,
        scripts: PoolScripts,
        hosts: Sequence[Host],
        probe: Probe | None,
        *,
        redis: Redis,
        keys: Keys,
        every_s: float,
    ) -> None:
        self._scripts = scripts
        self._hosts = tuple(hosts)
        self._probe = probe
        self._redis = redis
        self._keys = keys
        self._every_s = every_s

    async def run(self) -> None:
        """Check what is due, for ever."""
        while self._probe is not None:
            await asyncio.sleep(self._every_s)
            await self.round()

    async def round(self) -> None:
        """Check the hosts whose turn it is. A silent Redis ends the round."""
        await self._check(self._hosts, early_s=None)

    async def check_now(self, name: str) -> None:
        """Check one host out of turn, unless it was checked a moment ago."""
        await self._check([host for host in self._hosts if host.name == name], early_s=EARLY_S)

    async def _check(self, hosts: Sequence[Host], *, early_s: float | None) -> None:
        if self._probe is None or not hosts:
            return
        try:
            mine = await self._scripts.take_probes(hosts, early_s=early_s)
            await asyncio.gather(*(self._check_one(host, self._probe) for host in hosts if host.name in mine))
        except (RedisError, OSError) as error:
            log.warning("gpu.redis_silent", step="health", error=str(error))

    async def _check_one(self, host: Host, probe: Probe) -> None:
        try:
            found, reason = await probe(host), ""
        except ModelError as error:
            found, reason = HostReport(), " ".join(str(error).split())[:200]
        changed, fails = await self._scripts.report(host.name, reason=reason)
        if changed and reason:
            log.warning("gpu.host_set_aside", host=host.name, reason=reason)
        elif changed:
            log.info("gpu.host_back", host=host.name)
        elif reason:
            log.debug("gpu.host_still_down", host=host.name, fails=fails, reason=reason)
        await self._note(host, found)

    async def _note(self, host: Host, found: HostReport) -> None:
        call = cast("Any", self._redis)
        async with call.pipeline(transaction=False) as pipe:
            pipe.hset(self._keys.gpu_loaded, host.name, json.dumps(asdict(found)))
            pipe.expire(self._keys.gpu_loaded, REPORT_KEPT_S)
            await pipe.execute()
