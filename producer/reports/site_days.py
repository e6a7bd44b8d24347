"""The trend of a site: totals by day (UTC) in ``site:<host>``, which finish.lua updates. Kept permanently."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from redis.asyncio import Redis

from producer.keys import Keys


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


async def site_trend(redis: Redis, keys: Keys, host: str, *, since_ms: int = 0) -> list[Day]:
    """Return the days of ``host`` ('' for all sites) since ``since_ms``, oldest first."""
    fields = await cast("Any", redis).hgetall(keys.site(host))
    since = datetime.fromtimestamp(since_ms / 1000, tz=UTC).date().isoformat()
    return parse_days({name.decode(): value.decode() for name, value in fields.items()}, since=since)


def parse_days(fields: Mapping[str, str], *, since: str) -> list[Day]:
    """Return the days in the fields of ``site:<host>``, from ``since`` (``yyyy-mm-dd``) on."""
    days: defaultdict[str, dict[str, int]] = defaultdict(dict)
    counted = {field.name for field in dataclasses.fields(Day)} - {"day"}
    for name, value in fields.items():
        day, _, what = name.partition(":")
        if what in counted and day >= since:
            days[day][what] = int(value)
    return [Day(day, **counts) for day, counts in sorted(days.items())]
