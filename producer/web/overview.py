"""The first page: open barriers of all sites, new and fixed ones since a day, and what to fix first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from starlette.requests import Request

from producer.client.client import Client
from producer.contract import Counts, Impact
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.redis.connection import redis_errors
from producer.reports.html_trend import TREND_DAYS, Part, stacked, trend_of
from producer.reports.page import WORST_FIRST
from producer.reports.site_days import recent_scans, site_trend
from producer.stored.waivers import Waivers
from producer.views.board import newest_batches
from producer.web.desk import Desk, Shown
from producer.web.past import Barrier, SiteRow, Wanted

LISTED: Final = 12
SITES_LISTED: Final = 200
BAR_WIDTH: Final = 1000
DAYS: Final = 7
SCAN_DAYS: Final = 30
TREND_READ: Final = 2 * TREND_DAYS
"""Days read for a trend, which leaves out those on which no page could be read."""


async def overview(desk: Desk, request: Request) -> Shown:
    """Show all sites."""
    since = day_asked(request, days=DAYS)
    waived = await waivers_in_force(desk.client)
    known = await desk.history.barriers_of([name for name in waived if "-" in name])
    sites = [without_waived(one, known.values()) for one in await desk.history.sites()]
    shown = await with_scans(desk, sites[:SITES_LISTED])
    open_by_impact = {impact: sum(getattr(one.open, impact.value) for one in sites) for impact in WORST_FIRST}
    new = await desk.history.barriers(Wanted(since_ms=ms_of(since)), limit=LISTED, by="since_ms", without=waived)
    mended = await desk.history.barriers(
        Wanted(is_mended=True, mended_since_ms=ms_of(since)), limit=LISTED, by="mended_ms"
    )
    with redis_errors(desk.client.settings, None):
        days = await site_trend(desk.client.redis, desk.client.keys, "", newest=TREND_READ)
        batches = [one for one in await newest_batches(desk.client) if not one.finished_ms]
        queue = await desk.client.queue()
    facts = {
        "sites": shown,
        "sites_left_out": max(0, len(sites) - SITES_LISTED),
        "open": open_by_impact,
        "total": sum(open_by_impact.values()),
        "waived": sum(one.pages > 0 for one in known.values()),
        "bar": bar_of(open_by_impact),
        "since": since,
        "new": new,
        "mended": mended,
        "first": await worst_barriers(desk, Wanted(), waived, limit=LISTED),
        "trend": trend_of("all sites", days),
        "batches": batches,
        "workers": len(queue.workers),
        "has_scans": bool(sites),
    }
    keys = ("since", "total", "open", "waived", "sites", "first", "new", "mended", "batches")
    return Shown("overview.html.jinja", "Overview", facts, keys)


async def with_scans(desk: Desk, sites: Sequence[SiteRow]) -> list[SiteRow]:
    """Return the sites with their scans of the last ``SCAN_DAYS``."""
    names = [one.site for one in sites]
    with redis_errors(desk.client.settings, None):
        counted = await recent_scans(
            desk.client.redis, desk.client.keys, names, today=datetime.now(UTC).date(), days=SCAN_DAYS
        )
    return [
        replace(one, scans=scans, unread=unread, last_day=day)
        for one, (scans, unread, day) in zip(sites, counted, strict=True)
    ]


def day_asked(request: Request, *, days: int) -> date:
    """Return the day in ``since``, by default ``days`` ago; raises ``InputError`` for an invalid one."""
    text = request.query_params.get("since", "")
    if not text:
        return datetime.now(UTC).date() - timedelta(days=days)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"since {text[:60]!r}: expected a day such as 2026-11-01") from None


def ms_of(day: date) -> int:
    """Return the start of a day (UTC) in ms."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


async def waivers_in_force(client: Client) -> dict[str, Waiver]:
    """Return the waivers in force, by fingerprint."""
    today = datetime.now(UTC).date()
    return {one.fingerprint: one for one in await Waivers(client).all() if not one.is_expired(today)}


def without_waived(site: SiteRow, known: Iterable[Barrier]) -> SiteRow:
    """Return the site's totals without waived barriers."""
    waived = Counter(one.impact.value for one in known if one.site == site.site and one.pages)
    left = {name: max(0, getattr(site.open, name) - waived[name]) for name in Counts.model_fields}
    return replace(site, open=Counts(**left)) if waived else site


async def worst_barriers(desk: Desk, wanted: Wanted, waived: Mapping[str, Waiver], *, limit: int) -> Sequence[Barrier]:
    """Return the barriers to fix first: by impact, then by number of pages; without waived ones."""
    found: list[Barrier] = []
    for impact in WORST_FIRST:
        if len(found) >= limit:
            break
        left = limit - len(found)
        found += await desk.history.barriers(replace(wanted, impact=impact.value), limit=left, without=waived)
    return found


def bar_of(counts: Mapping[Impact, int]) -> Sequence[Part]:
    """Return the parts of a bar of impacts."""
    total = max(sum(counts.values()), 1)
    return stacked((impact, BAR_WIDTH * counts[impact] / total) for impact in WORST_FIRST)
