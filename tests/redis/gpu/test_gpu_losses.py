"""Slots whose leases end: the call is cancelled, its answer void, the slot granted to another."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.errors import SlotLost
from producer.keys import Keys
from tests.support.gpu import (
    DEADLINE_S,
    GPU1,
    QUICK,
    RARELY,
    USUAL,
    ask,
    expire,
    hold,
    hold_for_ever,
    holders,
    lease_ms,
    listening,
    waiting,
)
from tests.support.ollama_models import OpenPool
from tests.support.queue import until
from worker.gpu.slot import Slot


async def test_a_held_slot_is_renewed_for_as_long_as_it_is_held(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1", timing=replace(USUAL, renew_s=0.05, lease_s=600.0))

    async with pool.acquire("chat") as slot:
        for _ in range(3):
            before = slot._ends_at
            now_s, _ = await cast("Any", redis).time()
            await cast("Any", redis).zadd(keys.gpu_holders, {slot.token: (int(now_s) + 400) * 1000}, xx=True)

            await until(lambda: _has_left(redis, keys, slot.token, 500_000), what="a renewed lease")
            await until(lambda before=before: _is_later(slot, before), what="a later end of the slot")

    assert slot.is_held


async def test_a_call_whose_slot_was_given_away_is_ended_and_its_answer_void(
    open_pool: OpenPool, redis: Redis, keys: Keys
):
    pool, other = await open_pool("w1", timing=replace(USUAL, renew_s=0.1)), await open_pool("w2")
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def lose_it() -> None:
        async with pool.acquire("chat") as slot:
            takers.append(asyncio.create_task(hold_for_ever(other)))
            await waiting(other, 1)
            await expire(redis, keys.gpu_holders, slot.token)
            await slot.run(endless())

    takers: list[asyncio.Task[None]] = []
    with pytest.raises(SlotLost, match="its lease ended"):
        await lose_it()

    assert ended.is_set()
    assert [token[:2] for token in await holders(redis, keys)] == ["w2"]
    takers[0].cancel()
    await asyncio.gather(*takers, return_exceptions=True)


async def test_a_call_under_a_lost_slot_is_not_begun(open_pool: OpenPool):
    pool = await open_pool("w1")
    begun: list[str] = []

    async def call() -> None:
        begun.append("call")

    async def call_late() -> None:
        async with pool.acquire("chat") as slot:
            slot.lose("a test says so")
            await slot.run(call())

    with pytest.raises(SlotLost, match="a test says so"):
        await call_late()

    assert begun == []


async def test_an_answer_read_after_a_freeze_is_discarded():
    ends_at = asyncio.get_running_loop().time() + 0.02
    slot = Slot(token="t", kind="chat", host=GPU1, wait_ms=0, ends_at=ends_at)  # noqa: S106  no password

    async def answered_while_frozen() -> str:
        time.sleep(0.05)  # noqa: ASYNC251  the freeze itself: neither loop nor timers run meanwhile
        return "late"

    with pytest.raises(SlotLost):
        await slot.run(answered_while_frozen())


async def test_an_answer_that_came_under_a_lost_lease_is_discarded(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")

    async def answer_late() -> None:
        async with pool.acquire("chat") as slot:
            await expire(redis, keys.gpu_holders, slot.token)
            await slot.run(asyncio.sleep(0))

    with pytest.raises(SlotLost):
        await answer_late()


async def test_a_grant_that_its_worker_does_not_take_goes_to_the_next(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1", timing=QUICK)
    scripts = pool._scripts
    async with listening(redis, keys, "deaf"):
        async with pool.acquire("chat"):
            await scripts.acquire(ask("deaf-1", worker="deaf"))
            waiter = asyncio.create_task(hold(pool))
            await waiting(pool, 2)

        slot = await asyncio.wait_for(waiter, DEADLINE_S)

    assert slot.wait_ms >= QUICK.confirm_s * 1000 - 5


async def test_a_grant_is_confirmed_soon_after_it_is_taken(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool, other = await open_pool("w1", timing=RARELY), await open_pool("w2", timing=RARELY)
    slots: asyncio.Queue[Slot] = asyncio.Queue()

    async def call() -> None:
        async with pool.acquire("chat") as slot:
            slots.put_nowait(slot)
            await slot.run(asyncio.Event().wait())

    async with other.acquire("chat"):
        calling = asyncio.create_task(call())
        await waiting(pool, 1)
    slot = await asyncio.wait_for(slots.get(), DEADLINE_S)

    await until(lambda: _has_left(redis, keys, slot.token, 100_000), what="a confirmed lease")

    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)


async def test_a_grant_that_no_heartbeat_confirms_is_given_up_in_time(
    open_pool: OpenPool, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    pool = await open_pool("w1", timing=RARELY)
    ends: list[tuple[float, float]] = []

    async def silent(*_: object, **__: object) -> None:
        msg = "Redis does not answer"
        raise ConnectionError(msg)

    async def call() -> None:
        async with pool.acquire("chat") as slot:
            left_s = await lease_ms(redis, keys, slot.token) / 1000
            ends.append((slot._ends_at, asyncio.get_running_loop().time() + left_s))
            assert left_s <= pool.timing.confirm_s
            await slot.run(asyncio.Event().wait())

    async with pool.acquire("chat"):
        calling = asyncio.create_task(call())
        await waiting(pool, 1)
        monkeypatch.setattr(pool._scripts, "tend", silent)
    with pytest.raises(SlotLost, match="could not be renewed"):
        await calling

    ((own_end, end_in_redis),) = ends
    assert own_end < end_in_redis


async def _has_left(redis: Redis, keys: Keys, token: str, ms: int) -> bool:
    return await lease_ms(redis, keys, token) > ms


async def _is_later(slot: Slot, before: float) -> bool:
    return slot._ends_at > before
