"""``sightline top``: the live board, as JSON or on a terminal (``top_watch.py``)."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from producer.cli.connect import with_client
from producer.cli.terminal import json_option
from producer.reports.jsonl import line_of

if TYPE_CHECKING:
    from producer.client.client import Client

EVERY_S: Final = 1.0


@click.command()
@click.option("--once", is_flag=True, help="Show the board once and exit.")
@json_option("One line of JSON per second. Default in a pipe.")
def top(*, once: bool, as_json: bool) -> None:
    """Show lanes, workers and rates live, every second; q or Ctrl-C ends.

    Keys: up and down (or k and j) choose a batch or a job; p pauses or resumes its batch, c cancels it after
    confirmation, o shows its status; s sorts the running jobs by worker, time or batch.

    Rates are for the last minute, tokens for the day (UTC). Recent failures are at the bottom; for all of them, see
    'sightline dead list' and 'sightline watch'.

    \b
    sightline top
    sightline top --once
    sightline top --once --json | jq .queue.lanes.batch.queued
    """
    if as_json:
        with_client(lambda client: _lines(client, once=once))
        return
    with contextlib.suppress(KeyboardInterrupt):
        with_client(lambda client: _screen(client, once=once))


async def _lines(client: Client, *, once: bool) -> None:
    import asyncio

    from producer.views.board import read_board

    while True:
        click.echo(line_of({"v": 1, **asdict(await read_board(client))}))
        if once:
            return
        await asyncio.sleep(EVERY_S)


async def _screen(client: Client, *, once: bool) -> None:
    from producer.cli.top_watch import watch  # imports Rich (30 ms): only for a terminal

    await watch(client, once=once, every_s=EVERY_S)
