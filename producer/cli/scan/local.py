"""``--local``: a client of a Redis and a worker that live for one run (``worker/own_redis/local.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Final, Protocol, TypeAlias, TypeVar

from producer.contract.distribution import has_worker, install_hint
from producer.errors import DependencyMissing, ServiceError

GROUP: Final = "sightline.local"
LOOKED_AT_EVERY_S: Final = 0.2

T = TypeVar("T")


class Service(Protocol):
    """What runs for one run."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The variables of its client."""
        ...

    def why_dead(self) -> str | None:
        """Return why its worker has ended, None while it lives."""
        ...


def start(environ: Mapping[str, str], urls: Iterable[str]) -> AbstractContextManager[Service]:
    """Return what starts and ends it; raises ``DependencyMissing`` where the worker's package is not installed."""
    found = next(iter(entry_points(group=GROUP)), None) if has_worker() else None
    try:
        # Not `found.load()`: the statement's function may be the one that `sightline.names` gives to this module.
        make = getattr(__import__(found.module, fromlist=[""]), found.attr) if found else None
    except ModuleNotFoundError:
        make = None
    if make is None:
        raise DependencyMissing(f"--local runs a worker on this machine: {install_hint('worker')}")
    return make(environ, urls)


WhyDead: TypeAlias = Callable[[], str | None]
"""Says what has ended, and how; None while it lives."""


async def while_it_lives(why_dead: WhyDead, action: Awaitable[T]) -> T:
    """Return what ``action`` returns; raises ``ServiceError`` where what it needs has ended before."""
    task = asyncio.ensure_future(action)
    try:
        while not (await asyncio.wait({task}, timeout=LOOKED_AT_EVERY_S))[0]:
            if (words := why_dead()) is not None:
                raise ServiceError(words)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
