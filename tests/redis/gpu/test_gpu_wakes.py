"""A worker hears its grants whatever else is said on its channel."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from producer.keys import Keys
from tests.support.queue import until
from worker.gpu.wakes import WakeListener


async def test_a_message_that_is_no_text_does_not_end_the_listening(redis: Redis, keys: Keys):
    heard: list[str] = []
    listener = WakeListener(redis, keys.gpu_wake("w1"), on_wake=heard.append, on_ready=lambda: None)
    await listener.start()

    await redis.publish(keys.gpu_wake("w1"), b"\xff\xfe")
    await redis.publish(keys.gpu_wake("w1"), "w1-token")

    await until(lambda: "w1-token" in heard, what="the grant after the noise")
    await listener.stop()


async def test_a_listener_stops_although_redis_py_drops_its_cancellation(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    is_reading = asyncio.Event()

    async def dropping(*_: object, **__: object) -> None:
        is_reading.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    listener = WakeListener(redis, keys.gpu_wake("w1"), on_wake=lambda _: None, on_ready=lambda: None)
    await listener.start()
    monkeypatch.setattr(PubSub, "get_message", dropping)
    await redis.publish(keys.gpu_wake("w1"), "token")
    async with asyncio.timeout(20):
        await is_reading.wait()

        await listener.stop()
