"""Time-outs of runs, without a timer for each: most runs end long before theirs, and asyncio keeps cancelled timers.

Runs of one length of time end in the order they began, so one timer a length is enough. Next: ``execute.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable


class Deadlines:
    """The deadlines of one event loop; ``on_due`` is called once for each run that is not taken out in time."""

    def __init__(self, on_due: Callable[[Hashable], None]) -> None:
        self._on_due = on_due
        self._waiting: dict[float, dict[Hashable, float]] = {}

    def begin(self, run: Hashable, timeout_s: float) -> None:
        """Count ``timeout_s`` from now."""
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout_s
        runs = self._waiting.get(timeout_s)
        if runs is None:
            runs = self._waiting[timeout_s] = {}
            loop.call_at(due, self._look, loop, timeout_s)
        runs[run] = due

    def end(self, run: Hashable, timeout_s: float) -> None:
        """Count no more. Safe to call twice, and late."""
        self._waiting.get(timeout_s, {}).pop(run, None)

    def _look(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """Stop what is due; wait for the next one. A length without runs keeps no timer."""
        runs, now = self._waiting[timeout_s], loop.time()
        for run in [run for run, due in runs.items() if due <= now]:
            del runs[run]
            self._on_due(run)
        if runs:
            loop.call_at(next(iter(runs.values())), self._look, loop, timeout_s)
        else:
            del self._waiting[timeout_s]
