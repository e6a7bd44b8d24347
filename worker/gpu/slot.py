"""A held slot, and a call that waits for one. Local state only: ``pool.py`` talks to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from producer.errors import SlotLost
from producer.redis.backoff import Backoff
from producer.redis.lease import Lease
from worker.gpu.hosts import Kind
from worker.gpu.scripts import Answer, Ask, new_backoff

GIVES_WAY: Final = "it gave way to a question"

T = TypeVar("T")

log = structlog.get_logger()


class Slot(Lease):
    """The right to make one call at a time to ``host``, until it is released or lost.

    ``wait_ms`` is the wait for it; ``ended_ms`` the time of its release (Redis ms), 0 before.
    """

    def __init__(self, *, token: str, kind: Kind, host: str, wait_ms: int, ends_at: float) -> None:
        def loss(why: str) -> SlotLost:
            return SlotLost(f"the GPU slot on {host!r} was lost: {why}; the answer is discarded, ask again")

        super().__init__(ends_at, loss=loss)
        self.token = token
        self.kind: Kind = kind
        self.host = host
        self.wait_ms = wait_ms
        self.ended_ms = 0

    @property
    def gave_way(self) -> bool:
        """Whether the call was cancelled for an interactive one."""
        return self.why_lost == GIVES_WAY

    def give_way(self) -> None:
        """Cancel the call for an interactive one."""
        log.info("gpu.gave_way", host=self.host, kind=self.kind, token=self.token)
        self.lose(GIVES_WAY)

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run ``call`` and return its result; one call at a time.

        Raises ``SlotLost`` if the slot is lost before the call, which is then not started, or during it: the call is
        cancelled or its answer discarded.
        """
        if not self.is_held:
            call.close()
            raise self.loss()
        async with self.guard():
            answer = await call
        self.check()
        return answer


@dataclass(slots=True, eq=False)
class Waiter:
    """A waiting call: ``look`` is set when its status may have changed; ``asking`` is its last request to Redis.

    ``is_unserved`` means that all its hosts stay down, ``is_asked`` that its slot is already requested back;
    ``backoff`` paces requests while Redis does not reply.
    """

    ask: Ask
    look: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Task[Answer] | None = None
    is_unserved: bool = False
    is_asked: bool = False
    backoff: Backoff = field(default_factory=new_backoff)
