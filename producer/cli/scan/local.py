"""``--local``: a client of a Redis and a worker started for one run (``worker/own_redis/local.py``)."""

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
    """The service started for one run."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables for its clients."""
        ...

    def why_dead(self) -> str | None:
        """Return why its worker has exited, None while it runs."""
        ...


def start(environ: Mapping[str, str], urls: Iterable[str]) -> AbstractContextManager[Service]:
    """Return a context that runs the service; raises ``DependencyMissing`` if the worker's package is not installed."""
    found = next(iter(entry_points(group=GROUP)), None) if has_worker() else None
    try:
        # Not `found.load()`: that would use the import function that `sightline.names` may give to this module.
        make = getattr(__import__(found.module, fromlist=[""]), found.attr) if found else None
    except ModuleNotFoundError:
        make = None
    if make is None:
        raise DependencyMissing(f"--local runs a worker on this machine: {install_hint('worker')}")
    return make(environ, urls)


WhyDead: TypeAlias = Callable[[], str | None]
"""Returns what has exited and how, or None while everything runs."""


async def while_it_lives(why_dead: WhyDead, action: Awaitable[T]) -> T:
    """Return what ``action`` returns; raises ``ServiceError`` if something it needs exits first."""
    task = asyncio.ensure_future(action)
    try:
        while not (await asyncio.wait({task}, timeout=LOOKED_AT_EVERY_S))[0]:
            if (words := why_dead()) is not None:
                raise ServiceError(words)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
