"""The live board on a terminal: reads and draws it every second, and handles keys, until q.

Keys are interpreted in ``top_keys.py``; the layout is in ``top_board.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from producer.cli.top_actions import act, opened
from producer.cli.top_board import board_lines
from producer.cli.top_keys import View, keys_of, pressed
from producer.cli.top_lists import Row
from producer.errors import RedisUnreachable
from producer.views.board import Board, read_board

if TYPE_CHECKING:
    from producer.client.client import Client

LAST_DEEDS_S: Final = 2.0


async def watch(client: Client, *, once: bool, every_s: float) -> None:
    """Show the board, refreshed every ``every_s`` seconds until q, or once."""
    console = Console(highlight=False, markup=False, emoji=False)
    board = await read_board(client)
    if once:
        console.print(*board_lines(board, width=console.width), sep="\n")
        return
    typed: asyncio.Queue[str] = asyncio.Queue()
    with _keys(typed), Live(console=console, screen=True, auto_refresh=False) as live:
        await Watch(client, live, typed, board, every_s=every_s).run()


class Watch:
    """The board on a terminal: read every ``every_s`` seconds, redrawn after each key. Keys never wait for Redis."""

    def __init__(self, client: Client, live: Live, typed: asyncio.Queue[str], board: Board, *, every_s: float) -> None:
        self._every_s = every_s
        self._client = client
        self._live = live
        self._typed = typed
        self._board = board
        self._problem = ""
        self._view = View()
        self._rows: list[str] = []
        self._actions: dict[asyncio.Task[str], Callable[[str], None]] = {}

    async def run(self) -> None:
        """Watch until q, then wait briefly for started actions."""
        begin = asyncio.get_running_loop().create_task
        next_s = time.monotonic() + self._every_s
        reading, typing = None, begin(self._typed.get())
        try:
            while True:
                self._draw()
                if reading is None and time.monotonic() >= next_s:
                    reading = begin(read_board(self._client))
                waited = {typing, *self._actions, *({reading} if reading else ())}
                due_s = None if reading else max(0.0, next_s - time.monotonic())
                done, _ = await asyncio.wait(waited, timeout=due_s, return_when=asyncio.FIRST_COMPLETED)
                if reading in done:
                    self._take(reading)
                    reading, next_s = None, time.monotonic() + self._every_s
                for task in self._actions.keys() & done:
                    self._actions.pop(task)(task.result())
                if typing in done:
                    if self._press(typing.result()):
                        return
                    typing = begin(self._typed.get())
        finally:
            if self._actions:
                await asyncio.wait(self._actions, timeout=LAST_DEEDS_S)
            for task in (typing, *self._actions, *((reading,) if reading else ())):
                task.cancel()

    def _press(self, typed: str) -> bool:
        """Handle typed keys; returns whether they end the watch."""
        begin = asyncio.get_running_loop().create_task
        for key in keys_of(typed):
            self._view, action = pressed(self._view, key, self._rows)
            if action is None:
                self._draw()  # the next key refers to the updated screen
                continue
            if action.what == "quit":
                return True
            if action.what == "open":
                self._actions[begin(opened(self._client, action.row_id))] = self._show
            else:
                self._actions[begin(act(self._client, action))] = self._say
        return False

    def _take(self, reading: asyncio.Task[Board]) -> None:
        try:
            self._board, self._problem = reading.result(), ""
        except RedisUnreachable as error:
            self._problem = str(error)

    def _show(self, text: str) -> None:
        self._view = replace(self._view, opened=text)

    def _say(self, text: str) -> None:
        self._view = replace(self._view, said=text)

    def _draw(self) -> None:
        width, room = self._live.console.width, self._live.console.height - 2
        if self._view.opened:
            lines = [Text(line) for line in self._view.opened.splitlines()]
        else:
            lines = board_lines(self._board, width=width, height=room, sort=self._view.sort, chosen=self._view.chosen)
        self._rows = list(dict.fromkeys(line.row_id for line in lines if isinstance(line, Row)))
        last = Text(self._problem, style="bold red") if self._problem else Text(self._view.footer, style="dim")
        last.truncate(width, overflow="ellipsis")
        blank = [Text()] * max(0, room - len(lines))
        self._live.update(Group(*lines[:room], *blank, Text(), last), refresh=True)


@contextlib.contextmanager
def _keys(typed: asyncio.Queue[str]) -> Generator[None]:
    """Put typed characters into ``typed``; restores the terminal's mode afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # not on Windows
    import tty  # the same

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        typed.put_nowait(os.read(descriptor, 1024).decode("utf-8", "replace") or "q")  # '': the terminal is gone

    tty.setcbreak(descriptor)
    asyncio.get_running_loop().add_reader(descriptor, read)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
