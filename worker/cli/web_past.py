"""Reads the scan history for the pages of ``sightline web`` (``producer/web/past.py``). Creates no index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redisvl.query.filter import Tag

from producer.contract import Counts
from producer.contract.addresses import page_ids
from producer.contract.states import split_state
from producer.errors import InputError
from producer.keys import Keys
from producer.redis.scripts import as_text
from producer.reports.comparison import Comparison
from producer.web.past import Barrier, PageRow, Past, SiteRow, Wanted, harm_of
from worker.cli.history import changes_of, checked_host, now_of
from worker.cli.web_parsed import ROW, barrier_of, past_of, row_of, row_of_fields
from worker.memory.history.barriers import BarrierFilter, Barriers
from worker.memory.history.history import History, ScanFilter, recorded_history
from worker.memory.history.scan_record import ScanRecord
from worker.memory.vectors.indexes import TIMEOUT_MS, exact_tag, is_digest, is_missing_index
from worker.models.protocols import OpenEmbedder

STATES: Final = 8
"""States of a page whose records are read."""
CANDIDATES: Final = 400
"""Maximum number of records read for a site's worst pages."""
FINDINGS_CHARS: Final = 400_000
"""Maximum length of a page's records read for its changes: 2,000 elements take 100,000."""
NAME_WORDS: Final = 8


