"""Reads component barriers: a site's barriers with dates, numbers of pages, and fixes.

Read-only: finish.lua counts component barriers when it commits a scan (``worker/queue/lua/_barriers.lua``), from the
output of ``components.py``. Like scans, they are kept until pruned; a component barrier on no page is fixed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import and_
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from redis.asyncio import Redis
from redisvl.index import AsyncSearchIndex
from redisvl.query.filter import FilterExpression, Num, Tag
from redisvl.schema import IndexSchema

from producer.contract import Impact
from producer.keys import Keys
from producer.redis.scripts import as_text
from worker.memory.vectors.indexes import TIMEOUT_MS, ensure_index, exact_tag, on_index, wait_until_indexed

T = TypeVar("T")
MAX_BARRIERS: Final = 10_000
"""Limit of one search; beyond it a question should name a site or a group."""
RETURNED: Final[tuple[str, ...]] = (
    "kind", "site", "host_name", "name", "rule", "impact", "first_ms", "since_ms", "returned_ms",
    "mended_ms", "pages", "elements", "groups", "run",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BarrierRecord:
    """A component barrier of a site. Times are Redis ms, 0 for never.

    ``since_ms`` is when it was first seen, or seen again after a fix (``returned_ms``). ``pages``, ``elements`` and
    ``groups`` (pages by group) are those affected now; ``run`` is the pipeline run that saw it first.
    """

    issue_id: str
    kind: str
    site: str
    host: str
    name: str
    rule: str
    impact: Impact | None
    first_ms: int
    since_ms: int
    returned_ms: int = 0
    mended_ms: int = 0
    pages: int = 0
    elements: int = 0
    groups: Mapping[str, int] = field(default_factory=dict[str, int])
    run: str = ""

    @property
    def is_mended(self) -> bool:
        """Whether no page has it any more."""
        return self.pages == 0

    def was_there(self, before_ms: int, *, run: str = "") -> bool:
        """Return whether it was known before a time and is not fixed; one first seen by ``run`` was not known."""
        # Also by name: if Redis's clock was set back, the run's own findings seem to predate it.
        return not self.is_mended and self.since_ms < before_ms and not (run and self.run == run)


@dataclass(frozen=True, slots=True)
class BarrierFilter:
    """Conditions that must all hold. ``since_ms``: first seen, or seen again, since then."""

    host: str | None = None
    kind: str | None = None
    rule: str | None = None
    impact: str | None = None
    group: str | None = None
    is_mended: bool | None = None
    since_ms: int | None = None
    mended_since_ms: int | None = None

    def expression(self) -> FilterExpression | None:
        """Return the filter as a RedisVL expression; None for all."""
        tags = {
            "host": self.host,
            "kind": self.kind,
            "rule": self.rule,
            "impact": self.impact,
            "group_tags": self.group,
        }
        parts = [Tag(name) == exact_tag(value) for name, value in tags.items() if value is not None]
        if self.is_mended is not None:
            parts.append(Num("pages") == 0 if self.is_mended else Num("pages") > 0)
        if self.since_ms is not None:
            parts.append(Num("since_ms") >= self.since_ms)
        if self.mended_since_ms is not None:
            parts.append(Num("mended_ms") >= self.mended_since_ms)
        return reduce(and_, parts) if parts else None


@dataclass(frozen=True, slots=True)
class PageBefore:
    """State before a scan is committed: of its page under its terms, of components, of its batch.

    ``held`` are the page's current component barriers, ``issue_id`` → elements, and ``state`` is their stored text.
    """

    held: Mapping[str, int]
    known: Mapping[str, BarrierRecord]
    batch_began_ms: int = 0
    state: str = ""


def schema(keys: Keys) -> IndexSchema:
    """Return the schema of the index of hashes under ``barrier:``, with no field that no query needs.

    Each field costs a first scan of a page (decision 0042). Indexes of earlier releases keep theirs.
    """
    fields: list[dict[str, Any]] = [
        *({"name": name, "type": "tag"} for name in ("kind", "site", "host", "rule", "impact", "group_tags")),
        {"name": "mended_ms", "type": "numeric"},
        *({"name": name, "type": "numeric", "attrs": {"sortable": True}} for name in ("since_ms", "pages")),
    ]
    # With the colon, as every prefix: see ``documents.index_schema``.
    index = {"name": keys.barriers_index, "prefix": keys.barrier_prefix, "storage_type": "hash"}
    return IndexSchema.from_dict({"index": index, "fields": fields})


class Barriers:
    """The component barriers of one environment."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._index = AsyncSearchIndex(schema(keys), redis_client=redis)

    async def ensure_index(self) -> None:
        """Create the index unless it exists. Safe to call twice and concurrently."""
        await ensure_index(self._index)

    async def get_many(self, issue_ids: Iterable[str]) -> dict[str, BarrierRecord]:
        """Return the known component barriers among these ids, in one round trip."""
        wanted = list(dict.fromkeys(issue_ids))
        async with self._redis.pipeline(transaction=False) as pipe:
            for issue_id in wanted:
                pipe.hmget(self._keys.barrier(issue_id), list(RETURNED))
            rows = await pipe.execute() if wanted else []
        return _parsed(wanted, rows)

    async def find(
        self,
        wanted: BarrierFilter = BarrierFilter(),
        *,
        limit: int = 1_000,
        by: Literal["pages", "since_ms", "mended_ms"] = "pages",
        without: Collection[str] = (),
    ) -> list[BarrierRecord]:
        """Return component barriers, sorted by ``by`` in descending order, except those in ``without``."""
        prefix = self._keys.barrier_prefix
        if without:  # only ids of what is left out: hundreds of waived barriers are often the worst ones
            reply = await self._searched(wanted, by, limit + len(without), "NOCONTENT")
            ids = (as_text(key).removeprefix(prefix) for key in reply[1:])
            return list((await self.get_many([one for one in ids if one not in without][:limit])).values())
        reply = await self._searched(wanted, by, limit, "RETURN", len(RETURNED), *RETURNED)
        rows = [dict(zip(map(as_text, row[::2]), row[1::2], strict=True)) for row in reply[2::2]]
        ids = (as_text(key).removeprefix(prefix) for key in reply[1::2])
        return [_parse(issue_id, row) for issue_id, row in zip(ids, rows, strict=True)]

    async def _searched(self, wanted: BarrierFilter, by: str, limit: int, *shown: Any) -> list[Any]:
        # Without RedisVL, which takes three times as long to read a reply.
        within = wanted.expression()
        words = ("FT.SEARCH", self._index.name, "*" if within is None else str(within), *shown)
        words = (*words, "SORTBY", by, "DESC", "LIMIT", 0, limit, "TIMEOUT", TIMEOUT_MS, "DIALECT", 2)
        raw: Any = self._redis
        return await self._on_index(lambda: raw.execute_command(*words))

    async def before(self, page: str, terms: str, issue_ids: Iterable[str], *, batch: str = "") -> PageBefore:
        """Return the state of a page and of these component barriers, in one round trip."""
        wanted = list(dict.fromkeys(issue_ids))
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(self._keys.components(page), terms)
            pipe.hget(self._keys.batch(batch), "created_ms")
            for issue_id in wanted:
                pipe.hmget(self._keys.barrier(issue_id), list(RETURNED))
            held, began_ms, *rows = await pipe.execute()
        state = as_text(held)
        return PageBefore(
            state_of(state)[0], _parsed(wanted, rows), int(as_text(began_ms) or 0) if batch else 0, state=state
        )

    async def _on_index(self, act: Callable[[], Awaitable[T]]) -> T:
        return await on_index(act, self._rebuild)

    async def _rebuild(self) -> None:
        await ensure_index(self._index)
        await wait_until_indexed(self._index)


