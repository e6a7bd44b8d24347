"""Reads the scan history for the pages of ``sightline web`` (``producer/web/past.py``). Creates no index."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redisvl.query import FilterQuery

from producer.contract import Counts, Impact
from producer.contract.addresses import page_ids
from producer.contract.states import split_state
from producer.errors import InputError
from producer.keys import Keys
from producer.redis.scripts import as_text
from producer.reports.comparison import Comparison
from producer.web.past import Barrier, PageRow, Past, SiteRow, Wanted
from worker.cli.history import changes_of, checked_host, now_of
from worker.memory.history.barriers import BarrierFilter, BarrierRecord, Barriers
from worker.memory.history.history import History, ScanFilter, recorded_history
from worker.memory.history.scan_record import ScanRecord
from worker.models.protocols import OpenEmbedder

SITES_FOR_S: Final = 10.0
"""Seconds before the list of sites, a sum over all records, is computed again."""
CANDIDATES: Final = 400
"""Records read for a site's worst pages."""
_ROW: Final = ("url", "page", "page_state", "title", "group_name", "status", "barriers", "at_ms", "last_seen_ms")


class WebPast:
    """The history of one environment."""

    def __init__(self, redis: Redis, keys: Keys, open_embedder: OpenEmbedder | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._open_embedder = open_embedder
        self._barriers = Barriers(redis, keys)
        self._history: History | None = None
        self._sites: tuple[float, Sequence[SiteRow]] = (-SITES_FOR_S, ())

    async def sites(self) -> Sequence[SiteRow]:
        """Return all sites, those with the worst barriers first; the list is at most ``SITES_FOR_S`` old."""
        at, sites = self._sites
        if time.monotonic() - at < SITES_FOR_S:
            return sites
        open_by_site: dict[str, dict[str, int]] = {}
        for row in await self._sums(self._keys.barriers_index, "@pages:[1 +inf]", "host_name", "impact"):
            open_by_site.setdefault(row["host_name"], {})[row.get("impact") or "serious"] = int(row["number"])
        history = await self._recorded()
        index = await history.index_name() if history else ""
        records = await self._sums(index, "*", "host_name", newest=True) if index else []
        rows = {row["host_name"]: row for row in records}
        found = [
            SiteRow(
                site,
                records=int(rows.get(site, {}).get("number", 0)),
                last_seen_ms=int(float(rows.get(site, {}).get("newest") or 0)),
                open=Counts(**open_by_site.get(site, {})),
            )
            for site in {*open_by_site, *rows} - {""}
        ]
        sites = sorted(found, key=lambda one: (tuple(-n for n in _harm(one.open)), one.site))
        self._sites = (time.monotonic(), sites)
        return sites

    async def barriers(self, wanted: Wanted, *, limit: int, by: str = "pages") -> Sequence[Barrier]:
        """Return component barriers, sorted by ``by`` in descending order."""
        within = BarrierFilter(
            host=wanted.site,
            group=wanted.group,
            rule=wanted.rule,
            impact=wanted.impact,
            is_mended=wanted.is_mended,
            since_ms=wanted.since_ms,
            mended_since_ms=wanted.mended_since_ms,
        )
        if await self._recorded() is None:
            return []
        return [_barrier(one) for one in await self._barriers.find(within, limit=limit, by=cast("Any", by))]

    async def barriers_of(self, issue_ids: Sequence[str]) -> Mapping[str, Barrier]:
        """Return those of these barriers that are known, by id."""
        found = await self._barriers.get_many(issue_ids)
        return {issue_id: _barrier(one) for issue_id, one in found.items()}

    async def worst_pages(self, site: str, *, group: str | None = None, limit: int) -> Sequence[PageRow]:
        """Return a site's worst pages as last seen: those with critical barriers first, then those with any."""
        found: dict[tuple[str, str], PageRow] = {}
        for impact in ("critical", "serious", None):
            wanted = ScanFilter(host=site, group=group, impact=impact)
            for page, row in await self._rows(wanted, CANDIDATES):
                found.setdefault((page, row.state), row)
            if len(found) >= limit:
                break
        worst = sorted(found.items(), key=lambda item: [-n for n in item[1].harm])[: 2 * limit]
        newest = await self._newest([page for (page, _), _ in worst])
        now = [newest.get(key, row) for key, row in worst]
        return sorted(now, key=lambda row: [-n for n in row.harm])[:limit]

    async def pages_with(self, issue_id: str, *, limit: int) -> Sequence[PageRow]:
        """Return pages whose newest state has the component barrier."""
        rows = await self._rows(ScanFilter(component=issue_id), 2 * limit)
        first: dict[tuple[str, str], PageRow] = {}
        for page, row in rows:
            first.setdefault((page, row.state), row)
        newest = await self._newest([page for page, _ in first])
        return [row for key, row in first.items() if newest.get(key, row).scan_id == row.scan_id][:limit]

    async def page(self, url: str, *, limit: int) -> Sequence[Past]:
        """Return the records of a page, newest first."""
        address, state = split_state(url)
        history = await self._recorded()
        found = await history.find(ScanFilter(page=page_ids(address)), limit=limit + 1) if history else []
        records = [one for one in found if one.page_state == state]
        pairs = zip(records, changes_of(records), strict=True)
        return [Past(_row(one), one.summary, one.times_seen, one.components, changed) for one, changed in pairs][:limit]

    async def search(self, text: str, *, limit: int) -> Sequence[PageRow]:
        """Return the pages closest in meaning, using the history's embedding model."""
        if self._open_embedder is None:
            return []
        history = await recorded_history(self._redis, self._keys, self._open_embedder)
        found = await history.search(text, limit=limit) if history else []
        return [replace(_row(one.record), distance=one.distance) for one in found]

    async def compare(self, before: str, after: str, *, site: str | None) -> Comparison:
        """Compare two batches, pipeline runs or times; raises ``InputError``."""
        from worker.memory.history.comparison import compare_moments
        from worker.memory.history.periods import moment_of

        now_ms = await now_of(self._redis)
        sides = [await moment_of(self._redis, self._keys, name, now_ms=now_ms) for name in (before, after)]
        history = await self._recorded()
        if history is None:
            raise InputError("no scans are recorded yet: nothing can be compared")
        wanted = ScanFilter(host=checked_host(site) if site else None)
        return await compare_moments(history, sides[0], sides[1], wanted)

    async def _recorded(self) -> History | None:
        if self._history is None:
            self._history = await recorded_history(self._redis, self._keys)
        return self._history

    async def _rows(self, wanted: ScanFilter, limit: int) -> list[tuple[str, PageRow]]:
        """Return records without their findings, most recently seen first, each with its page's id."""
        history = await self._recorded()
        if history is None or limit == 0:
            return []
        query = FilterQuery(
            filter_expression=wanted.expression(),
            return_fields=list(_ROW),
            num_results=limit,
            sort_by=("last_seen_ms", "DESC"),
        )
        prefix = self._keys.scan_prefix
        return [
            (str(row.get("page", "")), _row_of(str(row["id"]).removeprefix(prefix), row))
            for row in await history.rows(query)
        ]

    async def _newest(self, pages: Sequence[str]) -> dict[tuple[str, str], PageRow]:
        """Return the newest record of each of these pages in each state."""
        if not pages:
            return {}
        found: dict[tuple[str, str], PageRow] = {}
        for page, row in await self._rows(ScanFilter(page=list(dict.fromkeys(pages))), 8 * len(pages)):
            found.setdefault((page, row.state), row)
        return found

    async def _sums(self, index: str, query: str, *by: str, newest: bool = False) -> list[dict[str, str]]:
        """Return the number of hashes in an index, grouped by these fields."""
        words: list[Any] = ["FT.AGGREGATE", index, query, "LOAD", len(by) + newest, *(f"@{name}" for name in by)]
        words += ["@last_seen_ms"] if newest else []
        words += ["GROUPBY", len(by), *(f"@{name}" for name in by), "REDUCE", "COUNT", 0, "AS", "number"]
        words += ["REDUCE", "MAX", 1, "@last_seen_ms", "AS", "newest"] if newest else []
        try:
            reply: Any = await self._redis.execute_command(*words, "LIMIT", 0, 10_000, "DIALECT", 2)
        except ResponseError as error:
            if "no such index" in str(error).lower():  # nothing has been scanned here yet
                return []
            raise
        rows = [dict(zip(map(as_text, row[::2]), map(as_text, row[1::2]), strict=True)) for row in reply[1:]]
        return [row for row in rows if row.get("host_name")]


def _harm(counts: Counts) -> tuple[int, int, int, int]:
    return (counts.critical, counts.serious, counts.moderate, counts.minor)


def _barrier(one: BarrierRecord) -> Barrier:
    return Barrier(
        one.issue_id,
        name=one.name,
        rule=one.rule,
        impact=one.impact or Impact.SERIOUS,
        site=one.host,
        pages=one.pages,
        elements=one.elements,
        groups=one.groups,
        first_ms=one.first_ms,
        since_ms=one.since_ms,
        mended_ms=one.mended_ms if one.is_mended else 0,
    )


def _row(one: ScanRecord) -> PageRow:
    return PageRow(
        one.url,
        one.page_state,
        one.title,
        one.group,
        one.status,
        one.scan_id,
        one.barriers,
        one.at_ms,
        one.last_seen_ms,
    )


def _row_of(scan_id: str, row: Mapping[str, Any]) -> PageRow:
    text = {name: as_text(row.get(name)) for name in _ROW}
    counts = Counts.model_validate_json(text["barriers"] or "{}")
    return PageRow(
        text["url"],
        text["page_state"],
        text["title"],
        text["group_name"],
        text["status"],
        scan_id,
        counts,
        int(text["at_ms"] or 0),
        int(text["last_seen_ms"] or 0),
    )
