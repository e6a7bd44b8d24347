"""One site: its trend, groups, component barriers and worst pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from producer.contract import Impact
from producer.contract.addresses import site_of
from producer.contract.waiver import Waiver
from producer.errors import InputError, UnknownJob
from producer.redis.connection import redis_errors
from producer.reports.html_trend import trend_of
from producer.reports.page import WORST_FIRST
from producer.reports.site_days import site_trend
from producer.web.desk import Desk, Shown
from producer.web.overview import TREND_READ, bar_of, waivers_in_force, worst_barriers
from producer.web.past import Barrier, Wanted

BARRIERS: Final = 100
COUNTED: Final = 2_000
"""Maximum number of component barriers of a site that totals and groups are computed from; the page and its JSON
(``is_part``) say if there are more."""
PAGES: Final = 25


@dataclass(frozen=True, slots=True)
class Group:
    """A group of pages: its number of component barriers, and the worst impact."""

    name: str
    barriers: int
    worst: Impact


async def site(desk: Desk, request: Request) -> Shown:
    """Show one site, with the filters in the address."""
    name = host_asked(request)
    asked = {one: request.query_params.get(one, "") for one in ("group", "rule", "impact")}
    if asked["impact"] and asked["impact"] not in {one.value for one in Impact}:
        raise InputError(f"impact {asked['impact'][:40]!r}: expected critical, serious, moderate or minor")
    waived = await waivers_in_force(desk.client)
    everything = await desk.history.barriers(Wanted(site=name), limit=COUNTED)
    counted = [one for one in everything if one.issue_id not in waived]
    with redis_errors(desk.client.settings, None):
        days = await site_trend(desk.client.redis, desk.client.keys, name, newest=TREND_READ)
    if not everything and not days:
        raise UnknownJob(f"no scan of {name!r} is recorded: try 'sightline scan https://{name}/'")
    open_by_impact = {impact: sum(one.impact is impact for one in counted) for impact in WORST_FIRST}
    wanted = Wanted(name, asked["group"] or None, asked["rule"] or None, asked["impact"] or None)
    is_part = len(everything) >= COUNTED
    listed = await _listed(desk, wanted, waived, counted, is_part=is_part)
    facts = {
        "site": name,
        "asked": asked,
        "open": open_by_impact,
        "total": len(counted),
        "is_part": is_part,
        "most": COUNTED,
        "waived": [one for one in everything if one.issue_id in waived],
        "bar": bar_of(open_by_impact),
        "trend": trend_of(name, days),
        "groups": groups_of(counted),
        "rules": sorted({one.rule for one in counted}),
        "barriers": listed[:BARRIERS],
        "left_out": max(0, len(listed) - BARRIERS),
        "pages": await desk.history.worst_pages(name, group=asked["group"] or None, limit=PAGES),
    }
    keys = ("site", "asked", "total", "is_part", "open", "groups", "barriers", "left_out", "pages")
    return Shown("site.html.jinja", name, facts, keys)


async def _listed(
    desk: Desk, wanted: Wanted, waived: Mapping[str, Waiver], counted: list[Barrier], *, is_part: bool
) -> list[Barrier]:
    """Return the matching component barriers, worst first."""
    if is_part:  # there are more than were read: query with the filters
        return list(await worst_barriers(desk, wanted, waived, limit=BARRIERS + 1))
    fit = (
        one
        for one in counted
        if (not wanted.group or wanted.group in one.groups)
        and (not wanted.rule or wanted.rule == one.rule)
        and (not wanted.impact or wanted.impact == one.impact.value)
    )
    return sorted(fit, key=lambda one: (-one.impact.rank, -one.pages, one.name))


def host_asked(request: Request) -> str:
    """Return the site in the address; raises ``InputError`` for an invalid one."""
    given = str(request.path_params["site"])
    name = site_of(f"//{given}")
    if not name:
        raise InputError(f"{given[:100]!r} is not a site: expected one such as shop.example or localhost:3000")
    return name


def groups_of(barriers: Iterable[Barrier]) -> list[Group]:
    """Return the groups of pages that have component barriers, worst first."""
    found: defaultdict[str, list[Impact]] = defaultdict(list)
    for one in barriers:
        for name in one.groups:
            if name:
                found[name].append(one.impact)
    groups = [Group(name, len(some), max(some, key=lambda impact: impact.rank)) for name, some in found.items()]
    return sorted(groups, key=lambda group: (-group.worst.rank, -group.barriers, group.name))
