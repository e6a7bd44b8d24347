"""``sightline schedule``: adds, lists and removes schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from producer.cli.ci import say
from producer.cli.connect import with_client
from producer.cli.scan.appearance import states_of
from producer.cli.scan.command import scan
from producer.cli.scan.config_file import config_options
from producer.cli.scan.journeys import check_without_variables, journey_options, read_journeys
from producer.cli.scan.options import STANDARDS, ScanOptions, groups_of, page_options, request_options
from producer.cli.scan.report_options import FAIL_ON, report_options
from producer.cli.status_text import pages_text
from producer.cli.terminal import NamingGroup, json_option, print_each
from producer.contract.addresses import public_url
from producer.contract.payloads import FIND_PAGES
from producer.errors import InputError
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.cli.scan.targets import Targets
    from producer.client.client import Client
    from producer.client.queue_info import BatchInfo
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
    """Manage schedules: scans that workers submit at set times."""


@schedule.command(short_help="Add or replace a schedule.")
@click.argument("name")
@click.argument("cron", metavar="CRON")
@click.argument("urls", nargs=-1, metavar="[URL]…")
@click.option("--file", "-f", "file", type=click.Path(), metavar="F", help="Addresses, one per line; '-' is stdin.")
@click.option("--standard", type=click.Choice(STANDARDS), help="Rules to apply.")
@_options_of_scan
@page_options
@journey_options
@click.option("--no-assess", is_flag=True, help="Report findings only, without a model's assessment.")
@click.option(
    "--time-zone", default="UTC", show_default=True, metavar="TZ", help="Time zone of CRON, such as Europe/Berlin."
)
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="Threshold of 'schedule report'.  [default: serious]")
@click.option("--strict", is_flag=True, help="Pages in doubt also fail 'schedule report'.")
def add(
    name: str,
    cron: str,
    urls: tuple[str, ...],
    *,
    file: str | None,
    standard: str | None,
    no_assess: bool,
    time_zone: str,
    fail_on: str | None,
    strict: bool,
    **page: Any,
) -> None:
    """Scan the URLs as one batch at the times of CRON (minute hour day month weekday).

    Workers read sitemaps and crawl again for each run, under the same network rules as scans; 'add' tries it once.

    \b
    sightline schedule add nightly '0 3 * * *' https://example.org/ https://example.org/about
    sightline schedule add weekly '30 2 * * 1' --file urls.txt
    sightline schedule add shop '0 4 * * *' --crawl https://shop.example/ --time-zone Europe/Berlin
    sightline schedule add docs '0 5 * * *' --sitemap https://a.example/ --fail-on critical
    sightline schedule add cart '0 5 * * *' https://shop.example/cart --steps dialog.json
    """
    from producer.stored.due_times import check_cron, zone_of

    check_cron(cron)
    zone_of(time_zone)
    fields: JsonObject = ({"standard": standard} if standard else {}) | ({"assess": False} if no_assess else {})
    gate: JsonObject = ({"fail_on": fail_on} if fail_on else {}) | ({"strict": True} if strict else {})
    kind, payloads, pages = _asked(urls, file, ScanOptions(**page), fields)
    added = (name, cron, kind, payloads, "" if time_zone == "UTC" else time_zone, gate)
    with_client(lambda client: _add(client, *added))
    found_again = " now, searched again for each run," if kind == FIND_PAGES else ""
    click.echo(f"{name}: {counted(pages, 'page')}{found_again} at '{cron}' {time_zone}")


async def _add(client: Client, *fields: Any) -> None:
    from producer.stored.schedules import Schedule

    await _schedules(client).add(Schedule(*fields))


def _asked(
    urls: Sequence[str], file: str | None, asked: ScanOptions, fields: JsonObject
) -> tuple[str, tuple[JsonObject, ...], int]:
    """Return the kind and payloads of the jobs of a run, and how many pages it has now."""
    from producer.cli.scan.target_list import Targets
    from producer.cli.scan.targets import check_choice
    from producer.cli.schedule_search import check_pages, found_now, search_for

    check_choice(asked)
    check_without_variables(asked)
    is_search = bool(asked.sitemaps or asked.crawl)
    given = _targets(urls, file, asked) if urls or file or not is_search else Targets()
    targets = found_now(given, asked) if is_search else given
    for remark in targets.remarks:
        say(remark)
    if targets.refused:
        raise InputError(targets.refused[0].problem)
    fields = request_options(asked) | fields
    payloads = tuple(_payloads(targets, asked, fields))
    if not is_search:
        return "scan", payloads, len(payloads)
    check_pages(payloads)
    return FIND_PAGES, (search_for(given.urls, asked, fields),), len(payloads)


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


@schedule.command(short_help="Report a schedule's last run.")
@click.argument("name")
@click.option("--wait", is_flag=True, help="Wait until the run has ended.")
@report_options
@config_options
@click.pass_context
def report(context: click.Context, name: str, **options: Any) -> int:
    """Report the last run of a schedule, like 'result', with the gate given to 'schedule add'.

    \b
    sightline schedule report nightly
    sightline schedule report nightly --wait --format junit=nightly.xml

    Exit codes are those of scan: 0 if the gate passes, 1 if it fails, 2 if a page could not be scanned.
    """
    from producer.cli.result import result

    one, batch = with_client(lambda client: _schedules(client).last_run(name), timeout_s=options["timeout_s"])
    options["fail_on"] = options["fail_on"] or one.gate.get("fail_on")
    options["strict"] = options["strict"] or bool(one.gate.get("strict"))
    say(f"run {batch}")
    return context.invoke(result, job_id=batch, as_json=False, **options)


@schedule.command(short_help="Remove a schedule.")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a schedule. Scans that were already submitted continue.

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
    """Return the addresses given as arguments or in a file."""
    from producer.cli.scan.targets import read_targets

    asked = replace(asked, sitemaps=(), crawl=())
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
    return {**one.document, "payloads": shown, **run}


def _line(listed: tuple[Schedule, BatchInfo | None]) -> str:
    one, last = listed
    urls = one.urls or [""]
    what = "pages found for each run: " if one.kind == FIND_PAGES else ""
    rest = f" and {len(urls) - 1:,} more" if len(urls) > 1 else ""
    when = f"{one.cron} {one.time_zone}".rstrip()
    return f"{one.name:20} {when:20} {what}{one_line(public_url(urls[0]), limit=60)}{rest}{_came_to(last)}"


def _came_to(last: BatchInfo | None) -> str:
    if last is None:
        return ""
    dead = f", {last.dead:,} dead" if last.dead else ""
    running = "" if last.finished_ms else f"; {last.done:,} of {last.total:,} ended"
    return f"  last: {pages_text(last.pages)}{dead}{running}"
