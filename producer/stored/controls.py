"""Pauses lanes, batches, hosts and sites, drains workers, and limits hosts, for all workers of an environment.

A paused job waits in the scheduled set, without using an attempt, until the pause ends; running jobs continue. Every
second, each worker reads the pauses of lanes and batches and its own drain (``worker/queue/controls.py``);
enter_host.lua checks hosts, their limits and sites when a scan is about to begin.
"""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from producer.client.controls_view import LIMITS, PAUSED, Control
from producer.client.limits_view import HostLimits
from producer.contract import Lane, check_job_id
from producer.contract.addresses import host_of, site_of
from producer.contract.hosts import check_host_pattern
from producer.errors import InputError
from producer.redis.scripts import load_script, run_script

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.keys import Keys

CONTROL: Final = load_script("producer.stored", "control")
WOKEN_AT_ONCE: Final = 2_000


def control_of(kind: str, name: str) -> Control:
    """Return the control for a kind and name given by a person; raises ``InputError`` for an invalid name."""
    if kind == "lane" and name not in set(Lane):
        raise InputError(f"no lane {name!r}: expected one of {', '.join(Lane)}")
    if kind == "batch":
        check_job_id(name, what="batch")
    if kind in {"host", "site", LIMITS}:
        address = name if "://" in name else f"http://{name}"
        try:
            host = check_host_pattern(host_of(address))
        except ValueError:
            host = "*"
        if "*" in host:
            wanted = "site" if kind == "site" else "host"
            raise InputError(f"{name[:100]!r} is not a {wanted}: expected one such as 'shop.example'")
        name = site_of(address) if kind == "site" else host
    return Control(kind, name)


async def put(redis: Redis, keys: Keys, control: Control) -> bool:
    """Pause or drain; returns False if nothing changed. Raises redis-py's errors."""
    event = "paused" if control.kind in PAUSED else "draining"
    changed, _ = await _change(redis, keys, control, _asked(), event=event)
    return changed


async def limit(redis: Redis, keys: Keys, control: Control, limits: HostLimits) -> bool:
    """Replace a host's limits; returns False if nothing changed. Raises redis-py's errors."""
    wanted = {name: value for name, value in asdict(limits).items() if value is not None}
    before = await cast("Any", redis).hget(keys.controls, control.field)
    if before is not None and HostLimits.of(before) == limits:
        return False
    changed, _ = await _change(redis, keys, control, {**_asked(), **wanted}, event="limited", more=wanted)
    return changed


async def lift(redis: Redis, keys: Keys, control: Control, *, event: str = "resumed") -> bool:
    """End a control and wake the jobs that wait for it; returns False if there was none. Raises redis-py's errors."""
    event = "unlimited" if control.kind == LIMITS else event
    changed, left = await _change(redis, keys, control, None, event=event)
    while left:
        _, left = await _change(redis, keys, control, None, event=event)
    return changed


def _asked() -> dict[str, object]:
    return {"at_ms": int(time.time() * 1000), "by": f"{_user()}@{socket.gethostname()}"}


async def _change(
    redis: Redis,
    keys: Keys,
    control: Control,
    about: Mapping[str, object] | None,
    *,
    event: str,
    more: Mapping[str, object] | None = None,
) -> tuple[bool, int]:
    line = {"v": 1, "event": f"control.{event}", "what": control.kind, "name": control.name}
    line |= {"by": (about or _asked())["by"], **(more or {})}
    names = (keys.controls, keys.events, keys.parked(control.field))
    scheduled = (keys.scheduled_in(Lane.BATCH), keys.scheduled_in(Lane.ASSESS))
    args = (control.field, json.dumps(about) if about else "", json.dumps(line), keys.events_live, WOKEN_AT_ONCE)
    args = (*args, "1" if control.kind == LIMITS else "")
    changed, left = await run_script(redis, CONTROL, (*names, *scheduled), args)
    return bool(changed), left


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
