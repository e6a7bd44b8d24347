"""The trend of a site: totals by day (UTC) in ``site:<host>``, which finish.lua updates. Kept permanently."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

from redis.asyncio import Redis

from producer.keys import Keys

_DAY_CHARS: Final = len("2026-11-29")


@dataclasses.dataclass(frozen=True, slots=True)
class Day:
    """Totals of one day (UTC) over the scans of a site: elements with a barrier, by impact.

    ``new`` and ``fixed`` count elements by page; ``barriers_new`` counts the site's component barriers that appeared or
    came back, ``barriers_mended`` those that its last page has lost. Days of earlier releases lack these.
    """

    day: str
    scans: int = 0
    unread: int = 0
    critical: int = 0
    serious: int = 0
    moderate: int = 0
    minor: int = 0
    new: int = 0
    fixed: int = 0
    barriers_new: int = 0
    barriers_mended: int = 0

    @property
    def per_page(self) -> float:
        """Barriers per scanned page, so that days with more scans do not look worse."""
        read = self.scans - self.unread
        return (self.critical + self.serious + self.moderate + self.minor) / read if read > 0 else 0.0


async def site_trend(redis: Redis, keys: Keys, host: str, *, since_ms: int = 0, newest: int | None = None) -> list[Day]:
    """Return the days of ``host`` ('' for all sites) since ``since_ms``, oldest first; at most ``newest`` of them."""
    fields = await cast("Any", redis).hgetall(keys.site(host))
    since = datetime.fromtimestamp(since_ms / 1000, tz=UTC).date().isoformat()
    if newest is not None:  # years of days take longer to read than the page to make
        days = sorted({name[:_DAY_CHARS] for name in fields})[-newest:]
        fields = {name: value for name, value in fields.items() if name[:_DAY_CHARS] >= days[0]}
    return parse_days({name.decode(): value.decode() for name, value in fields.items()}, since=since)


async def recent_scans(
    redis: Redis, keys: Keys, hosts: Sequence[str], *, today: date, days: int
) -> list[tuple[int, int, str]]:
    """Return for each host its scans in ``days`` days, those that loaded no page, and the last day ('' for none)."""
    names = [(today - timedelta(days=ago)).isoformat() for ago in range(days)]
    async with redis.pipeline(transaction=False) as pipe:
        for host in hosts:
            pipe.hmget(keys.site(host), [f"{day}:{what}" for what in ("scans", "unread") for day in names])
        rows = await pipe.execute() if hosts else []
    found: list[tuple[int, int, str]] = []
    for row in rows:
        scans, unread = ([int(count or 0) for count in part] for part in (row[:days], row[days:]))
        found.append(
            (sum(scans), sum(unread), next((day for day, count in zip(names, scans, strict=True) if count), ""))
        )
    return found


def parse_days(fields: Mapping[str, str], *, since: str) -> list[Day]:
    """Return the days in the fields of ``site:<host>``, beginning with ``since`` (``yyyy-mm-dd``)."""
    days: defaultdict[str, dict[str, int]] = defaultdict(dict)
    counted = {field.name for field in dataclasses.fields(Day)} - {"day"}
    for name, value in fields.items():
        day, _, what = name.partition(":")
        if what in counted and day >= since:
            days[day][what] = int(value)
    return [Day(day, **counts) for day, counts in sorted(days.items())]
