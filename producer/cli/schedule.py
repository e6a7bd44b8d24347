"""``sightline schedule``: scans that come again. What the commands do is in ``schedule_command.py``."""

from __future__ import annotations

from typing import Any

import click

from producer.cli.scan.options import STANDARDS, page_options, request_options


@click.group()
def schedule() -> None:
    """Keep schedules: scans that any worker submits when their time has come. Times are UTC."""


@schedule.command(short_help="Add or replace a schedule.")
@click.argument("name")
@click.argument("cron", metavar="CRON")
@click.argument("urls", nargs=-1, metavar="[URL]…")
@click.option("--file", "-f", "file", type=click.Path(), metavar="F", help="One URL a line; - reads stdin.")
@click.option("--standard", type=click.Choice(STANDARDS), help="What to hold the pages to.")
@page_options
@click.option("--no-assess", is_flag=True, help="Findings only, no model.")
def add(
    name: str,
    cron: str,
    urls: tuple[str, ...],
    *,
    file: str | None,
    standard: str | None,
    groups: tuple[str, ...],
    no_assess: bool,
    **page: Any,
) -> None:
    """Scan the URLs as one batch whenever CRON (minute hour day month weekday) says so.

    \b
    sightline schedule add nightly '0 3 * * *' https://example.org/ https://example.org/about
    sightline schedule add weekly '30 2 * * 1' --file urls.txt
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.schedule_command import add_schedule  # noqa: PLC0415  --help needs none of it

    options = {"standard": standard, "assess": False if no_assess else None}
    given = {key: value for key, value in options.items() if value is not None}
    add_schedule(name, cron, urls, file, options=given | request_options(**page), groups=groups)


@schedule.command("list", short_help="List the schedules.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON each. Default in a pipe.")
def list_schedules(*, as_json: bool) -> None:
    """List the schedules and what they scan.

    \b
    sightline schedule list
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.schedule_command import list_all  # noqa: PLC0415  --help needs none of it

    list_all(as_json=as_json)


@schedule.command(short_help="Remove a schedule.")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a schedule; what it has submitted goes on.

    \b
    sightline schedule remove nightly
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.schedule_command import remove_schedule  # noqa: PLC0415  --help needs none of it

    remove_schedule(name)
