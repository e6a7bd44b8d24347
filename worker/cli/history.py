"""``sightline history``: shows past scans and trends, and prunes. Formats with ``history_text.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from producer.cli.scan.report_options import FAIL_ON
from producer.cli.terminal import json_option, print_each
from producer.contract.addresses import any_port, normal_url, page_ids, site_of, without_port
from producer.errors import InputError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted
from worker.cli.connect import read_settings, with_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.contract import Changes
    from producer.keys import Keys
    from producer.reports.site_days import Day
    from worker.cli.history_text import Shown
    from worker.memory.history.history import ScanFilter
    from worker.memory.history.scan_record import ScanRecord
    from worker.memory.history.trends import Groups
    from worker.settings import WorkerSettings

IMPACTS = FAIL_ON[:-1]
"""The values of ``--fail-on`` without ``never``; importing the contract's list would load pydantic."""
_NO_HOST: Final = re.compile(r"[/\s]|:(?!\d{1,5}$|\*$)[^\]]*$")
NOTHING: Final = "No matching scans are recorded."


class ListByDefault(click.Group):
    """A group that treats unknown commands as arguments of ``list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before such arguments."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["list", *args])


@click.group(cls=ListByDefault)
def history() -> None:
    """Show past scans and prune old records; the word 'list' may be left out."""


@history.command("list", short_help="Show past scans of pages, or a trend.")
@click.argument("url", required=False)
@click.option("--search", metavar="TEXT", help="Search by meaning; the closest first.")
@click.option("--group", metavar="G", help="Only this group.")
@click.option("--site", metavar="HOST", help="Only this site, such as localhost:3000, or 'localhost:*'.")
@click.option("--rule", metavar="R", help="Only pages that failed this rule, such as image-alt.")
@click.option("--impact", type=click.Choice(IMPACTS), help="Only pages with a barrier of this impact.")
@click.option("--since", metavar="D", help="Only scans since this time: 2026-11-01, yesterday, May, '3 weeks ago'.")
@click.option("--until", metavar="D", help="State of the pages at this time; with --trend, end of the period.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Maximum number of records.")
@click.option("--trend", is_flag=True, help="With --since: which groups got better or worse; with --site, day by day.")
@json_option("One line of JSON per record. Default in a pipe.")
def list_scans(*, trend: bool, as_json: bool, **options: Any) -> None:
    """Show the recorded states of pages, most recent first; with URL, those of one page and their changes.

    A scan that finds no change adds no record; the last one counts how often it was seen. 'sightline history prune'
    deletes old records.

    \b
    sightline history https://shop.example/cart
    sightline history --search 'forms without labels' --site shop.example
    sightline history --trend --since '3 months ago'
    sightline history --trend --since 2026-10-01 --until 2026-11-01
    """
    wanted = Wanted(**options)
    if not trend:
        _show_scans(wanted, as_json=as_json)
        return
    if wanted.since is None:
        raise click.UsageError("--trend compares with another time: add --since, such as --since '4 weeks ago'")
    is_of_both = wanted.group is not None and wanted.site is not None
    if any((wanted.url, wanted.search, wanted.rule, wanted.impact)) or is_of_both:
        msg = "--trend covers all groups, one --group, or the days of one --site: it takes no other option"
        raise click.UsageError(msg)
    _show_trend(wanted, as_json=as_json)


@history.command(short_help="Delete old records.")
@click.option(
    "--older-than", required=True, metavar="D", help="Delete records last seen before: 2026-01-01, '1 year', '90 days'."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def prune(*, older_than: str, as_json: bool) -> None:
    """Delete old records of pages. Each page keeps its newest record and its newest complete one.

    Also deletes component barriers that were fixed before that time; one that comes back later counts as new. Trends of
    sites are kept; trends of groups reach back as far as the records.

    \b
    sightline history prune --older-than '1 year'
    """
    from worker.memory.history.prune import Pruned, prune

    async def act(_: WorkerSettings, redis: Redis, keys: Keys) -> Pruned:
        return await prune(redis, keys, older_than_ms=_moment(older_than, await now_of(redis)))

    done = with_redis(read_settings(), act, doubt=lambda: "some records may have been deleted; run it again")
    if as_json:
        click.echo(
            line_of({"v": 1, "records": done.looked_at, "dropped": done.dropped, "component_barriers": done.barriers})
        )
        return
    gone = f", and {counted(done.barriers, 'fixed component barrier')}" if done.barriers else ""
    click.echo(f"deleted {done.dropped:,} of {counted(done.looked_at, 'record')}{gone}; the newest of each page stay")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the command, as typed."""

    url: str | None = None
    search: str | None = None
    group: str | None = None
    site: str | None = None
    rule: str | None = None
    impact: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 20

    def filter(self, now_ms: int) -> ScanFilter:
        """Return the history's filter; raises ``InputError`` for an invalid address or time."""
        from worker.memory.history.history import ScanFilter

        return ScanFilter(
            page=None if self.url is None else page_ids(_checked_url(self.url)),
            host=None if self.site is None else checked_host(self.site),
            group=self.group,
            rule=self.rule,
            impact=self.impact,
            since_ms=None if self.since is None else _moment(self.since, now_ms),
            begun_by_ms=None if self.until is None else _moment(self.until, now_ms),
        )


