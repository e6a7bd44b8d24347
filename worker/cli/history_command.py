"""What ``sightline history`` does: one look at the history, printed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click
from redis.asyncio import Redis

from producer.cli.terminal import is_terminal
from producer.contract import Changes
from producer.contract.addresses import host_of, normal_url, page_ids
from producer.errors import InputError
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted
from producer.reports.site_days import Day, site_trend
from worker.cli.history_text import (
    Shown,
    day_document,
    day_lines,
    group_document,
    group_lines,
    scan_lines,
)
from worker.memory.dates import parse_when
from worker.memory.history.history import ScanFilter
from worker.memory.history.prune import prune
from worker.memory.history.recorded import recorded_history
from worker.memory.history.scan_record import ScanRecord, compare
from worker.memory.history.trends import Groups, group_trends
from worker.memory.vectors.indexes import redis_errors as search_errors
from worker.models.routing import open_embedders
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

_NO_HOST = re.compile(r"[/\s]|^[^:]*:\d*$")
NOTHING = "No scans are recorded that fit."
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as it was typed."""

    url: str | None = None
    search: str | None = None
    group: str | None = None
    site: str | None = None
    rule: str | None = None
    impact: str | None = None
    since: str | None = None
    limit: int = 20

    def filter(self, now_ms: int) -> ScanFilter:
        """Return it as the history's filter; raises ``InputError`` for an address or a time that is none."""
        return ScanFilter(
            page=None if self.url is None else page_ids(checked_url(self.url)),
            host=None if self.site is None else checked_host(self.site),
            group=self.group,
            rule=self.rule,
            impact=self.impact,
            since_ms=None if self.since is None else moment(self.since, now_ms),
        )


def checked_url(url: str) -> str:
    """Return the address if a scan could have it; raises ``InputError``."""
    try:
        normal_url(url)
    except ValueError:
        msg = f"{url!r} is no address of a page: expected http:// or https://; for all pages of a host: --site HOST"
        raise InputError(msg) from None
    return url


def checked_host(site: str) -> str:
    """Return the host as the history has it; raises ``InputError`` for one with a scheme, a path or a port."""
    if _NO_HOST.search(site):
        msg = f"--site {site!r} is no host: expected a name such as shop.example, without https://, path and port"
        raise InputError(msg)
    return host_of(f"//{site}")


def moment(text: str, now_ms: int) -> int:
    """Return the time that ``text`` names; raises ``InputError``."""
    try:
        return parse_when(text, now_ms=now_ms)
    except ValueError as error:
        raise InputError(str(error)) from None


def show_scans(wanted: Wanted, *, as_json: bool) -> None:
    """Print the scans that fit."""
    shown = run(lambda settings, redis, keys: _find(settings, redis, keys, wanted))
    is_line = as_json or not is_terminal()
    for one in shown:
        _say([line_of(one.document())] if is_line else scan_lines(one))
    if not is_line and len(shown) >= wanted.limit:
        click.echo(f"At most {counted(wanted.limit, 'record')}, as --limit says; there may be more.")
    if not shown and not is_line:
        click.echo(NOTHING)


def show_trend(wanted: Wanted, *, as_json: bool) -> None:
    """Print the days of a site, or what became of groups."""
    is_line = as_json or not is_terminal()
    if wanted.site is not None:
        days = run(lambda _, redis, keys: _days(redis, keys, wanted))
        _say(map(line_of, map(day_document, days)) if is_line else day_lines(days) if days else [NOTHING])
        return
    found = run(lambda _, redis, keys: _groups(redis, keys, wanted))
    if is_line:
        _say(line_of(group_document(one, is_part=found.is_part)) for one in found.groups)
        return
    _say(group_lines(found) if found.groups else [NOTHING])


def prune_old(older_than: str, *, as_json: bool) -> None:
    """Drop old records, and say how many."""

    async def act(_: WorkerSettings, redis: Redis, keys: Keys) -> tuple[int, int]:
        before_ms = moment(older_than, await _now_ms(redis))
        done = await prune(redis, keys, older_than_ms=before_ms)
        return done.looked_at, done.dropped

    looked_at, dropped = run(act)
    if as_json:
        click.echo(line_of({"v": 1, "records": looked_at, "dropped": dropped}))
        return
    click.echo(f"dropped {dropped:,} of {counted(looked_at, 'record')}; the newest of each page stay")


# ------------------------------------------------------------------------------------------ looking


async def _find(settings: WorkerSettings, redis: Redis, keys: Keys, wanted: Wanted) -> list[Shown]:
    within = wanted.filter(await _now_ms(redis))
    if wanted.search is not None:
        return await _search(settings, redis, keys, wanted.search, within, limit=wanted.limit)
    history = await recorded_history(redis, keys)
    if history is None:
        return []
    # One more, which the last is compared with.
    records = await history.find(within, limit=wanted.limit + 1)
    if wanted.url is None:
        return [Shown(record) for record in records[: wanted.limit]]
    return [
        Shown(record, changes=changes)
        for record, changes in zip(records[: wanted.limit], _changes(records), strict=False)
    ]


async def _search(
    settings: WorkerSettings, redis: Redis, keys: Keys, text: str, within: ScanFilter, *, limit: int
) -> list[Shown]:
    """Search by meaning, with the model that the history was made with, whatever this shell's settings say."""
    async with open_embedders(settings, redis, keys, worker="history") as open_embedder:
        history = await recorded_history(redis, keys, open_embedder)
        found = await history.search(text, within, limit=limit) if history else []
    return [Shown(one.record, distance=one.distance) for one in found]


def _changes(records: Sequence[ScanRecord]) -> Iterator[Changes | None]:
    """Yield what changed with each of a page's records, newest first.

    It is compared with the one read whole before it under the same terms.
    """
    for number, record in enumerate(records):
        older = (one for one in records[number + 1 :] if one.terms == record.terms)
        before = next((one for one in older if one.status == "scanned"), None)
        if before is None or record.status not in {"scanned", "partial"}:
            yield None
            continue
        yield compare(before, record.findings, is_whole=record.status == "scanned")


async def _days(redis: Redis, keys: Keys, wanted: Wanted) -> list[Day]:
    since_ms = moment(wanted.since or "", await _now_ms(redis))
    return await site_trend(redis, keys, checked_host(wanted.site or ""), since_ms=since_ms)


async def _groups(redis: Redis, keys: Keys, wanted: Wanted) -> Groups:
    since_ms = moment(wanted.since or "", await _now_ms(redis))
    history = await recorded_history(redis, keys)
    return await group_trends(history, since_ms=since_ms, group=wanted.group) if history else Groups((), is_part=False)


async def _now_ms(redis: Redis) -> int:
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def run(action: Callable[[WorkerSettings, Redis, Keys], Awaitable[T]]) -> T:
    """Run ``action`` on the environment's Redis; raises ``ServiceError`` in place of Redis' own errors."""
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="warning", form="console")

    async def act() -> T:
        redis = open_redis(settings)
        try:
            with redis_errors(settings), search_errors():
                return await action(settings, redis, Keys(settings.environment))
        finally:
            await redis.aclose()

    return asyncio.run(act())


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
