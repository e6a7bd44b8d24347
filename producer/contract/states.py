"""States of a page: one address in another colour scheme, at another width, with its dialog open. Pure, no pydantic.

A state is a short name, '' the default one. A page in a state has the address and ``page_id`` of the page; history
tells its states apart by their terms (``worker/memory/history/scan_record.py``): no scan of one state mends another.
Where a page is named by one text (a row, a baseline's path), the state follows it: ``/cart [dark]``. A space is in no
address in its one spelling, so that is no other page's name. Why: ``ops/decisions/0029-a-page-in-several-states.md``.
"""

from __future__ import annotations

from typing import Final

MAX_STATE_CHARS: Final = 200
_FORBIDDEN: Final = frozenset("[]")


def check_state(name: str) -> str:
    """Return a state's stripped name; raises ``ValueError`` if it cannot follow an address."""
    name = name.strip()
    if not name.isprintable() or _FORBIDDEN & set(name) or len(name) > MAX_STATE_CHARS:
        shown = name[:60] + ("…" if len(name) > 60 else "")  # noqa: PLR2004  enough to find it by
        msg = f"{shown!r} names no state: expected a line of up to {MAX_STATE_CHARS} characters without '[' and ']'"
        raise ValueError(msg)
    return name


def join_states(*names: str) -> str:
    """Return one name for a page in several states at once: ``dialog open, dark``; default ones add nothing."""
    return ", ".join(filter(None, names))


def with_state(page: str, state: str) -> str:
    """Return a page's name or address with its state: ``/cart [dark]``; in the default state as it is."""
    return f"{page} [{state}]" if state else page


def split_state(text: str) -> tuple[str, str]:
    """Undo ``with_state``."""
    page, sign, state = text.removesuffix("]").rpartition(" [") if text.endswith("]") else ("", "", "")
    return (page, state) if sign else (text, "")