def _checked_url(url: str) -> str:
    try:
        normal_url(url)
    except ValueError:
        msg = f"{url!r} is not a page's address: expected http:// or https://; for all pages of a host use --site HOST"
        raise InputError(msg) from None
    return url


def checked_host(site: str) -> str:
    """Return the site as the history has it; raises ``InputError`` for one with a scheme or a path."""
    name = "" if _NO_HOST.search(site) else site_of(f"//{site}")
    if not name and site:
        msg = f"--site {site!r} is not a site: expected shop.example or localhost:3000, without scheme or path"
        raise InputError(msg)
    return any_port(name) if site.endswith(":*") else name


def _moment(text: str, now_ms: int) -> int:
    from worker.memory.dates import parse_when

    try:
        return parse_when(text, now_ms=now_ms)
    except ValueError as error:
        raise InputError(str(error)) from None


async def now_of(redis: Redis) -> int:
    """Return Redis's time, ms."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


# ------------------------------------------------------------------------------------------ states of pages


def _nothing(wanted: Wanted) -> str:
    """Say that nothing was found; a host without a port means the default port only."""
    site = wanted.site or ""
    other = f" For all ports of the host: --site '{any_port(site)}'." if site and site == without_port(site) else ""
    return NOTHING + other


def _show_scans(wanted: Wanted, *, as_json: bool) -> None:
    from worker.cli.history_text import Shown, scan_lines

    shown = with_redis(read_settings(), partial(_find, wanted=wanted))
    print_each(
        shown,
        as_json=as_json,
        document=Shown.document,
        line=lambda one: "\n".join(scan_lines(one)),
        nothing=_nothing(wanted),
    )
    if not as_json and len(shown) >= wanted.limit:
        click.echo(f"Only {counted(wanted.limit, 'record')} shown (--limit); there may be more.")


async def _find(settings: WorkerSettings, redis: Redis, keys: Keys, *, wanted: Wanted) -> list[Shown]:
    from worker.cli.history_text import Shown
    from worker.memory.history.history import recorded_history

    within = wanted.filter(await now_of(redis))
    if wanted.search is not None:
        return await _search(settings, redis, keys, wanted.search, within, limit=wanted.limit)
    history = await recorded_history(redis, keys)
    # One more, to compare the last one with.
    records = await history.find(within, limit=wanted.limit + 1) if history else []
    changes = changes_of(records) if wanted.url is not None else [None] * len(records)
    return [Shown(record, changes=changed) for record, changed in zip(records, changes, strict=True)][: wanted.limit]


async def _search(
    settings: WorkerSettings, redis: Redis, keys: Keys, text: str, within: ScanFilter, *, limit: int
) -> list[Shown]:
    """Search by meaning with the history's embedding model, regardless of this shell's settings."""
    from worker.cli.history_text import Shown
    from worker.memory.history.history import recorded_history
    from worker.models.routing import open_embedders

    async with open_embedders(settings, redis, keys, worker="history") as open_embedder:
        history = await recorded_history(redis, keys, open_embedder)
        found = await history.search(text, within, limit=limit) if history else []
    return [Shown(one.record, distance=one.distance) for one in found]


def changes_of(records: Sequence[ScanRecord]) -> Iterator[Changes | None]:
    """Yield what changed with each of a page's records, newest first.

    Each is compared with the previous complete one under the same terms.
    """
    from worker.memory.history.scan_record import compare

    for number, record in enumerate(records):
        older = (one for one in records[number + 1 :] if one.terms == record.terms)
        before = next((one for one in older if one.status == "scanned"), None)
        if before is None or record.status not in {"scanned", "partial"}:
            yield None
            continue
        yield compare(before, record.findings, is_whole=record.status == "scanned")


# ------------------------------------------------------------------------------------------ trends


def _show_trend(wanted: Wanted, *, as_json: bool) -> None:
    from worker.cli.history_text import day_document, day_lines, group_document, group_lines

    if wanted.site is not None:
        days = with_redis(read_settings(), lambda _, redis, keys: _days(redis, keys, wanted))
        documents, lines = map(day_document, days), day_lines(days) if days else [NOTHING]
    else:
        found = with_redis(read_settings(), lambda _, redis, keys: _groups(redis, keys, wanted))
        documents = (group_document(one, is_part=found.is_part) for one in found.groups)
        lines = group_lines(found) if found.groups else [NOTHING]
    for line in map(line_of, documents) if as_json else lines:
        click.echo(line)


async def _days(redis: Redis, keys: Keys, wanted: Wanted) -> list[Day]:
    from producer.reports.site_days import site_trend
    from worker.memory.dates import day_of

    within = wanted.filter(await now_of(redis))
    days = await site_trend(redis, keys, within.host or "", since_ms=within.since_ms or 0)
    last = day_of(within.begun_by_ms) if within.begun_by_ms is not None else ""
    return [day for day in days if not last or day.day <= last]


async def _groups(redis: Redis, keys: Keys, wanted: Wanted) -> Groups:
    from worker.memory.history.history import recorded_history
    from worker.memory.history.trends import Groups, group_trends

    within = wanted.filter(await now_of(redis))
    history = await recorded_history(redis, keys)
    if history is None:
        return Groups((), is_part=False)
    return await group_trends(history, since_ms=within.since_ms or 0, until_ms=within.begun_by_ms, group=wanted.group)
