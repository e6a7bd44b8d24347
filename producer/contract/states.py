"""States of a page: the same address in another colour scheme, at another width, with its dialog open. Pure.

A state is a short name, '' for the default state. A page in a state has the address and ``page_id`` of the page; the
history distinguishes states by their terms (``worker/memory/history/scan_record.py``): a scan of one state never fixes
barriers of another. In texts that name a page (a row, a baseline's path), the state follows: ``/cart [dark]``. A
normalised address contains no space, so this is never another page's name. Why:
``ops/decisions/0029-a-page-in-several-states.md``.
"""

from __future__ import annotations

from typing import Final

MAX_STATE_CHARS: Final = 200
_FORBIDDEN: Final = frozenset("[]")


def check_state(name: str) -> str:
    """Return a state's stripped name; raises ``ValueError`` if it cannot follow an address."""
    name = name.strip()
    if not name.isprintable() or _FORBIDDEN & set(name) or len(name) > MAX_STATE_CHARS:
        shown = name[:60] + ("…" if len(name) > 60 else "")  # noqa: PLR2004  enough to recognise it
        msg = f"{shown!r} is not a state's name: expected up to {MAX_STATE_CHARS} characters without '[' and ']'"
        raise ValueError(msg)
    return name


def join_states(*names: str) -> str:
    """Return one name for a page in several states at once: ``dialog open, dark``; default states add nothing."""
    return ", ".join(filter(None, names))


def with_state(page: str, state: str) -> str:
    """Return a page's name or address with its state: ``/cart [dark]``; unchanged in the default state."""
    return f"{page} [{state}]" if state else page


def split_state(text: str) -> tuple[str, str]:
    """Undo ``with_state``."""
    page, sign, state = text.removesuffix("]").rpartition(" [") if text.endswith("]") else ("", "", "")
    return (page, state) if sign else (text, "")
