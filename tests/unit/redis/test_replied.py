"""Calls of redis-py, and loops of them: they end in time, and when they are cancelled."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from producer.redis import raw_connection
from producer.redis.raw_connection import CANCEL_AGAIN_S, ReplyTimeout, end, replied


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


@pytest.mark.parametrize("dropped", [1, 3])
async def test_a_call_that_goes_on_after_its_cancellation_is_cancelled_again(
    dropped: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(raw_connection, "CANCEL_AGAIN_S", 0.05)
    began = asyncio.get_running_loop().time()

    with pytest.raises(TimeoutError):  # as without the dropped ones: ``asyncio.timeout`` recognises its own
        async with asyncio.timeout(0.1):
            await replied(_retrying(dropped))

    assert asyncio.get_running_loop().time() - began < 5
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_that_goes_on_after_its_limit_ends_as_one_without_a_reply(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw_connection, "CANCEL_AGAIN_S", 0.05)
    monkeypatch.setattr(raw_connection, "REPLY_S", 0.1)

    with pytest.raises(ReplyTimeout):
        await asyncio.wait_for(replied(_retrying(2)), 5)


async def _retrying(dropped: int) -> None:
    """Drop so many cancellations, as redis-py does where closing the connection fails, and go on."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            dropped -= 1
            if dropped < 0:
                raise


async def test_a_loop_whose_cancellation_redis_py_drops_is_cancelled_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw_connection, "CANCEL_AGAIN_S", 0.1)
    is_in_call, dropped = asyncio.Event(), 0

    async def watch() -> None:
        nonlocal dropped
        while True:
            try:
                is_in_call.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                dropped += 1
                if dropped > 1:
                    raise

    async def broken() -> None:
        raise LookupError

    tasks = [asyncio.create_task(watch()), asyncio.create_task(broken())]
    await is_in_call.wait()

    await asyncio.wait_for(end(*tasks), 5)

    assert [task.done() for task in tasks] == [True, True]
    assert dropped == 2


async def test_a_timeout_within_the_call_that_a_busy_loop_notices_late_cancels_nothing():
    async def connecting() -> str:
        asyncio.get_running_loop().call_later(CANCEL_AGAIN_S / 2, time.sleep, CANCEL_AGAIN_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_AGAIN_S * 0.9):
                await asyncio.Event().wait()
        await asyncio.sleep(2 * CANCEL_AGAIN_S)
        return "connected to the next one"

    assert await replied(connecting()) == "connected to the next one"