class WebPast:
    """The history of one environment."""

    def __init__(self, redis: Redis, keys: Keys, open_embedder: OpenEmbedder | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._open_embedder = open_embedder
        self._barriers = Barriers(redis, keys)
        self._history: History | None = None

    async def sites(self) -> Sequence[SiteRow]:
        """Return all sites, those with the worst barriers first."""
        steps = ("LOAD", 2, "@host_name", "@impact", "GROUPBY", 2, "@host_name", "@impact")
        steps = (*steps, "REDUCE", "COUNT", 0, "AS", "number")
        open_by_site: dict[str, dict[str, int]] = {}
        for row in await self._aggregate(self._keys.barriers_index, "@pages:[1 +inf]", *steps, limit=10_000):
            counts = open_by_site.setdefault(row.get("host_name", ""), {})
            counts[row.get("impact") or "serious"] = int(row["number"])
        names = {*open_by_site, *await self.site_names()} - {""}
        found = [SiteRow(site, Counts(**open_by_site.get(site, {}))) for site in names]
        return sorted(found, key=lambda one: (tuple(-n for n in harm_of(one.open)), one.site))

    async def site_names(self) -> Sequence[str]:
        """Return the names of all sites: the tags of the index, as a sum over all records takes a second."""
        history = await self._recorded()
        if history is None:
            return []
        index, raw = await history.index_name(), cast("Any", self._redis)
        try:
            tags = [as_text(tag) for tag in await raw.execute_command("FT.TAGVALS", index, "host")]
        except ResponseError as error:
            if is_missing_index(error):
                return []
            raise
        digests = [tag for tag in tags if is_digest(tag)]
        async with raw.pipeline(transaction=False) as pipe:  # the name of one is in any of its records
            for tag in digests:
                words = ("FT.AGGREGATE", index, str(Tag("host") == tag), "LOAD", 1, "@host_name", "LIMIT", 0, 1)
                pipe.execute_command(*words, "DIALECT", 2)
            replies = await pipe.execute() if digests else []
        named = zip(digests, (as_text(reply[1][1]) if reply[1:] else "" for reply in replies), strict=True)
        return [*(set(tags) - set(digests)), *(name for tag, name in named if exact_tag(name) == tag)]

    async def barriers(
        self, wanted: Wanted, *, limit: int, by: str = "pages", without: Collection[str] = ()
    ) -> Sequence[Barrier]:
        """Return component barriers, sorted by ``by`` in descending order, except those in ``without``."""
        within = BarrierFilter(
            host=wanted.site,
            kind=wanted.kind,
            group=wanted.group,
            rule=wanted.rule,
            impact=wanted.impact,
            is_mended=wanted.is_mended,
            since_ms=wanted.since_ms,
            mended_since_ms=wanted.mended_since_ms,
        )
        if await self._recorded() is None:
            return []
        found = await self._barriers.find(within, limit=limit, by=cast("Any", by), without=without)
        return [barrier_of(one) for one in found]

    async def barriers_of(self, issue_ids: Sequence[str]) -> Mapping[str, Barrier]:
        """Return the known ones among these barriers, by id."""
        found = await self._barriers.get_many(issue_ids)
        return {issue_id: barrier_of(one) for issue_id, one in found.items()}

    async def named(self, words: str, *, limit: int) -> Sequence[Barrier]:
        """Return open component barriers whose name has all the words, those on most pages first."""
        said = [word.replace("\\", "").replace('"', "") for word in words.lower().split()[:NAME_WORDS]]
        filters = [f'contains(lower(@name), "{word}") > 0' for word in said if word]
        if not filters or await self._recorded() is None:
            return []
        steps: list[Any] = ["LOAD", 3, "@__key", "@name", "@pages", "FILTER", " && ".join(filters)]
        steps += ["SORTBY", 2, "@pages", "DESC", "MAX", limit]
        rows = await self._aggregate(self._keys.barriers_index, "@pages:[1 +inf]", *steps, limit=limit)
        prefix = self._keys.barrier_prefix
        ids = [row["__key"].removeprefix(prefix) for row in rows if "__key" in row]
        known = await self.barriers_of(ids)
        return [known[one] for one in ids if one in known]

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
        if history is None:
            return []
        names = [*ROW, "summary", "times_seen", "components"]
        found: list[tuple[str, dict[str, str]]] = []
        for most in (limit + 1, STATES * (limit + 1)):  # the page's other states are among the records
            read = await history.fields(ScanFilter(page=page_ids(address)), names, limit=most)
            found = [(scan_id, fields) for scan_id, fields in read if fields["page_state"] == state][: limit + 1]
            if len(found) > limit or len(read) < most:
                break
        full = await self._small_enough(history, [scan_id for scan_id, _ in found])
        changed = dict(zip(full, changes_of(list(full.values())), strict=True))
        return [past_of(scan_id, fields, full.get(scan_id), changed.get(scan_id)) for scan_id, fields in found[:limit]]

    async def search(self, text: str, *, limit: int) -> Sequence[PageRow]:
        """Return the pages that are now closest in meaning, using the history's embedding model."""
        if self._open_embedder is None:
            return []
        history = await recorded_history(self._redis, self._keys, self._open_embedder)
        found = await history.search(text, limit=2 * limit) if history else []
        if history is None or not found:
            return []
        pages = list(dict.fromkeys(one.record.page for one in found))
        now = {state.scan_id for state in await history.newest_of_pages(ScanFilter(page=pages))}
        current = [one for one in found if one.record.scan_id in now][:limit]
        return [replace(row_of(one.record), distance=one.distance) for one in current]

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
        found = await history.fields(wanted, ROW, limit=limit)
        return [(fields["page"], row_of_fields(scan_id, fields)) for scan_id, fields in found]

    async def _small_enough(self, history: History, scan_ids: Sequence[str]) -> dict[str, ScanRecord]:
        """Return the records with their findings, newest first, up to ``FINDINGS_CHARS`` of them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for scan_id in scan_ids:
                pipe.hstrlen(self._keys.scan(scan_id), "findings")
            sizes = await pipe.execute() if scan_ids else []
        fit = [one for one, total in zip(scan_ids, accumulate(sizes), strict=True) if total <= FINDINGS_CHARS]
        return {one.scan_id: one for one in await history.get_many(fit)}

    async def _newest(self, pages: Sequence[str]) -> dict[tuple[str, str], PageRow]:
        """Return the newest record of each of these pages in each state."""
        if not pages:
            return {}
        found: dict[tuple[str, str], PageRow] = {}
        for page, row in await self._rows(ScanFilter(page=list(dict.fromkeys(pages))), STATES * len(pages)):
            found.setdefault((page, row.state), row)
        return found

    async def _aggregate(self, index: str, query: str, *steps: Any, limit: int) -> list[dict[str, str]]:
        words = ("FT.AGGREGATE", index, query, "TIMEOUT", TIMEOUT_MS, *steps, "LIMIT", 0, limit, "DIALECT", 2)
        try:
            reply: Any = await self._redis.execute_command(*words)
        except ResponseError as error:
            if is_missing_index(error):  # nothing has been scanned here yet
                return []
            raise
        return [dict(zip(map(as_text, row[::2]), map(as_text, row[1::2]), strict=True)) for row in reply[1:]]
