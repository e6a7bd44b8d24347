"""The component barriers of a site as counted by workers with each scan: present and fixed.

Reads the index that ``worker/memory/history/barriers.py`` keeps. Unlike a report, it covers every page but has no
selectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, cast

from redis.exceptions import ResponseError

from producer.client.client import Client
from producer.contract import Impact
from producer.errors import InputError, RedisUnsuitable
from producer.redis.connection import redis_errors
from producer.reports.site_days import recent_scans
from producer.trackers.seen import Barrier, Seen

_FIELDS: Final = ("name", "rule", "impact", "pages", "elements", "groups", "host_name", "since_ms")
_DAYS: Final = 400
"""How long ago the last scan of a site is looked for."""
_AT_ONCE: Final = 500
MAX_BARRIERS: Final = 10_000
"""RediSearch's limit for results."""


async def seen_on(client: Client, site: str) -> Seen:
    """Return the component barriers of a site, a host with its port unless that is the default.

    Raises ``InputError`` if none are known, ``RedisUnsuitable`` if this user of Redis may not search.
    """
    host = site.strip().lower().removeprefix("www.")
    query = f"@site:{{{sha256(host.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}}}"
    barriers: dict[str, Barrier] = {}
    mended: set[str] = set()
    with redis_errors(client.settings, None):
        seconds, micros = await cast("Any", client.redis).time()
        for first in range(0, MAX_BARRIERS, _AT_ONCE):
            rows = await _rows(client, query, first)
            for issue_id, fields in rows:
                one = _barrier(issue_id, fields)
                if one.pages:
                    barriers[issue_id] = one
                else:
                    mended.add(issue_id)
            if len(rows) < _AT_ONCE:
                break
        scanned_ms = await _scanned_ms(client, host, datetime.fromtimestamp(int(seconds), tz=UTC).date())
    if not barriers and not mended:
        env = client.settings.environment
        msg = f"no component barrier of {site!r} is known in environment {env!r}: expected a scanned site"
        raise InputError(f"{msg}, such as shop.example or localhost:3000")
    at_ms = int(seconds) * 1000 + int(micros) // 1000
    return Seen(at_ms, barriers, mended=frozenset(mended), is_history=True, scanned_ms=scanned_ms)


async def _scanned_ms(client: Client, host: str, today: date) -> int:
    """Return the begin (UTC) of the last day with a scan of the site; 0 if none is known."""
    known = await recent_scans(client.redis, client.keys, (host, f"www.{host}"), today=today, days=_DAYS)
    last = max(day for _, _, day in known)
    return int(datetime.fromisoformat(f"{last}T00:00:00+00:00").timestamp() * 1000) if last else 0


async def _rows(client: Client, query: str, first: int) -> list[tuple[str, dict[str, str]]]:
    asked = ["RETURN", len(_FIELDS), *_FIELDS, "SORTBY", "since_ms", "ASC", "LIMIT", first, _AT_ONCE, "DIALECT", 2]
    try:
        reply: Any = await client.redis.execute_command("FT.SEARCH", client.keys.barriers_index, query, *asked)
    except ResponseError as error:
        if "NOPERM" in str(error) or "no permissions" in str(error):
            msg = "this user of Redis may not search: give REDIS_URL the user 'worker', or pass a report, not --site"
            raise RedisUnsuitable(msg) from None
        if "index" in str(error).lower():  # "no such index": nothing was scanned here yet
            return []
        raise
    prefix = client.keys.barrier_prefix
    return [
        (_text(key).removeprefix(prefix), dict(zip(map(_text, row[::2]), map(_text, row[1::2]), strict=True)))
        for key, row in zip(reply[1::2], reply[2::2], strict=True)
    ]


def _barrier(issue_id: str, fields: Mapping[str, str]) -> Barrier:
    impact = fields.get("impact", "")
    return Barrier(
        issue_id,
        name=fields.get("name", ""),
        rule=fields.get("rule", ""),
        impact=Impact(impact) if impact else Impact.SERIOUS,
        site=fields.get("host_name", ""),
        pages=int(fields.get("pages") or 0),
        elements=int(fields.get("elements") or 0),
        groups=tuple(sorted(json.loads(fields.get("groups") or "{}"))),
        since_ms=int(fields.get("since_ms") or 0),
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
