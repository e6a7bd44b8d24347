"""``sightline schedule``: adds, lists and removes schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from producer.cli.connect import with_client
from producer.cli.scan.appearance import states_of
from producer.cli.scan.command import scan
from producer.cli.scan.journeys import check_without_variables, journey_options, read_journeys
from producer.cli.scan.options import STANDARDS, ScanOptions, groups_of, page_options, request_options
from producer.cli.status_text import pages_text
from producer.cli.terminal import NamingGroup, json_option, print_each
from producer.contract.addresses import public_url
from producer.errors import InputError
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.cli.scan.targets import Targets
    from producer.client.client import Client
    from producer.client.queue_view import BatchInfo
    from producer.contract import JsonObject
    from producer.stored.schedules import Schedule, Schedules


_CHOICE = ("sitemaps", "crawl", "max_pages", "per_pattern", "match", "exclude", "sitemap_replace", "ignore_robots")


def _options_of_scan(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``scan`` that find pages to a command."""
    options = {param.name: param for param in scan.params}
    command.__click_params__ = [  # pyright: ignore[reportFunctionMemberAccess]  where click's own decorators keep them
        *getattr(command, "__click_params__", []),
        *(options[name] for name in reversed(_CHOICE)),
    ]
    return command


@click.group(cls=NamingGroup)
def schedule() -> None:
    """Manage schedules: scans that workers submit at set times (UTC)."""


@schedule.command(short_help="Add or replace a schedule.")
@click.argument("name")
@click.argument("cron", metavar="CRON")
@click.argument("urls", nargs=-1, metavar="[URL]…")
@click.option("--file", "-f", "file", type=click.Path(), metavar="F", help="One URL a line; - reads stdin.")
@click.option("--standard", type=click.Choice(STANDARDS), help="Rules to apply.")
@_options_of_scan
@page_options
@journey_options
@click.option("--no-assess", is_flag=True, help="Findings only: no assessment.")
def add(
    name: str, cron: str, urls: tuple[str, ...], *, file: str | None, standard: str | None, no_assess: bool, **page: Any
) -> None:
    """Scan the URLs as one batch at the times of CRON (minute hour day month weekday).

    Pages of sitemaps and crawls are looked up now; repeat the command to update them.

    \b
    sightline schedule add nightly '0 3 * * *' https://example.org/ https://example.org/about
    sightline schedule add weekly '30 2 * * 1' --file urls.txt
    sightline schedule add shop '0 4 * * *' --crawl https://shop.example/ --max-pages 50
    sightline schedule add cart '0 5 * * *' https://shop.example/cart --steps dialog.json
    """
    from producer.cli.scan.targets import check_choice
    from producer.stored.schedules import Schedule, check_cron

    check_cron(cron)
    asked = ScanOptions(**page)
    check_choice(asked)
    check_without_variables(asked)
    targets = _targets(urls, file, asked)
    for remark in targets.remarks:
        click.echo(f"sightline: {remark}", err=True)
    if targets.refused:
        raise InputError(targets.refused[0].problem)
    fields = request_options(asked)
    fields |= ({"standard": standard} if standard else {}) | ({"assess": False} if no_assess else {})
    payloads = tuple(_payloads(targets, asked, fields))
    added = Schedule(name, cron, "scan", payloads)
    with_client(lambda client: _schedules(client).add(added))
    click.echo(f"{name}: {counted(len(payloads), 'page')} at '{cron}' UTC")


@schedule.command("list", short_help="List the schedules.")
@json_option("One line of JSON each. Default in a pipe.")
def list_schedules(*, as_json: bool) -> None:
    """List schedules with their pages and the outcome of the last run.

    \b
    sightline schedule list
    """

    async def read(client: Client) -> list[tuple[Schedule, BatchInfo | None]]:
        schedules = _schedules(client)
        runs = await schedules.last_runs()
        return [(one, runs.get(one.name)) for one in await schedules.all()]

    print_each(with_client(read), as_json=as_json, document=_document, line=_line, nothing="No schedules.")


@schedule.command(short_help="Remove a schedule.")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a schedule. Scans that it has already submitted continue.

    \b
    sightline schedule remove nightly
    """
    with_client(lambda client: _schedules(client).remove(name))
    click.echo(f"removed {name}")


def _payloads(targets: Targets, asked: ScanOptions, fields: JsonObject) -> Iterator[JsonObject]:
    """Yield the request of each job: a page, or a state reached by steps, in each appearance."""
    from producer.contract.addresses import stateless

    journeys = read_journeys(asked, {}, {})
    login = journeys.login_for(targets.urls)
    fields |= {} if login is None else {"login": login}
    named = groups_of(targets.urls, asked.groups)
    for url in targets.urls:
        gap: JsonObject = {"host_gap_ms": targets.gaps_ms[url]} if url in targets.gaps_ms else {}
        group: JsonObject = {"group": named[url]} if url in named else {}
        states = journeys.of([url]) or {url: ()}
        for address, steps in states.items():
            for look in states_of(asked):
                led: JsonObject = {"steps": list(steps)} if steps else {}
                yield {"url": targets.with_login(stateless(address)), **fields, **look, **led, **group, **gap}


def _schedules(client: Client) -> Schedules:
    from producer.stored.schedules import Schedules

    return Schedules(client)


def _targets(urls: Sequence[str], file: str | None, asked: ScanOptions) -> Targets:
    from producer.cli.scan.targets import read_targets

    if file is None:
        return read_targets(urls, None, asked)
    try:
        with click.open_file(file, encoding="utf-8") as lines:
            return read_targets(urls, lines, asked)
    except OSError as error:
        raise InputError(
            f"cannot read {file!r}: {error.strerror}; expected a file of addresses, one per line"
        ) from None


def _document(listed: tuple[Schedule, BatchInfo | None]) -> JsonObject:
    """Return the schedule as JSON, with its last run and without the user info of its pages."""
    one, last = listed
    shown = [
        {**payload, "url": public_url(str(payload["url"]))} if "url" in payload else payload for payload in one.payloads
    ]
    run = {"last": {**asdict(last), "not_scanned": last.missed}} if last else {}
    return {**asdict(one), "payloads": shown, **run}


def _line(listed: tuple[Schedule, BatchInfo | None]) -> str:
    one, last = listed
    first = one_line(public_url(str(one.payloads[0].get("url", ""))), limit=60)
    rest = f" and {len(one.payloads) - 1:,} more" if len(one.payloads) > 1 else ""
    return f"{one.name:20} {one.cron:20} {first}{rest}{_came_to(last)}"


def _came_to(last: BatchInfo | None) -> str:
    if last is None:
        return ""
    dead = f", {last.dead:,} dead" if last.dead else ""
    running = "" if last.finished_ms else f"; {last.done:,} of {last.total:,} ended"
    return f"  last: {pages_text(last.pages)}{dead}{running}"
