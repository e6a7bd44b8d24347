"""``sightline watch``: prints events, and how to continue without missing any."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import click

from producer.cli.ci import say
from producer.cli.connect import with_client
from producer.cli.status_text import clock
from producer.cli.terminal import json_option
from producer.client.given import check_event_id
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, middle_cut, one_line

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.contract import Event

_LEAST_ADDRESS: Final = 24
"""Characters of an address that are enough to recognize it."""


@click.command()
@click.option(
    "--since", metavar="ID", default="$", help="Start after this event; 0 starts with the oldest kept.  [default: now]"
)
@json_option("One line of JSON per event. Default in a pipe.")
def watch(*, since: str, as_json: bool) -> None:
    """Print events as they happen, until Ctrl-C; then print the option that continues without missing any.

    \b
    sightline watch
    sightline watch --since 1763862000123-0 --json
    """
    check_event_id(since)
    last_id = ""

    async def follow(client: Client) -> None:
        from producer.redis.connection import explained

        nonlocal last_id

        def note_outage(error: Exception) -> None:
            what = explained(error, client.settings)
            say(f"{what}; watching resumes when it is back")

        async for event in client.events(since=since, on_outage=note_outage):
            if as_json:
                click.echo(line_of(event.model_dump(mode="json", exclude_none=True)))
            else:
                click.echo(event_line(event, width=shutil.get_terminal_size().columns))
            last_id = event.id or last_id

    try:
        with_client(follow)
    except KeyboardInterrupt:
        raise click.Abort(
            f"stopped; continue with: sightline watch --since {last_id}" if last_id else "stopped"
        ) from None


def event_line(event: Event, *, width: int = 1000) -> str:
    """Return an event as one line for a person; text from pages and errors is sanitized.

    If ``width`` is small, the worker is left out, then the middle of the address. An error's message is never cut.
    """
    more = event.model_extra or {}
    about = one_line(str(more.get("url") or event.job_id or event.batch or ""), limit=200)
    head, details = (clock(event.at_ms), f"{one_line(event.event):<16}"), tuple(_details(event, more))
    line = _joined(*head, about, *details, one_line(event.worker or ""))
    if len(line) > width:
        line = _joined(*head, about, *details)
    if len(line) > width and not isinstance(more.get("error"), dict):
        line = _joined(*head, middle_cut(about, max(len(about) + width - len(line), _LEAST_ADDRESS)), *details)
    return line


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _details(event: Event, more: Mapping[str, Any]) -> Iterator[str]:
    status, barriers, error = more.get("status"), more.get("barriers"), more.get("error")
    if status not in {None, "scanned"}:
        yield one_line(str(status))
    elif isinstance(barriers, int):
        yield counted(barriers, "element")
    if event.event == "scan.regressed":
        counts = [f"{more[name]} {name}" for name in ("critical", "serious") if more.get(name)]
        yield one_line(f"new: {', '.join(counts)}") if counts else "new"
        yield one_line(", ".join(map(str, more.get("rules") or ())), limit=200)
        yield one_line(", ".join(str(one["name"]) for one in more.get("components") or ()), limit=300)
    if event.event.startswith("batch."):
        counts = (f"{more[name]} {name}" for name in ("succeeded", "dead", "cancelled") if more.get(name))
        pages = cast("dict[str, int]", more.get("pages") or {})
        of_pages = (f"{number} {status}" for status, number in pages.items() if number and status != "scanned")
        yield one_line(", ".join((*counts, *of_pages)))
    if isinstance(error, dict):
        yield one_line(str(cast("dict[str, Any]", error).get("message", "")), limit=300)
    if event.attempt is not None and event.attempt > 1:
        yield f"attempt {event.attempt}"
