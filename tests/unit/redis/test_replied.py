"""The wrapper of every redis-py call: it ends in time, and when it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from producer.redis.raw_connection import replied


async def test_a_cancellation_that_redis_py_drops_is_raised_when_the_call_ends():
    is_in_call, calls = asyncio.Event(), 0

    async def dropping() -> None:
        """Take a cancellation for its own, as ``asyncio.timeout(0)`` does when both come in one tick."""
        nonlocal calls
        calls += 1
        try:
            is_in_call.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def follow() -> None:
        for _ in range(2):
            await replied(dropping())

    task = asyncio.create_task(follow())
    await is_in_call.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert calls == 1
