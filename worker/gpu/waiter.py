"""One call that waits for a slot, as its worker keeps it."""

from __future__ import annotations

import asyncio

from worker.gpu.scripts import Answer, Ask


class Waiter:
    """``look`` is set when there is news of it; ``asking`` is the last question put to Redis.

    ``is_unserved`` says that all its hosts stay down.
    """

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.look = asyncio.Event()
        self.asking: asyncio.Task[Answer] | None = None
        self.is_unserved = False
