"""What ``sightline schedule add``, ``list`` and ``remove`` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from producer.cli.connect import with_client
from producer.cli.scan.options import groups_of
from producer.cli.scan.targets import read_targets
from producer.cli.terminal import is_terminal
from producer.contract import JsonObject
from producer.errors import InputError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line
from producer.stored.schedules import Schedule, Schedules, check_cron


def add_schedule(
    name: str, cron: str, urls: Sequence[str], file: str | None, *, options: JsonObject, groups: Sequence[str]
) -> None:
    """Keep the schedule; raises ``InvalidJob`` for a bad name or cron line, ``InputError`` for a bad address."""
    check_cron(cron)
    if file is None:
        targets = read_targets(urls, None)
    else:
        try:
            with click.open_file(file, encoding="utf-8") as lines:
                targets = read_targets(urls, lines)
        except OSError as error:
            msg = f"cannot read {file!r}: {error.strerror}; expected a file of addresses, one a line"
            raise InputError(msg) from None
    if targets.refused:
        raise InputError(targets.refused[0].problem)
    named = groups_of(targets.urls, groups)
    payloads = tuple({"url": url, **options} | ({"group": named[url]} if url in named else {}) for url in targets.urls)
    schedule = Schedule(name, cron, "scan", payloads)
    with_client(lambda client: Schedules(client).add(schedule))
    click.echo(f"{name}: {counted(len(payloads), 'page')} at '{cron}' UTC")


def list_all(*, as_json: bool) -> None:
    """Print the schedules by name."""
    schedules = with_client(lambda client: Schedules(client).all())
    is_line = as_json or not is_terminal()
    for schedule in schedules:
        if is_line:
            click.echo(line_of({"v": 1, **asdict(schedule)}))
        else:
            first = one_line(str(schedule.payloads[0].get("url", "")), limit=60)
            rest = f" and {len(schedule.payloads) - 1:,} more" if len(schedule.payloads) > 1 else ""
            click.echo(f"{schedule.name:20} {schedule.cron:20} {first}{rest}")
    if not schedules and not is_line:
        click.echo("No schedules.")


def remove_schedule(name: str) -> None:
    """Remove the schedule; raises ``UnknownJob``."""
    with_client(lambda client: Schedules(client).remove(name))
    click.echo(f"removed {name}")
