"""A worker hears its grants whatever else is said on its channel."""

from __future__ import annotations

from redis.asyncio import Redis

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
