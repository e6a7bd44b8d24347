"""A worker receives its grants regardless of other messages on its channel."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from producer.keys import Keys
from tests.support.gpu import DEADLINE_S, QUICK, RARELY, hold, hold_for_ever, holders, waiting
from tests.support.ollama_models import OpenPool
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.signals import Signal
from worker.gpu import wakes
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import RedisClock
from worker.gpu.wakes import WakeListener


async def test_a_message_that_is_not_text_does_not_end_the_listener(redis: Redis, keys: Keys):
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


async def test_a_listener_notices_that_redis_is_silent(redis_server: StartServer, monkeypatch: pytest.MonkeyPatch):
    silences = Signal("a silent Redis")
    monkeypatch.setattr(wakes, "SILENT_S", 0.1)
    monkeypatch.setattr(wakes, "note_silence", silences.after(wakes.note_silence))
    async with Redis.from_url(redis_server().url) as redis:
        listener = WakeListener(redis, "wakes", on_wake=lambda _: None, on_ready=lambda: None)
        await listener.start()
        await redis.execute_command("CLIENT", "PAUSE", "600000", "ALL")

        await silences.times(1)

        await listener.stop()


async def test_a_call_begins_on_its_grant_s_message_alone(open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch):
    pool = await open_pool("w1", timing=replace(RARELY, confirm_s=600.0))
    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        monkeypatch.setattr(pool._scripts, "acquire", _refused)
        monkeypatch.setattr(pool._scripts, "check", _refused)

    slot = await asyncio.wait_for(waiter, DEADLINE_S)

    assert slot.ended_ms > 0


async def test_a_call_that_is_woken_without_a_grant_asks_for_its_status_and_writes_nothing(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
):
    pool = await open_pool("w1", timing=RARELY)
    looks = Signal("looks at the status")
    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        monkeypatch.setattr(pool._scripts, "acquire", _refused)
        monkeypatch.setattr(pool._scripts, "check", looks.after(pool._scripts.check))
        [woken] = pool._waiters.values()

        woken.look.set()

        await until(lambda: waiter.done() or looks.count > 0, what="a look")
        assert not waiter.done()
    assert (await asyncio.wait_for(waiter, DEADLINE_S)).ended_ms > 0


async def test_a_grant_that_is_heard_after_it_has_passed_on_is_not_taken(open_pool: OpenPool, redis: Redis, keys: Keys):
    silent = replace(RARELY, confirm_s=QUICK.confirm_s)  # no heartbeat tells a waiter its grant
    frozen, other = await open_pool("w1", timing=silent), await open_pool("w2", timing=QUICK)
    unheard = _unheard(frozen)
    async with other.acquire("chat"):
        late = asyncio.create_task(hold(frozen))
        await waiting(other, 1)
        next_one = asyncio.create_task(hold_for_ever(other))
        await waiting(other, 2)

    await until(lambda: bool(unheard), what="the grant to the frozen worker")
    await waiting(other, 0)  # its grant has passed on
    frozen._wake(unheard.pop(0))
    await waiting(other, 1)  # it has asked, and waits again

    assert [token[:2] for token in await holders(redis, keys)] == ["w2"]
    assert not late.done()
    next_one.cancel()
    await asyncio.gather(next_one, return_exceptions=True)
    await until(lambda: bool(unheard), what="the second grant")
    frozen._wake(unheard.pop(0))
    assert (await asyncio.wait_for(late, DEADLINE_S)).ended_ms > 0


def test_the_age_of_a_grant_is_bounded_from_above_or_unknown():
    clock = RedisClock()
    assert clock.age_s(5_000, now=10.0) is None

    clock.note(100.0, 5_000)  # asked for at 100 s, Redis said 5,000 ms

    assert clock.age_s(5_250, now=100.5) == pytest.approx(0.25)
    assert clock.age_s(4_000, now=100.5) == pytest.approx(1.5)
    assert clock.age_s(3_605_250, now=100.5) is None  # Redis' clock was set forward since


def _unheard(pool: GpuPool) -> list[str]:
    """Withhold the messages of a pool's channel, as a freeze does."""
    messages: list[str] = []
    pool._wakes._on_wake = messages.append
    return messages


async def _refused(*_: Any) -> None:
    msg = "nobody had to ask"
    raise AssertionError(msg)
