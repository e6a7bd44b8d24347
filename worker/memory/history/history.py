"""Finds past scans: by page, by meaning, and by site, group, rule, impact or time.

Read-only: a scan's document is prepared as plain fields (``scan_record.document``) and committed by finish.lua together
with the result; RediSearch indexes what Lua writes. Documents are kept until pruned. ``generations.py`` records the
vectors' model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import and_
from typing import Any, Final

from redis.asyncio import Redis
from redisvl.query import VectorQuery
from redisvl.query.filter import FilterExpression, Num, Tag
from redisvl.schema import IndexSchema

from producer.keys import Keys
from worker.memory.history.barriers import Barriers
from worker.memory.history.pages import (
    MAX_PAGES,
    MAX_TERMS,
    PICKED,
    PageState,
    fields_of_records,
    newest_by_state,
    newest_of_pages,
    states_of_records,
)
from worker.memory.history.scan_record import RETURNED, ScanRecord, parse
from worker.memory.vectors.documents import Documents, index_schema
from worker.memory.vectors.embeddings import Embeddings, Placed
from worker.memory.vectors.generations import Generation, read_record
from worker.memory.vectors.indexes import exact_tag
from worker.models.protocols import OpenEmbedder

HNSW: Final = {"algorithm": "hnsw", "m": 48, "ef_construction": 200, "ef_runtime": 400}
"""A search among 100,000 scans must take 5 ms; an exact one takes 40. With fewer links and candidates, nearly identical
pages hide the others (``ops/decisions/0011-links-and-candidates-of-the-history.md``)."""


KEEP_RUN_S: Final = 90 * 86_400
"""CI systems allow a run to be repeated for a month or two (GitHub: 30 days)."""
RUN_STATES: Final = 10


@dataclass(frozen=True, slots=True)
class Run:
    """A pipeline run: its name and the time of its first submitted scan, Redis ms."""

    name: str
    began_ms: int


@dataclass(frozen=True, slots=True)
class ScanFilter:
    """Conditions that must all hold; of several pages or statuses, one must match.

    ``host`` is a site (``site_of``), or ``localhost:*`` for all ports of its host.
    Times are Redis ms and refer to when a state was last seen; ``begun_by_ms`` to when it was first seen.
    """

    page: str | Sequence[str] | None = None
    terms: str | None = None
    not_page: str | None = None
    host: str | None = None
    group: str | None = None
    rule: str | None = None
    impact: str | None = None
    criterion: str | None = None
    component: str | None = None
    status: str | Sequence[str] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    begun_by_ms: int | None = None

    def expression(self) -> FilterExpression | None:
        """Return the filter as a RedisVL expression; None for all scans. Empty values are also conditions."""
        tags = {
            "terms": self.terms,
            "group": self.group,
            "rules": self.rule,
            "impacts": self.impact,
            "criteria": self.criterion,
            "components": self.component,
        }
        parts = [Tag(name) == exact_tag(value) for name, value in tags.items() if value is not None]
        if self.host is not None:
            # All ports of a host: records of the default port, and of old releases, have the host alone.
            names = [self.host.removesuffix(":*"), self.host] if self.host.endswith(":*") else [self.host]
            parts.append(Tag("host") == [exact_tag(name) for name in names])
        for name, some in (("page", self.page), ("status", self.status)):
            if some is not None:
                parts.append(Tag(name) == [exact_tag(value) for value in ((some,) if isinstance(some, str) else some)])
        if self.not_page is not None:
            parts.append(Tag("page") != exact_tag(self.not_page))
        if self.since_ms is not None:
            parts.append(Num("last_seen_ms") >= self.since_ms)
        if self.until_ms is not None:
            parts.append(Num("last_seen_ms") <= self.until_ms)
        if self.begun_by_ms is not None:
            parts.append(Num("at_ms") <= self.begun_by_ms)
        return reduce(and_, parts) if parts else None


EVERYTHING: Final = ScanFilter()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A past scan and its cosine distance from the query (0 identical, 2 opposite)."""

    record: ScanRecord
    distance: float


