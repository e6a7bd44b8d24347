"""Finds the newest recorded state of every page in one search, for questions about "the pages".

Redis groups the records by page and picks the newest of each, so that only these are transferred. A search that exceeds
``TIMEOUT_MS`` is an error, because RediSearch would return a part as if it were everything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, cast

from redis.asyncio import Redis
from redisvl.index import AsyncSearchIndex
from redisvl.query.filter import FilterExpression

from producer.contract import Counts
from producer.contract.findings import counts_of
from producer.contract.states import with_state
from producer.errors import ServiceError
from producer.redis.scripts import as_text
from worker.memory.vectors.documents import Documents
from worker.memory.vectors.indexes import TIMEOUT_MS

MAX_PAGES: Final = 10_000
"""Limit of one search; beyond it a question should name a site or a group."""
MAX_TERMS: Final = 4
"""Average number of terms per page that a search covers."""
PICKED: Final = (
    "__key",
    "page",
    "at_ms",
    "terms",
    "url",
    "title",
    "group_name",
    "rules",
    "impacts",
    "barriers",
    "last_seen_ms",
    "components",
    "page_state",
    "status",
)
BRIEF: Final = (
    "__key",
    "page",
    "at_ms",
    "terms",
    "url",
    "group_name",
    "last_seen_ms",
    "components",
    "page_state",
    "status",
)
"""The fields that a comparison of all pages reads of each."""
NEWEST: Final = ("__key", "page", "at_ms", "last_seen_ms", "terms", "page_state")
"""The fields that tell which records are the newest, and no more."""


_NO_TAGS: Final = frozenset[str]()
_NO_COUNTS: Final = Counts()


@dataclass(frozen=True, slots=True)
class PageState:
    """A summary of a page's newest recorded state. ``rules`` and ``impacts`` are tags made by ``exact_tag``.

    ``components`` are the ``issue_id`` of its component barriers, absent in records of earlier releases. ``others`` are
    the records of the page's other states, after ``one_a_page``.
    """

    scan_id: str
    terms: str
    url: str
    title: str
    group: str
    rules: frozenset[str]
    impacts: frozenset[str]
    barriers: Counts
    last_seen_ms: int
    components: frozenset[str] = frozenset()
    page_state: str = ""
    page: str = ""
    at_ms: int = 0
    status: str = ""
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The page's address and state."""
        return with_state(self.url, self.page_state)

    @property
    def harm(self) -> tuple[int, int, int, int]:
        """A sort key by barriers: critical ones first, then serious ones, and so on."""
        return (self.barriers.critical, self.barriers.serious, self.barriers.moderate, self.barriers.minor)


async def newest_of_pages(
    redis: Redis,
    documents: Documents,
    within: FilterExpression | None,
    *,
    group: Sequence[str] = ("page",),
    prefix: str,
    limit: int,
    picked: Sequence[str] = PICKED,
) -> list[PageState]:
    """Return up to ``limit`` newest states of each ``group`` of ``within``, most recently seen first.

    Fields that are not in ``picked`` are empty: each costs time for each record. Raises ``ServiceError`` when Redis
    takes longer than ``TIMEOUT_MS``.
    """
    query = "*" if within is None else str(within)
    raw = cast("Any", redis)  # redis-py 5 types its reply as that of a pipeline

    async def act(index: AsyncSearchIndex) -> list[Any]:
        return await raw.execute_command(*_command(index.name, query, group, limit, picked))

    began = time.monotonic()
    rows = await documents.attempt(act)
    if time.monotonic() - began >= TIMEOUT_MS / 1000:
        msg = f"grouping the history by page took over {TIMEOUT_MS / 1000:g} s: ask about one site or group"
        raise ServiceError(msg)
    return [_parse(row, prefix) for row in rows[1:]]


async def states_of_records(
    redis: Redis, documents: Documents, within: FilterExpression | None, *, prefix: str, limit: int
) -> list[PageState] | None:
    """Return the state in each matching record, with the fields of ``BRIEF``; None for more records than ``limit``.

    For up to some thousand records this takes a third of the time of grouping them in Redis twice.
    """
    query = "*" if within is None else str(within)
    names = [name for name in BRIEF if name != "__key"]
    raw = cast("Any", redis)

    async def act(index: AsyncSearchIndex) -> list[Any]:
        words = ("FT.SEARCH", index.name, query, "RETURN", len(names), *names)
        return await raw.execute_command(*words, "LIMIT", 0, limit, "TIMEOUT", TIMEOUT_MS, "DIALECT", 2)

    reply = await documents.attempt(act)
    keys, rows = reply[1::2], reply[2::2]
    if len(keys) < int(reply[0]):  # also where the time was over
        return None
    return [_brief(as_text(key).removeprefix(prefix), row) for key, row in zip(keys, rows, strict=True)]


