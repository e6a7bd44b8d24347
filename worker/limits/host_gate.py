"""Limits the number and pace of scans of a host across all workers: scans must not overload a site.

A host has ``slots`` for concurrent scans, and a gap passes between two starts; enter_host.lua decides. A scan waits in
its worker for a while, and is then requeued in favour of a scan of another host (``HostBusy``); the more scans are
requeued, the later each returns (ops/decisions/0014-scans-sent-away-from-a-host.md). A slot is a lease that is renewed
while the scan runs (``producer/redis/lease.py``), so that a killed worker does not block a host for long. A host that
sends Retry-After (429, 503) is closed to all workers until then (close_host.lua).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from random import random
from time import monotonic
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis

from producer.client.controls_view import LIMITS, Control
from producer.contract import ScanRequest
from producer.contract.addresses import host_of, site_of
from producer.contract.fixes import TriedFix
from producer.errors import HostBusy, Paused
from producer.keys import Keys
from producer.redis.lease import kept
from producer.redis.scripts import Arg, load_script, run_script
from worker.scan.fixes.wanted import FixEngine, Wanted
from worker.scan.settings import Audit, BeforeLoad, Engine, Secrets, no_pause
from worker.telemetry import note_failure

CLOSE: Final = load_script("worker.limits", "close_host")
ENTER: Final = load_script("worker.limits", "enter_host")
LEAVE: Final = load_script("worker.limits", "leave_host")
HOLD_S: Final = 30.0
"""Lifetime of a slot without renewal, after which a killed worker's slot is free."""
RENEWALS_PER_HOLD: Final = 3
PATIENCE_S: Final = 30.0
"""Longest wait of a scan inside its worker, where it blocks scans of other hosts."""
LOOK_AGAIN_S: Final = 2.0
"""Time within which a waiting scan notices a pause or new limits of its host."""
AWAY_S: Final = 3_600.0
"""Longest time for which a scan is requeued because of others, which may have been cancelled meanwhile."""
WAITS_S: Final = 600.0
"""Longest total wait for a page whose host sends Retry-After."""
LEAST_COST_S: Final = 30.0
"""Least time that each wait counts for: a page whose host always asks for one second is loaded twenty times."""
SUM_KEPT_S: Final = 7_200.0
"""Time after a wait for which the total is kept: a requeued scan may stay away for an hour."""
BACK_WITHIN_S: Final = 2.0
"""Time after a wait over which the waiting scans spread their return."""

log = structlog.get_logger()