def schema(keys: Keys, generation: Generation) -> IndexSchema:
    """Return the schema of the history's index of one generation: hashes under ``scan:``."""
    tags = ("page", "terms", "host", "group", "rules", "impacts", "criteria", "components", "status")
    numbers = ("at_ms", "last_seen_ms")
    fields: list[dict[str, Any]] = [
        *({"name": name, "type": "tag"} for name in tags),
        *({"name": name, "type": "numeric", "attrs": {"sortable": True}} for name in numbers),
    ]
    name = keys.index_of(keys.scans_index, generation.number)
    return index_schema(name, keys.scan_prefix, fields, generation, HNSW)


def scan_documents(vectors: Embeddings) -> Documents:
    """Return the scans' documents of one environment."""
    return Documents(vectors, partial(schema, vectors.keys))


class History:
    """The scan history of one environment, searched by meaning with ``vectors``."""

    def __init__(self, vectors: Embeddings) -> None:
        self._redis = vectors.redis
        self._keys = vectors.keys
        self.vectors = vectors
        self._documents = scan_documents(vectors)
        self.barriers = Barriers(vectors.redis, vectors.keys)

    async def ensure_index(self) -> None:
        """Create the indexes of scans and component barriers and record the model, unless they exist.

        Safe to call twice and concurrently.

        Raises ``RedisUnsuitable`` without search, ``SettingsError`` for vectors of another model.
        """
        await self.vectors.claim()
        await self._documents.ensure()
        await self.barriers.ensure_index()

    async def now_ms(self) -> int:
        """Return Redis's time."""
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def get(self, scan_id: str) -> ScanRecord | None:
        """Return the scan with this id, or None."""
        return next(iter(await self.get_many([scan_id])), None)

    async def previous(
        self,
        page: str,
        *,
        terms: str | None = None,
        before_job: str,
        status: str | None = None,
        before_run: Run | None = None,
    ) -> ScanRecord | None:
        """Return the newest scan of ``page`` with these ``terms`` and ``status``, except that of ``before_job``.

        With ``before_run``, the newest state that was first seen before that run began.
        """
        wanted = ScanFilter(page=page, terms=terms, status=status)
        if before_run is not None:
            wanted = replace(wanted, begun_by_ms=before_run.began_ms)
        found = await self.find(wanted, limit=2 if before_run is None else RUN_STATES)
        # Also by name: if Redis's clock was set back, the run's own states seem to predate it.
        own = before_run.name if before_run else None
        others = (record for record in found if record.scan_id != before_job and record.run != own)
        return next(others, None)

    async def run_of(self, name: str, *, submitted_ms: int) -> Run | None:
        """Return the pipeline run ``name``, which the first call begins; None for an empty name.

        Its start is kept for ``KEEP_RUN_S``, so that repetitions compare with the state before the first attempt.
        """
        if not name:
            return None
        began_ms = submitted_ms or await self.now_ms()
        kept = await self._redis.set(self._keys.run_began(name), began_ms, nx=True, get=True, ex=KEEP_RUN_S)
        return Run(name, int(kept) if kept is not None else began_ms)

    async def find(self, wanted: ScanFilter = EVERYTHING, *, limit: int = 20) -> list[ScanRecord]:
        """Return scans, most recently seen first."""
        return [parse(scan_id, fields) for scan_id, fields in await self.fields(wanted, RETURNED, limit=limit)]

    async def index_name(self) -> str:
        """Return the name of the active generation's index."""
        return self._documents.index((await self.vectors.record()).active).name

    async def fields(self, wanted: ScanFilter, names: Sequence[str], *, limit: int) -> list[tuple[str, dict[str, str]]]:
        """Return id and these fields of matching scans, most recently seen first; missing fields are empty."""
        prefix, within = self._keys.scan_prefix, wanted.expression()
        return await fields_of_records(self._redis, self._documents, within, names, prefix=prefix, limit=limit)

    async def found_again(self, scan_ids: Sequence[str], names: Sequence[str]) -> dict[str, ScanRecord]:
        """Return scans that a search has found, by id, without deleted ones; in a fourth of the time of ``get_many``.

        Fields that are not in ``names`` are empty.
        """
        prefix = self._keys.scan_prefix
        among = [f"{prefix}{scan_id}" for scan_id in scan_ids]
        found = await fields_of_records(
            self._redis, self._documents, None, names, prefix=prefix, limit=len(among), among=among
        )
        return {scan_id: parse(scan_id, fields) for scan_id, fields in found}

    async def get_many(self, scan_ids: Sequence[str]) -> list[ScanRecord]:
        """Return the scans with these ids, in that order, without missing ones."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for scan_id in scan_ids:
                pipe.hmget(self._keys.scan(scan_id), list(RETURNED))
            rows = await pipe.execute() if scan_ids else []
        found = ((scan_id, dict(zip(RETURNED, row, strict=True))) for scan_id, row in zip(scan_ids, rows, strict=True))
        return [parse(scan_id, fields) for scan_id, fields in found if fields["page"] is not None]

    async def newest_of_pages(
        self,
        wanted: ScanFilter = EVERYTHING,
        *,
        by_terms: bool = False,
        limit: int = MAX_PAGES,
        picked: Sequence[str] = PICKED,
    ) -> list[PageState]:
        """Return the newest matching record of each page in each of its states, most recently seen first.

        With ``begun_by_ms`` that is the state at that time; ``by_terms`` returns a record for each set of terms. Fields
        that are not in ``picked`` are empty.
        """
        prefix, within = self._keys.scan_prefix, wanted.expression()
        rows = limit if by_terms else limit * MAX_TERMS
        group = ("page", "terms") if by_terms else ("page", "terms", "page_state")
        found = await newest_of_pages(
            self._redis, self._documents, within, group=group, prefix=prefix, limit=rows, picked=picked
        )
        return found if by_terms else newest_by_state(found)[:limit]

    async def states_of_records(self, wanted: ScanFilter, *, limit: int = MAX_PAGES) -> list[PageState] | None:
        """Return a brief state for each matching record; None for more than ``limit`` of them."""
        prefix, within = self._keys.scan_prefix, wanted.expression()
        return await states_of_records(self._redis, self._documents, within, prefix=prefix, limit=limit)

    async def search(
        self, text: str, wanted: ScanFilter = EVERYTHING, *, limit: int = 10, names: Sequence[str] = RETURNED
    ) -> list[Neighbour]:
        """Return the scans closest in meaning to ``text``, as ``similar`` does. Raises ``ModelError``."""
        found, _ = await self.vectors.looked_up(
            text, lambda placed: self.similar(placed, wanted, limit=limit, names=names)
        )
        return found

    async def similar(
        self, placed: Placed, wanted: ScanFilter = EVERYTHING, *, limit: int = 10, names: Sequence[str] = RETURNED
    ) -> list[Neighbour]:
        """Return the scans closest in meaning, closest first; fields that are not in ``names`` are empty.

        Raises ``ModelError`` for a vector of the wrong size, ``IndexMoved`` for one of a retired generation.
        """
        query = VectorQuery(
            vector=placed.blob(),
            vector_field_name=placed.generation.field,
            dtype=placed.generation.dtype,
            filter_expression=wanted.expression(),
            return_fields=list(names),
            num_results=limit,
        )
        rows = await self._documents.run(query, generation=placed.generation)
        return [Neighbour(self._record(row), float(row["vector_distance"])) for row in rows]

    def _record(self, row: dict[str, Any]) -> ScanRecord:
        return parse(str(row["id"]).removeprefix(self._keys.scan_prefix), row)


async def recorded_history(redis: Redis, keys: Keys, open_embedder: OpenEmbedder | None = None) -> History | None:
    """Return the history for reading; None before a worker has created it. Search by meaning needs ``open_embedder``.

    Creates no index: a worker decides on the vectors' model (``Embeddings.claim``), and a command that ran first with
    other settings would shut the workers out.
    """
    if await read_record(redis, keys) is None:
        return None
    return History(Embeddings(redis, keys, open_embedder=open_embedder))
