"""Checks the health of hosts: an unhealthy host gets no calls until it passes a check.

Each check is made by one worker (``gpu_probe.lua``): every 5 s while a host is up, every second while it is down, and
at once after a failed call. The first failed check stops grants; the second also cancels calls in progress, because a
hung host never ends them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producer.client.gpu_view import LoadedModel
from producer.errors import ModelError
from producer.keys import Keys
from worker.gpu.hosts import Host
from worker.gpu.scripts import PoolScripts, note_silence

EARLY_S: Final = 0.5
"""Minimum interval of checks triggered by failed calls, even if a host drops all of them."""
REPORT_KEPT_S: Final = 60
"""Lifetime of a report; the same as that of the pool's other keys."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HostReport:
    """Health check of a host that replies; ``missing`` are models that workers need and the host lacks.

    ``notes`` are shortcomings of its Ollama and models, each with advice.
    """

    loaded: tuple[LoadedModel, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Probe = Callable[[Host], Awaitable[HostReport]]
"""Checks one host; raises ``ModelError`` if it is unhealthy. Must have its own timeout."""


@dataclass(frozen=True)
class HealthRounds:
    """Checks ``hosts``, taking turns with the other workers."""

    scripts: PoolScripts
    hosts: Sequence[Host]
    probe: Probe | None
    _: KW_ONLY
    redis: Redis
    keys: Keys
    every_s: float

    async def run(self) -> None:
        """Make the checks that are due, until cancelled."""
        while self.probe is not None:
            await asyncio.sleep(self.every_s)
            await self.check(self.hosts)

    async def check(self, hosts: Sequence[Host], *, early_s: float | None = None) -> None:
        """Check the ``hosts`` that are due, or with ``early_s`` those not checked for that long.

        Stops if Redis does not reply.
        """
        if self.probe is None or not hosts:
            return
        try:
            mine = await self.scripts.take_probes(hosts, early_s=early_s)
            await asyncio.gather(*(self._check_one(host, self.probe) for host in hosts if host.name in mine))
        except (RedisError, OSError) as error:
            note_silence("health", error)

    async def _check_one(self, host: Host, probe: Probe) -> None:
        try:
            found, reason = await probe(host), ""
        except ModelError as error:
            found, reason = HostReport(), " ".join(str(error).split())[:200]
        changed, fails = await self.scripts.report(host.name, reason=reason)
        if changed and reason:
            log.warning("gpu.host_set_aside", host=host.name, reason=reason)
        elif changed:
            log.info("gpu.host_back", host=host.name)
        elif reason:
            log.debug("gpu.host_still_down", host=host.name, fails=fails, reason=reason)
        await self._note(host, found)

    async def _note(self, host: Host, found: HostReport) -> None:
        call = cast("Any", self.redis)
        async with call.pipeline(transaction=False) as pipe:
            pipe.hset(
                self.keys.gpu_loaded,
                host.name,
                json.dumps({name: value for name, value in asdict(found).items() if value or name != "notes"}),
            )
            pipe.expire(self.keys.gpu_loaded, REPORT_KEPT_S)
            await pipe.execute()
