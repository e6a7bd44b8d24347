"""Listens for grants: one subscription per worker, on its own connection.

A message is a grant, ``MS TOKEN HOST`` (Redis's time at the grant, the waiter's token, its host), or after ``GIVE_WAY``
the token of a holder asked to release its slot. A message lost with the connection only causes a delay: an unconfirmed
grant passes on after a second, and ``on_ready`` asks Redis after each new subscription.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from producer.redis.raw_connection import end, replied
from producer.redis.scripts import as_text
from worker.gpu.scripts import LONGEST_PAUSE_S, new_backoff, note_silence
from worker.telemetry import in_background

GIVE_WAY: Final = "give-way "
SILENT_S: Final = 5.0
"""Time without a message after which the connection is probed, to detect a half-open one."""


class WakeListener:
    """Calls ``on_wake(message)`` for each message on ``channel``, and ``on_ready()`` after each new subscription."""

    def __init__(
        self, redis: Redis, channel: str, *, on_wake: Callable[[str], None], on_ready: Callable[[], None]
    ) -> None:
        self._redis = redis
        self._channel = channel
        self._on_wake = on_wake
        self._on_ready = on_ready
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once subscribed. Raises redis-py's errors."""
        self._pubsub = await self._subscribe()
        self._task = in_background(self._listen, name="gpu-wakes", again_s=LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """Unsubscribe. Safe to call twice."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _subscribe(self) -> PubSub:
        pubsub = self._redis.pubsub()
        try:
            await replied(pubsub.subscribe(self._channel))
            # Wait for the reply to SUBSCRIBE: messages sent before it are not received.
            while await replied(pubsub.get_message(timeout=None)) is None:
                pass
        except BaseException:
            await _close(pubsub)
            raise
        return pubsub

    async def _listen(self) -> None:
        backoff = new_backoff()
        while True:
            try:
                if self._pubsub is None:
                    self._pubsub = await self._subscribe()
                    self._on_ready()
                backoff.reset()
                await self._read(self._pubsub)
            except (RedisError, OSError) as error:
                note_silence("listen", error)
            finally:
                pubsub, self._pubsub = self._pubsub, None
                if pubsub is not None:
                    await _close(pubsub)
            await asyncio.sleep(backoff.pause_s())

    async def _read(self, pubsub: PubSub) -> None:
        is_answered = True
        while True:
            message: dict[str, Any] | None = await replied(pubsub.get_message(timeout=SILENT_S))
            if message is None:
                if not is_answered:
                    msg = f"no answer within {SILENT_S:g} s"
                    raise RedisConnectionError(msg)
                await replied(pubsub.ping())
                is_answered = False
                continue
            is_answered = True
            if message["type"] == "message":
                data = message["data"]
                self._on_wake(as_text(data))
            elif message["type"] == "subscribe":
                self._on_ready()  # redis-py has reconnected by itself


async def _close(pubsub: PubSub) -> None:
    with contextlib.suppress(RedisError, OSError):
        await pubsub.aclose()
