"""Reads the extras of reports from Redis: dates of component barriers, screenshots, trends of sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from producer.cli.outputs import Output
from producer.client.client import Client
from producer.client.queue_view import last_end_ms
from producer.contract.addresses import site_of
from producer.redis.connection import redis_errors
from producer.reports.component_dates import ComponentDates, read_dates
from producer.reports.page import Page, worst_first
from producer.reports.plain_text import counted
from producer.reports.site_days import Day, site_trend

DATED: Final = {"html", "table"}
"""Formats that show when a component barrier was first seen."""
MAX_HOSTS: Final = 4
"""Maximum number of trends drawn in one report; more would be unreadable as charts."""
MAX_PICTURE_BYTES: Final = 16_000_000
"""Maximum bytes of screenshots in one report, so that it opens quickly and can be shared."""


@dataclass(frozen=True, slots=True)
class Extras:
    """``pages`` with screenshots, in the given order; ``trends`` has the days of each host, ``notes`` the omissions.

    ``dates`` has the first sighting of component barriers by ``issue_id``; ``scanned_ms`` is when the last scan ended.
    """

    pages: tuple[Page, ...] = ()
    trends: Mapping[str, Sequence[Day]] = field(default_factory=dict[str, Sequence[Day]])
    dates: Mapping[str, ComponentDates] = field(default_factory=dict[str, ComponentDates])
    notes: tuple[str, ...] = ()
    scanned_ms: int = 0


async def read_extras(client: Client, pages: Iterable[Page], outputs: Iterable[Output]) -> Extras:
    """Return the extras that the outputs show beside ``pages``; reads nothing for formats without extras."""
    listed, formats = tuple(pages), {output.format for output in outputs}
    dates = await _dates(client, listed) if formats & DATED else {}
    scanned_ms = await _scanned_ms(client, listed) if "json" in formats else 0
    if "html" not in formats:
        return Extras(listed, dates=dates, scanned_ms=scanned_ms)
    pictured, notes = await _pictured(client, listed)
    return Extras(pictured, await _trends(client, listed), dates, notes, scanned_ms)


async def _scanned_ms(client: Client, pages: Iterable[Page]) -> int:
    with redis_errors(client.settings, None):
        return await last_end_ms(client.redis, client.keys, [page.job_id for page in pages if page.result])


async def _dates(client: Client, pages: Iterable[Page]) -> dict[str, ComponentDates]:
    found = (node.issue_id for page in pages for finding in page.findings for node in finding.nodes if node.issue_id)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    with redis_errors(client.settings, None):
        return await read_dates(client.redis, client.keys, found, today_ms=now_ms)


async def _pictured(client: Client, pages: Sequence[Page]) -> tuple[tuple[Page, ...], tuple[str, ...]]:
    """Return the pages with as many screenshots of their elements as fit, the worst pages first."""
    from producer.reports.html_live import live_shots

    left, lost, gone = MAX_PICTURE_BYTES, 0, 0
    found: dict[int, dict[str, bytes]] = {}
    for page in worst_first(pages):
        if page.result is None or page.result.screenshot is None or not (page.findings or page.result.live):
            continue
        shots = await client.shots(page.job_id)
        gone += not shots
        kept = found.setdefault(id(page), {})
        for name in (*(node.fingerprint for finding in page.findings for node in finding.nodes), *live_shots(page)):
            size = len(shots.get(name, b""))
            if 0 < size <= left and name not in kept:
                kept[name] = shots[name]
                left -= size
            elif size > left:
                lost += 1
    notes = (
        f"{counted(lost, 'screenshot')} left out: a report holds {MAX_PICTURE_BYTES // 1_000_000} MB of them"
        if lost
        else "",
        f"the screenshots of {counted(gone, 'page')} are no longer kept" if gone else "",
    )
    pictured = (replace(page, pictures=found[id(page)]) if id(page) in found else page for page in pages)
    return tuple(pictured), tuple(filter(None, notes))


async def _trends(client: Client, pages: Iterable[Page]) -> dict[str, Sequence[Day]]:
    hosts = sorted({site_of(page.result.url) for page in pages if page.result} - {""})
    if len(hosts) > MAX_HOSTS:
        return {}
    with redis_errors(client.settings, None):
        return {host: await site_trend(client.redis, client.keys, host) for host in hosts}
