"""A slot while it is held, and a call that waits for a slot. Local only: ``pool.py`` talks to Redis."""

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
    """The right to make one call at a time on ``host``, until it is released or lost.

    ``wait_ms`` is how long it was waited for; ``ended_ms`` when it was released, Redis ms, 0 before that.
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
        """Whether the call was ended for an interactive one."""
        return self.why_lost == GIVES_WAY

    def give_way(self) -> None:
        """End the call for an interactive one."""
        log.info("gpu.gave_way", host=self.host, kind=self.kind, token=self.token)
        self.lose(GIVES_WAY)

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what ``call`` returns; one call at a time.

        Raises ``SlotLost`` when the slot is lost before, and the call is not begun, or meanwhile: the call is
        cancelled, or its answer discarded.
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
    """A call that waits: ``look`` is set when there is news of it; ``asking`` is the last question put to Redis.

    ``is_unserved`` says that all its hosts stay down, ``is_asked`` that its slot is wanted already; ``backoff`` paces
    its questions while Redis does not answer.
    """

    ask: Ask
    look: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Task[Answer] | None = None
    is_unserved: bool = False
    is_asked: bool = False
    backoff: Backoff = field(default_factory=new_backoff)