@dataclass(frozen=True)
class HostGate:
    """The slots of all hosts, for one worker."""

    redis: Redis
    keys: Keys
    _: KW_ONLY
    slots: int
    gap_ms: int
    hold_s: float = HOLD_S
    patience_s: float = PATIENCE_S
    random: Callable[[], float] = random

    @asynccontextmanager
    async def slot(
        self, host: str, *, site: str = "", gap_ms: int = 0, still_wanted: Callable[[], None] = no_pause
    ) -> AsyncGenerator[None]:
        """Wait for a slot of ``host`` and hold it; starts are ``gap_ms`` apart, or the gate's own gap if that is more.

        Limits that an operator set for the host (``sightline limits``) replace the gate's. While it waits,
        ``still_wanted`` is called every two seconds; what it raises ends the wait.

        Raises ``HostBusy`` if no slot was free for a while, ``Paused`` if host or ``site`` is paused; Redis errors pass
        through.
        """
        token = secrets.token_hex(8)
        named = (self.keys.host_slots, self.keys.host_began, self.keys.host_away, self.keys.host_closed)
        keys = (*(key(host) for key in named), self.keys.controls)
        args = (
            token,
            self.slots,
            self.gap_ms,
            int(self.hold_s * 1000),
            Control("host", host).field,
            Control("site", site or host).field,
            Control(LIMITS, host).field,
            gap_ms,
        )
        await self._enter(host, keys, args, still_wanted)

        async def renew() -> None:
            await self._ask(keys, args, left_s=None)

        release = partial(run_script, self.redis, LEAVE, keys[:1], (token,))
        failed = partial(note_failure, "host-slot")
        async with kept(renew, every_s=self.hold_s / RENEWALS_PER_HOLD, release=release, on_error=failed):
            yield

    async def close(self, host: str, *, page: str, wait_s: float) -> float:
        """Start no scan of ``host`` for ``wait_s``, and raise ``HostBusy``: the scan of ``page`` is retried after that.

        Returns the total wait for the page so far, in s, if another wait would be too long in total.
        """
        waited = self.keys.host_waited(host, hashlib.sha256(page.encode()).hexdigest()[:32])
        times = (max(1.0, wait_s), max(LEAST_COST_S, wait_s), WAITS_S, SUM_KEPT_S)
        keys, args = (self.keys.host_closed(host), waited), [int(time_s * 1000) for time_s in times]
        left_ms, waited_ms = await run_script(self.redis, CLOSE, keys, args)
        if left_ms < 0:
            return waited_ms / 1000
        log.info("host.closed", host=host, wait_s=left_ms / 1000, waited_s=waited_ms / 1000)
        msg = f"host {host!r} asks clients to wait for {wait_s:,.0f} s"
        raise HostBusy(msg, delay_s=left_ms / 1000 + self.random() * BACK_WITHIN_S)

    async def _enter(
        self, host: str, keys: Sequence[str], args: Sequence[Arg], still_wanted: Callable[[], None]
    ) -> None:
        began = monotonic()
        while True:
            still_wanted()
            left_s = self.patience_s - (monotonic() - began)
            wait_s, spread_s = await self._ask(keys, args, left_s=left_s)
            if not wait_s:
                return
            if wait_s > left_s:
                msg = f"host {host!r} has no free slot now: this scan waits for one"
                # Waiting scans return one after the other, not all at once.
                raise HostBusy(msg, delay_s=wait_s + self.random() * spread_s)
            await asyncio.sleep(min(wait_s, LOOK_AGAIN_S))

    async def _ask(self, keys: Sequence[str], args: Sequence[Arg], *, left_s: float | None) -> tuple[float, float]:
        """Return the pause before asking again, 0 with a slot, and the time over which requeued scans spread out.

        A running scan does not wait (None): if it has lost its slot, it continues and asks again.
        """
        left_ms = -1 if left_s is None else int(left_s * 1000)
        times = (left_ms, int(self.patience_s * 1000), int(AWAY_S * 1000))
        about, names = args[:4], args[4:]
        wait_ms, spread_ms = await run_script(self.redis, ENTER, keys, (*about, *times, *names))
        if wait_ms < 0:
            raise Paused(str(names[spread_ms]))
        return wait_ms / 1000, spread_ms / 1000


class ScanningEngine(Engine, FixEngine, Protocol):
    """Scans pages, and tries changes on them."""


@dataclass(frozen=True)
class PoliteEngine:
    """A scan engine that waits for a slot of the page's host before it loads the page."""

    engine: ScanningEngine
    gate: HostGate

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
        before_load: BeforeLoad | None = None,
    ) -> Audit:
        """Return the engine's result; inline HTML has no host and does not wait. Raises ``HostBusy``, ``Paused``."""
        url = request.url or ""
        host, check = host_of(url), _with_host(before_load, url)
        if not host:
            return await self.engine.audit(request, secrets=secrets, on_progress=on_progress, before_load=check)
        if on_progress is not None:
            on_progress("waiting for the host")
        async with self.gate.slot(host, site=site_of(url), gap_ms=request.host_gap_ms, still_wanted=check):
            audit = await self.engine.audit(request, secrets=secrets, on_progress=on_progress, before_load=check)
            if audit.come_again_s is None:
                return audit
            waited_s = await self.gate.close(host, page=url, wait_s=audit.come_again_s)
        again = ", again" if waited_s else ""
        reason = f"{audit.result.reason}{again}: the total wait for a page is limited to {WAITS_S:,.0f} s"
        return replace(audit, result=audit.result.revised(reason=reason))

    async def try_fixes(
        self,
        request: ScanRequest,
        wanted: Sequence[Wanted],
        *,
        secrets: Secrets | None = None,
        before_load: BeforeLoad | None = None,
    ) -> tuple[TriedFix, ...]:
        """Return the engine's result. Raises ``HostBusy``, ``Paused``."""
        url = request.url or ""
        host, check = host_of(url), _with_host(before_load, url)
        if not host:
            return await self.engine.try_fixes(request, wanted, secrets=secrets, before_load=check)
        async with self.gate.slot(host, site=site_of(url), gap_ms=request.host_gap_ms, still_wanted=check):
            return await self.engine.try_fixes(request, wanted, secrets=secrets, before_load=check)


def _with_host(before_load: BeforeLoad | None, url: str) -> BeforeLoad:
    """Return the check, extended by pauses of the page's host and site; inline HTML has neither."""
    named = (Control("host", host_of(url)).field, Control("site", site_of(url)).field) if url else ()
    return partial(before_load or no_pause, *named)
