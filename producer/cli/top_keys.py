"""Maps the live board's keys to actions, which ``top_actions.py`` carries out: choose, sort, pause, cancel, open. Pure.

Pausing a job pauses its batch, if it has one. Cancelling asks for confirmation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from producer.cli.top_board import SORTS, Sort

HINT: Final = "q ends  ↑↓ choose  s sort  p pause  c cancel  o open"
_ARROWS: Final = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down"}
_KEYS: Final = {
    "k": "up",
    "j": "down",
    "q": "quit",
    "Q": "quit",
    "\x03": "quit",
    "\x04": "quit",
    "s": "sort",
    "p": "pause",
    "c": "cancel",
    "o": "open",
    "\n": "open",
    "\r": "open",
    "y": "yes",
    "\x1b": "leave",
}


@dataclass(frozen=True, slots=True)
class View:
    """The user's choices. ``asks`` is the line whose cancellation awaits confirmation; ``opened`` is shown in full."""

    chosen: str = ""
    sort: Sort = SORTS[0]
    asks: str = ""
    opened: str = ""
    said: str = ""

    @property
    def footer(self) -> str:
        """The last line of the screen."""
        if self.asks:
            return f"cancel {self.asks.replace(':', ' ', 1)}? press y to cancel it, any other key to keep it"
        return self.said or ("any key goes back" if self.opened else HINT)


@dataclass(frozen=True, slots=True)
class BoardAction:
    """An action: ``quit``, or ``pause``, ``cancel`` or ``open`` with a line's ``row_id``."""

    what: str
    row_id: str = ""


def keys_of(typed: str) -> Iterator[str]:
    """Yield the names of the typed keys; ``other`` for keys without a meaning."""
    while typed:
        arrow = next((name for name in _ARROWS if typed.startswith(name)), "")
        yield _ARROWS[arrow] if arrow else _KEYS.get(typed[0], "other")
        typed = typed[len(arrow) or 1 :]


def pressed(view: View, key: str, rows: Sequence[str]) -> tuple[View, BoardAction | None]:
    """Return the view after ``key``, and the action to take, if any; ``rows`` are the lines that can be chosen now."""
    if key == "quit":
        return view, BoardAction("quit")
    if view.asks:
        return replace(view, asks="", said=""), BoardAction("cancel", view.asks) if key == "yes" else None
    if view.opened:
        return replace(view, opened="", said=""), None
    view = replace(view, said="")
    match key:
        case "up" | "down":
            return replace(view, chosen=_beside(view.chosen, rows, 1 if key == "down" else -1)), None
        case "sort":
            return replace(view, sort=SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)]), None
        case "leave":
            return replace(view, chosen=""), None
        case "pause" | "cancel" | "open" if view.chosen not in rows:
            return replace(view, said="choose a batch or a job first: ↑ and ↓"), None
        case "cancel":
            return replace(view, asks=view.chosen), None
        case "pause" | "open":
            return view, BoardAction(key, view.chosen)
        case _:
            return view, None


def _beside(chosen: str, rows: Sequence[str], step: int) -> str:
    if not rows:
        return ""
    if chosen not in rows:
        return rows[0 if step > 0 else -1]
    return rows[max(0, min(len(rows) - 1, rows.index(chosen) + step))]
