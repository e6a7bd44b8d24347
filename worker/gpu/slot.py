"""A held slot, and a call that waits for one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import structlog
from redis.exceptions import RedisError

from producer.errors import ModelUnreachable, SlotLost
from producer.redis.backoff import Backoff
from producer.redis.lease import Lease
from worker.gpu.hosts import Kind
from worker.gpu.scripts import Answer, Ask, PoolScripts, new_backoff, note_silence

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
    def yielded(self) -> bool:
        """Whether the call was cancelled for an interactive one."""
        return self.why_lost == GIVES_WAY

    def yield_slot(self) -> None:
        """Cancel the call for an interactive one."""
        log.info("gpu.yielded", host=self.host, kind=self.kind, token=self.token)
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
    scripts: PoolScripts
    look: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Task[Answer] | None = None
    is_unserved: bool = False
    is_asked: bool = False
    backoff: Backoff = field(default_factory=new_backoff)
    _heard: tuple[str, int] | None = None

    def hear(self, host: str, granted_ms: int) -> None:
        """Record a grant on ``host`` at ``granted_ms`` (Redis time)."""
        self._heard = host, granted_ms
        self.look.set()

    def take_heard(self) -> Answer | None:
        """Return the recorded grant; None without one, or if it may end before a beat confirms it."""
        heard, self._heard = self._heard, None
        if heard is None:
            return None
        host, granted_ms = heard
        age_s = self.scripts.clock.age_s(granted_ms, now=asyncio.get_running_loop().time())
        left_s = 0.0 if age_s is None else self.scripts.timing.confirm_s - age_s
        return Answer("granted", host, left_s=left_s) if self._lasts(left_s) else None

    async def request(self) -> Answer:
        """Return its status, after enqueueing it or confirming a grant that is about to expire.

        If Redis does not reply, the status is ``silent``.
        """
        self.look.clear()
        try:
            answer = await self.scripts.check(self.ask) if self.ask.seq else Answer("gone")
            if answer.verdict == "gone" or (answer.verdict == "granted" and not self._lasts(answer.left_s)):
                answer = await self.scripts.acquire(self.ask)
                self.ask = replace(self.ask, seq=answer.seq)
        except (RedisError, OSError) as error:
            note_silence("acquire", error)
            return Answer("silent")
        self.backoff.reset()
        return answer

    async def until_news(self, answer: Answer) -> None:
        """Wait until its status may have changed; raise ``ModelUnreachable`` if nobody serves it."""
        if answer.verdict == "unserved" or self.is_unserved:
            names = ", ".join(repr(host.name) for host in self.ask.hosts)
            msg = f"no model host answers at {names}: start Ollama there, or set OLLAMA_BASE_URL or CHAT_MODEL=builtin"
            raise ModelUnreachable(msg)
        limit_s = self.backoff.pause_s() if answer.verdict == "silent" else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.look.wait()

    def _lasts(self, left_s: float) -> bool:
        """Whether an unconfirmed grant lasts until a beat confirms it."""
        return left_s >= self.scripts.timing.confirm_s / 2
