"""``sightline top``: reads the board every second and draws it, until q. ``top_board.py`` lays it out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from producer.cli.connect import with_client
from producer.cli.terminal import json_option
from producer.errors import RedisUnreachable
from producer.reports.jsonl import line_of

if TYPE_CHECKING:
    import asyncio

    from producer.client.client import Client

EVERY_S: Final = 1.0
_QUIT: Final = frozenset("qQ\x1b\x03\x04")


@click.command()
@click.option("--once", is_flag=True, help="Show the board once and exit.")
@json_option("One line of JSON per second. Default in a pipe.")
def top(*, once: bool, as_json: bool) -> None:
    """Show lanes, workers and rates live, every second; q or Ctrl-C ends.

    Rates are for the last minute, tokens for the day (UTC). Recent failures are at the bottom; 'sightline dead list'
    and 'sightline watch' have all of them.

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
    import asyncio

    from rich.console import Console, Group  # 30 ms for those who see it
    from rich.live import Live
    from rich.text import Text

    from producer.cli.top_board import board_lines
    from producer.views.board import read_board

    console = Console(highlight=False, markup=False, emoji=False)
    board = await read_board(client)
    if once:
        console.print(*board_lines(board, width=console.width), sep="\n")
        return
    ended = asyncio.Event()
    quitting = asyncio.ensure_future(ended.wait())
    with _keys(ended), Live(console=console, screen=True, auto_refresh=False) as live:
        while not ended.is_set():
            problem = ""
            reading = asyncio.ensure_future(read_board(client))
            await asyncio.wait((reading, quitting), return_when=asyncio.FIRST_COMPLETED)
            if quitting.done():  # not only once a frozen Redis has replied
                reading.cancel()
                return
            try:
                board = await reading
            except RedisUnreachable as error:
                problem = str(error)
            room = console.height - 2
            lines = board_lines(board, width=console.width, height=room)
            last = Text(problem, style="bold red") if problem else Text("q ends", style="dim")
            blank = [Text()] * max(0, room - len(lines))
            live.update(Group(*lines[:room], *blank, Text(), last), refresh=True)
            await asyncio.wait((quitting,), timeout=EVERY_S)


@contextlib.contextmanager
def _keys(ended: asyncio.Event) -> Generator[None]:
    """Set ``ended`` when q is pressed; restores the terminal afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    import asyncio
    import termios  # not on Windows
    import tty  # the same

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        if _QUIT & set(sys.stdin.read(1)):
            ended.set()

    tty.setcbreak(descriptor)
    asyncio.get_running_loop().add_reader(descriptor, read)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