def state_of(text: str) -> tuple[dict[str, int], str]:
    """Return the component barriers and the group in a field of ``components:<page>``.

    Nothing if finish.lua did not write it.
    """
    try:
        state = json.loads(text or "{}")
        return {str(issue_id): int(count) for issue_id, count in state["c"].items()}, str(state.get("g", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}, ""


@lru_cache(maxsize=1_000)
def _groups(text: str) -> Mapping[str, int]:
    """Return the pages by group; cached, since many component barriers of a site share them."""
    return MappingProxyType(json.loads(text or "{}"))


def _parsed(issue_ids: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, BarrierRecord]:
    found: dict[str, dict[str, Any]] = {
        issue_id: dict(zip(RETURNED, row, strict=True)) for issue_id, row in zip(issue_ids, rows, strict=True)
    }
    return {issue_id: _parse(issue_id, fields) for issue_id, fields in found.items() if fields["since_ms"] is not None}


def _parse(issue_id: str, fields: Mapping[str, Any]) -> BarrierRecord:
    text = {name: as_text(fields.get(name)) for name in RETURNED}
    numbers = {name: int(text[name] or 0) for name in RETURNED if name.endswith("_ms") or name in {"pages", "elements"}}
    return BarrierRecord(
        issue_id,
        kind=text["kind"],
        site=text["site"],
        host=text["host_name"],
        name=text["name"],
        rule=text["rule"],
        impact=Impact(text["impact"]) if text["impact"] else None,
        groups=_groups(text["groups"]),
        run=text["run"],
        **numbers,
    )
