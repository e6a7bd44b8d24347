"""What the rows about the queue share: the measured server, and one row of results.

Every measurement of contenders begins on an empty Redis. Methods in words: README.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from contenders import SIGHTLINE, Contender
from redis import Redis

STARTED: Final = "bench:started"
POLL_S: Final = 0.002
DEADLINE_S: Final = 120.0
SETTLED_S: Final = 2.0


@dataclass
class Row:
    """One row: a value per contender, and whether Sightline's meets its targets."""

    title: str
    unit: str
    values: dict[str, str] = field(default_factory=dict[str, str])
    targets: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])


@dataclass(frozen=True)
class Bench:
    """The server, and how much to measure."""

    url: str
    redis: Redis
    rounds: int
    contenders: tuple[Contender, ...] = (SIGHTLINE,)
    """Those that this machine can run."""

    def fresh(self) -> None:
        """Empty Redis."""
        self.redis.flushall()

    def each(self, contenders: Iterable[Contender], measure: Callable[[Contender], Any]) -> dict[str, list[Any]]:
        """Return the results of ``measure`` in each round, by contender."""
        found: dict[str, list[Any]] = {contender.name: [] for contender in contenders}
        for _ in range(self.rounds):
            for contender in contenders:
                self.fresh()
                found[contender.name].append(measure(contender))
        return found

    def until(self, holds: Callable[[], bool], *, what: str, deadline_s: float = DEADLINE_S) -> float:
        """Return the monotonic time at which ``holds`` became true."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            if holds():
                return time.monotonic()
            time.sleep(POLL_S)
        msg = f"not within {deadline_s:g} s: {what}"
        raise TimeoutError(msg)

    def noted(self, name: str) -> list[float]:
        """Return the workers' notes."""
        return [float(row) for row in cast("list[bytes]", self.redis.lrange(name, 0, -1))]

    def await_workers(self, count: int) -> None:
        """Return once ``count`` workers have started."""
        self.until(lambda: len(self.noted(STARTED)) >= count, what=f"{count} started workers", deadline_s=30)


def others(values: Mapping[str, float]) -> dict[str, float]:
    """Return the peers' values."""
    return {name: value for name, value in values.items() if name != SIGHTLINE.name}


def used_bytes(redis: Redis) -> int:
    """Return what Redis uses, once it has not fallen for ``SETTLED_S``: Redis shrinks its tables gradually."""
    lowest, settled_at = _used(redis), time.monotonic()
    while time.monotonic() - settled_at < SETTLED_S:
        time.sleep(0.2)
        used = _used(redis)
        if used < lowest:
            lowest, settled_at = used, time.monotonic()
    return lowest


def _used(redis: Redis) -> int:
    return int(cast("dict[str, Any]", redis.info("memory"))["used_memory"])
