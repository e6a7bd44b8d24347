"""Checks many rows in one test: a thousand small tests cost more to set up and report than to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def check_each(rows: Iterable[T], check: Callable[[T], object]) -> None:
    """Run ``check`` on every row; fail once at the end, naming each row that failed and why."""
    failed: list[str] = []
    seen = False
    for row in rows:
        seen = True
        try:
            check(row)
        except Exception as error:  # noqa: BLE001  whatever it is, the other rows are tried too
            failed.append(f"{row!r}: {type(error).__name__}: {error}")
    assert seen, "there are no rows"
    assert not failed, "\n".join(failed)
