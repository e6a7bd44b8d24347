"""What ``sightline top`` does: read the board every second and draw it, until q. Its looks are ``top_board.py``'s."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Generator
from dataclasses import asdict
from typing import Final

import click

from producer.cli.connect import with_client
from producer.cli.terminal import is_terminal
from producer.client.client import Client
from producer.errors import RedisUnreachable
from producer.reports.jsonl import line_of
from producer.views.board import read_board

EVERY_S: Final = 1.0
EXIT_INTERRUPTED: Final = 130
_QUIT: Final = frozenset("qQ\x1b\x03\x04")


def show(*, once: bool, as_json: bool) -> int:
    """Show the board, once or until the person has seen enough; returns the exit code."""
    is_lines = as_json or not is_terminal()
    try:
        with_client(lambda client: _lines(client, once=once) if is_lines else _screen(client, once=once))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED if is_lines else 0
    return 0


async def _lines(client: Client, *, once: bool) -> None:
    while True:
        board = await read_board(client)
        click.echo(line_of({"v": 1, **asdict(board)}))
        if once:
            return
        await asyncio.sleep(EVERY_S)


async def _screen(client: Client, *, once: bool) -> None:
    from rich.console import Console, Group  # noqa: PLC0415  30 ms for those who see it
    from rich.live import Live  # noqa: PLC0415  the same
    from rich.text import Text  # noqa: PLC0415  the same

    from producer.cli.top_board import board_lines  # noqa: PLC0415  the same

    console = Console(highlight=False, markup=False, emoji=False)
    board = await read_board(client)
    if once:
        console.print(*board_lines(board, width=console.width), sep="\n")
        return
    ended = asyncio.Event()
    with _keys(ended), Live(console=console, screen=True, auto_refresh=False) as live:
        while not ended.is_set():
            problem = ""
            try:
                board = await read_board(client)
            except RedisUnreachable as error:
                problem = str(error)
            room = console.height - 2
            lines = board_lines(board, width=console.width, height=room)
            last = Text(problem, style="bold red") if problem else Text("q ends", style="dim")
            blank = [Text()] * max(0, room - len(lines))
            live.update(Group(*lines[:room], *blank, Text(), last), refresh=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), EVERY_S)


@contextlib.contextmanager
def _keys(ended: asyncio.Event) -> Generator[None]:
    """Set ``ended`` when q is pressed; the terminal is as it was afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415  not on Windows
    import tty  # noqa: PLC0415  the same

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
