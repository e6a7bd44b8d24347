"""The dates when component barriers were first seen, read from ``barrier:<issue_id>``, which each scan updates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.keys import Keys

AT_ONCE: Final = 1_000
"""Component barriers read per round trip."""


@dataclass(frozen=True, slots=True)
class ComponentDates:
    """Redis times, ms. ``since_ms`` is later than ``first_ms`` if the barrier was fixed and came back."""

    first_ms: int
    since_ms: int

    @property
    def text(self) -> str:
        """``since 3 November 2026``, or the date of its return."""
        since = day_of(self.since_ms)
        if day_of(self.first_ms) == since:
            return f"since {since}"
        return f"back since {since}, first seen {day_of(self.first_ms)}"


def day_of(at_ms: int) -> str:
    """Return the day (UTC) as ``3 November 2026``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%-d %B %Y")


async def read_dates(redis: Redis, keys: Keys, issue_ids: Iterable[str], *, today_ms: int) -> dict[str, ComponentDates]:
    """Return the known dates; empty if all were first seen on the day of ``today_ms`` (UTC)."""
    wanted = iter(dict.fromkeys(issue_ids))
    found: dict[str, ComponentDates] = {}
    while some := list(islice(wanted, AT_ONCE)):
        async with redis.pipeline(transaction=False) as pipe:
            for issue_id in some:
                cast("Any", pipe).hmget(keys.barrier(issue_id), ["first_ms", "since_ms"])
            rows: list[Any] = await pipe.execute()
        dated = [(issue_id, row) for issue_id, row in zip(some, rows, strict=True) if all(row)]
        found |= {issue_id: ComponentDates(int(first), int(since)) for issue_id, (first, since) in dated}
    today = day_of(today_ms)
    return found if any(day_of(one.first_ms) != today for one in found.values()) else {}