async def fields_of_records(
    redis: Redis,
    documents: Documents,
    within: FilterExpression | None,
    names: Sequence[str],
    *,
    prefix: str,
    limit: int,
    among: Sequence[str] = (),
) -> list[tuple[str, dict[str, str]]]:
    """Return id and these fields of matching records, most recently seen first; with ``among``, only of these keys."""
    query = "*" if within is None else str(within)
    only = ("INKEYS", len(among), *among) if among else ()
    raw = cast("Any", redis)

    async def act(index: AsyncSearchIndex) -> list[Any]:
        words = ("FT.SEARCH", index.name, query, *only, "RETURN", len(names), *names, "SORTBY", "last_seen_ms", "DESC")
        return await raw.execute_command(*words, "LIMIT", 0, limit, "TIMEOUT", TIMEOUT_MS, "DIALECT", 2)

    reply = await documents.attempt(act)
    empty = dict.fromkeys(names, "")
    return [
        (
            as_text(key).removeprefix(prefix),
            empty | {name: as_text(value) for name, value in zip(_names(tuple(row[::2])), row[1::2], strict=True)},
        )
        for key, row in zip(reply[1::2], reply[2::2], strict=True)
    ]


def _brief(scan_id: str, row: Sequence[Any]) -> PageState:
    get = dict(zip(_names(tuple(row[::2])), row[1::2], strict=True)).get
    return PageState(
        scan_id,
        _word(get("terms", b"")),
        as_text(get("url")),
        "",
        _word(get("group_name", b"")),
        _NO_TAGS,
        _NO_TAGS,
        _NO_COUNTS,
        int(get("last_seen_ms") or 0),
        _tags(as_text(get("components"))),
        _word(get("page_state", b"")),
        as_text(get("page")),
        int(get("at_ms") or 0),
        _word(get("status", b"")),
    )


def newest_by_state(found: Sequence[PageState]) -> list[PageState]:
    """Return for each page and state the record with the newest terms, in the order given.

    Releases without states recorded a narrow window as the page itself: such a record, under the terms of a named
    state, is not the page's default state.
    """
    named = {(state.page, state.terms) for state in found if state.page_state}
    newest: dict[tuple[str, str], PageState] = {}
    for state in found:
        held = newest.get((state.page, state.page_state))
        is_older = held is not None and held.at_ms >= state.at_ms
        if not is_older and (state.page_state or (state.page, state.terms) not in named):
            newest[state.page, state.page_state] = state
    kept = {state.scan_id for state in newest.values()}
    return [state for state in found if state.scan_id in kept]


def one_a_page(found: Sequence[PageState]) -> list[PageState]:
    """Return one record per address, in the order given: its worst state, with the failures of all states."""
    states: dict[str, list[PageState]] = {}
    for state in found:
        states.setdefault(state.url or state.scan_id, []).append(state)
    return [some[0] if len(some) == 1 else _merged(some) for some in states.values()]


def _merged(states: Sequence[PageState]) -> PageState:
    worst = max(states, key=lambda state: state.harm)
    return replace(
        worst,
        others=tuple(state.scan_id for state in states if state is not worst),
        rules=frozenset[str]().union(*(state.rules for state in states)),
        impacts=frozenset[str]().union(*(state.impacts for state in states)),
        components=frozenset[str]().union(*(state.components for state in states)),
        last_seen_ms=max(state.last_seen_ms for state in states),
    )


def _command(index: str, query: str, group: Sequence[str], limit: int, picked: Sequence[str]) -> list[str]:
    """Return FT.AGGREGATE as words; redis-py 5's builder does not support TIMEOUT."""
    loaded = [f"@{name}" for name in picked]
    words = ["FT.AGGREGATE", index, query, "TIMEOUT", str(TIMEOUT_MS), "LOAD", str(len(loaded)), *loaded]
    words += ["GROUPBY", str(len(group)), *(f"@{name}" for name in group)]
    for name in picked:
        words += ["REDUCE", "FIRST_VALUE", "4", f"@{name}", "BY", "@at_ms", "DESC", "AS", f"newest_{name.strip('_')}"]
    words += ["SORTBY", "2", "@newest_last_seen_ms", "DESC", "MAX", str(limit), "LIMIT", "0", str(limit)]
    return [*words, "DIALECT", "2"]


def _parse(row: Sequence[Any], prefix: str) -> PageState:
    fields = {name: as_text(value) for name, value in zip(_names(tuple(row[::2])), row[1::2], strict=True)}
    text = fields.get
    return PageState(
        scan_id=fields["newest_key"].removeprefix(prefix),
        terms=text("newest_terms", ""),
        url=text("newest_url", ""),
        title=text("newest_title", ""),
        group=text("newest_group_name", ""),
        rules=_tags(text("newest_rules", "")),
        impacts=_tags(text("newest_impacts", "")),
        barriers=counts_of(text("newest_barriers") or "{}"),
        last_seen_ms=int(text("newest_last_seen_ms") or 0),
        components=_tags(text("newest_components", "")),
        page_state=text("newest_page_state", ""),
        page=text("newest_page", ""),
        at_ms=int(text("newest_at_ms") or 0),
        status=text("newest_status", ""),
    )


@lru_cache(maxsize=10)
def _names(names: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of a row's fields, which are the same in all rows."""
    return tuple(map(as_text, names))


@lru_cache(maxsize=1_000)
def _word(value: bytes) -> str:
    """Decode a text that recurs in many records, and cache it."""
    return as_text(value)


@lru_cache(maxsize=1_000)
def _tags(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) - {""}
