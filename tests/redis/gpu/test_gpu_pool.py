"""The pool as used by workers: hand-over and ends; several pools in one process, one real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest
from redis.asyncio import Redis

import worker.gpu.pool
from producer.client.gpu_view import INTERACTIVE_IN_A_ROW
from producer.errors import AnswerIncomplete, ModelBusy, SlotLost
from producer.keys import Keys
from tests.support.gpu import (
    DEADLINE_S,
    GPU1,
    GPU2,
    RARELY,
    TWO,
    hold,
    hold_for_ever,
    holders,
    view_of,
    waiting,
)
from tests.support.ollama_models import OpenPool
from tests.support.queue import until
from worker.gpu.pool import GpuPool

# ---------------------------------------------------------------------------------------------- hand-over


async def test_one_slot_serves_many_workers_one_after_another(open_pool: OpenPool):
    pools = [await open_pool(f"w{number}") for number in range(4)]
    inside, most, order = 0, 0, list[int]()

    async def call(number: int) -> None:
        nonlocal inside, most
        async with pools[number % 4].acquire("chat") as slot:
            inside += 1
            most = max(most, inside)
            await slot.run(asyncio.sleep(0.002))
            inside -= 1
            order.append(number)

    await asyncio.gather(*(call(number) for number in range(60)))

    assert most == 1
    assert sorted(order) == list(range(60))


async def test_a_flood_of_questions_leaves_batch_one_grant_in_five(open_pool: OpenPool):
    pool = await open_pool("w1")
    served: list[str] = []

    async def call(priority: str) -> None:
        async with pool.acquire("chat", priority=priority):
            served.append(priority)

    async with pool.acquire("chat"):
        calls = [asyncio.create_task(call(priority)) for priority in ["batch"] * 10 + ["interactive"] * 40]
        await waiting(pool, 50)
    await asyncio.gather(*calls)

    for start in range(0, 50, 5):
        assert Counter(served[start : start + 5]) == {"interactive": 4, "batch": 1}


@pytest.mark.parametrize(("turns", "before"), [(0, 0), (INTERACTIVE_IN_A_ROW, 1)], ids=["usual", "batch is due"])
async def test_a_question_passes_all_waiting_scans(
    open_pool: OpenPool, redis: Redis, keys: Keys, turns: int, before: int
):
    pools = [await open_pool(f"w{number}") for number in range(4)]
    served: list[str] = []

    async def call(pool: GpuPool, priority: str) -> None:
        async with pool.acquire("chat", priority=priority):
            served.append(priority)

    async with pools[0].acquire("chat"):
        calls = [asyncio.create_task(call(pools[number % 4], "batch")) for number in range(60)]
        await waiting(pools[0], 60)
        calls.append(asyncio.create_task(call(pools[3], "interactive")))
        await waiting(pools[0], 61)
        await cast("Any", redis).hset(keys.gpu_state, "turns_chat", turns)
    await asyncio.gather(*calls)

    assert served.index("interactive") == before
    assert len(served) == 61


async def test_two_hosts_are_both_put_to_work(open_pool: OpenPool):
    pool = await open_pool("w1", hosts=TWO)

    async with pool.acquire("chat") as first, pool.acquire("chat") as second:
        assert {first.host, second.host} == {GPU1, GPU2}


async def test_a_closing_pool_keeps_its_slot_until_the_call_is_closed(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")
    held_at_the_end: list[dict[str, str]] = []
    is_begun = asyncio.Event()

    async def call() -> None:
        is_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            held_at_the_end.append(await holders(redis, keys))

    async def make() -> None:
        async with pool.acquire("chat") as slot:
            await slot.run(call())

    making = asyncio.create_task(make())
    await is_begun.wait()

    await pool.close()

    with pytest.raises(SlotLost, match="the worker stops"):
        await making
    assert [len(held) for held in held_at_the_end] == [1]
    assert await holders(redis, keys) == {}


async def test_a_closing_pool_ends_its_waiters_and_grants_no_more(
    open_pool: OpenPool, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker.gpu.pool, "CLOSE_S", 2 * DEADLINE_S)
    leaving, staying = await open_pool("w1"), await open_pool("w2")
    async with staying.acquire("chat"):
        waiter = asyncio.create_task(hold(leaving))
        await waiting(staying, 1)

        async with asyncio.timeout(DEADLINE_S):  # it waits for its calls to end, and no longer
            await leaving.close()

        with pytest.raises(ModelBusy, match="the worker stops"):
            await waiter
        with pytest.raises(ModelBusy, match="the worker stops"):
            await hold(leaving)
        assert len((await view_of(staying)).waiters) == 0
    assert await holders(redis, keys) == {}


async def test_a_pool_closes_though_a_heartbeat_was_just_asked_for(open_pool: OpenPool):
    pool = await open_pool("w1")

    pool._soon.set()
    await asyncio.sleep(0)  # the heartbeat's wait is over, and it has not run yet: wait_for would lose a cancellation

    async with asyncio.timeout(DEADLINE_S):
        await pool.close()


async def test_closing_a_pool_lets_the_next_worker_in_at_once(open_pool: OpenPool):
    leaving, staying = await open_pool("w1", timing=RARELY), await open_pool("w2", timing=RARELY)
    held = asyncio.create_task(hold_for_ever(leaving))
    await until(lambda: _has_holders(staying, 1), what="a held slot")
    waiter = asyncio.create_task(hold(staying))
    await waiting(staying, 1)

    await leaving.close()

    await asyncio.wait_for(waiter, DEADLINE_S)  # its lease would have ended after 1800 s
    with pytest.raises((SlotLost, ModelBusy), match="the worker stops"):
        await held


# ---------------------------------------------------------------------------------------------- ends


async def test_a_cancelled_waiter_leaves_the_queue(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")
    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)

        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

        assert len((await view_of(pool)).waiters) == 0
    assert await holders(redis, keys) == {}


async def test_a_call_cancelled_at_any_moment_leaves_nothing_behind(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")

    moments, is_held = 0, False
    while not is_held:
        await cast("Any", redis).script_flush()  # a script sent anew takes two trips: more moments to be cancelled at
        asking = asyncio.create_task(hold_for_ever(pool))
        for _ in range(moments):
            await asyncio.sleep(0)
        is_held = bool(pool._held)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        moments += 1 + moments // 10

    assert await cast("Any", redis).hlen(keys.gpu_calls) == 0


async def test_a_failing_call_frees_its_slot_and_keeps_its_error(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")
    message = "broke off"

    with pytest.raises(AnswerIncomplete, match=message):
        async with pool.acquire("chat"):
            raise AnswerIncomplete(message)

    assert await holders(redis, keys) == {}


async def test_a_wait_that_is_too_long_ends_in_words(open_pool: OpenPool):
    pool = await open_pool("w1")

    async with pool.acquire("chat"):
        with pytest.raises(ModelBusy, match=r"no chat slot within 0\.05 s"):
            async with pool.acquire("chat", timeout_s=0.05):
                pass
        assert len((await view_of(pool)).waiters) == 0


async def test_the_wait_is_reported(open_pool: OpenPool):
    pool = await open_pool("w1")
    loop = asyncio.get_running_loop()

    async with pool.acquire("chat") as first:
        began = loop.time()
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        seen = loop.time()
        await asyncio.sleep(0.05)
        waited_s = loop.time() - seen
    second = await waiter
    ended = loop.time()

    assert waited_s * 1000 - 1 <= second.wait_ms <= (ended - began) * 1000 + 1
    assert second.ended_ms >= first.ended_ms > 0


async def _has_holders(pool: GpuPool, count: int) -> bool:
    return len((await view_of(pool)).holders) == count
