"""Counts what a component under test does, so that a test waits for its next action instead of polling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

DEADLINE_S = 60.0
"""Time limit of a wait; not a promise of the product."""

P = ParamSpec("P")
R = TypeVar("R")


class Signal:
    """A counter of events, which any thread may raise."""

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._changed = threading.Condition()

    def after(self, function: Callable[P, R]) -> Callable[P, R]:
        """Wrap ``function`` so that the signal is raised after each return."""

        def wrapped(*args: P.args, **options: P.kwargs) -> R:
            result = function(*args, **options)
            self.raise_once()
            return result

        return wrapped

    def raise_once(self) -> None:
        """Count one event and wake all waiters."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    async def times(self, more: int = 1) -> None:
        """Wait for ``more`` events from now on; ``AssertionError`` after ``DEADLINE_S``."""
        await asyncio.to_thread(self._wait, self.count + more)

    def _wait(self, least: int) -> None:
        with self._changed:
            came = self._changed.wait_for(lambda: self.count >= least, DEADLINE_S)
        assert came, f"{self._what}: {self.count} times within {DEADLINE_S:g} s, expected {least}"
