"""Slots that are lost: leases that end, hosts that fail, a Redis that is away."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from producer.errors import ModelUnreachable, SlotLost
from producer.gpu_view import HostReport
from producer.keys import Keys
from tests.support.gpu import (
    GPU1,
    GPU2,
    QUICK,
    TWO,
    ask,
    expire,
    hold,
    hold_for_ever,
    holders,
    lease_ms,
    listening,
    set_host,
    until,
    waiting,
)
from tests.support.ollama_models import OpenPool
from tests.support.redis_server import StartServer
from worker.gpu.hosts import Host
from worker.gpu.scripts import Timing
from worker.gpu.slot import Slot

# ---------------------------------------------------------------------------------------------- leases


async def test_a_held_slot_is_renewed_for_as_long_as_it_is_held(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1", timing=Timing(renew_s=0.05))

    async with pool.acquire("chat") as slot:
        for _ in range(3):
            before = slot._ends_at
            now_s, _ = await cast("Any", redis).time()
            await cast("Any", redis).zadd(keys.gpu_holders, {slot.token: (int(now_s) + 4) * 1000}, xx=True)

            await until(lambda: _has_left(redis, keys, slot.token, 5_000), timeout_s=4)
            await until(lambda before=before: _is_later(slot, before), timeout_s=4)

    assert not slot.lost.is_set()


async def test_a_call_whose_slot_was_given_away_is_ended_and_its_answer_void(
    open_pool: OpenPool, redis: Redis, keys: Keys
):
    pool, other = await open_pool("w1", timing=Timing(renew_s=0.1)), await open_pool("w2")
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


async def test_a_call_under_a_lost_slot_is_not_even_begun(open_pool: OpenPool):
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

        slot = await asyncio.wait_for(waiter, 3.0)

    assert slot.wait_ms >= QUICK.confirm_s * 1000 - 5


async def test_a_grant_that_no_heartbeat_confirms_is_given_up_in_time(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
):
    pool = await open_pool("w1", timing=Timing(renew_s=600.0))
    loop = asyncio.get_running_loop()

    async def silent(*_: object, **__: object) -> None:
        msg = "Redis does not answer"
        raise ConnectionError(msg)

    async def call() -> None:
        async with pool.acquire("chat") as slot:
            await slot.run(asyncio.Event().wait())

    async with pool.acquire("chat"):
        calling = asyncio.create_task(call())
        await waiting(pool, 1)
        monkeypatch.setattr(pool._scripts, "tend", silent)
    began = loop.time()
    with pytest.raises(SlotLost, match="could not be renewed"):
        await calling

    assert loop.time() - began < pool.timing.confirm_s


# ---------------------------------------------------------------------------------------------- hosts


async def test_a_call_fails_in_words_when_no_host_comes_back(open_pool: OpenPool):
    async def dead(host: Host) -> HostReport:
        msg = f"nothing listens at {host.name}"
        raise ModelUnreachable(msg)

    pool = await open_pool("w1", probe=dead, timing=QUICK)

    with pytest.raises(ModelUnreachable, match="no model host answers at 'http://gpu1:1'"):
        async with pool.acquire("chat"):
            pass


async def test_a_host_that_fails_is_set_aside_and_taken_back(open_pool: OpenPool):
    sick: set[str] = set()

    async def probe(host: Host) -> HostReport:
        if host.name in sick:
            msg = "it does not answer"
            raise ModelUnreachable(msg)
        return HostReport()

    pool = await open_pool("w1", hosts=TWO, probe=probe, timing=QUICK)

    async def is_up(name: str) -> bool:
        return next(host.is_up for host in (await pool.view()).hosts if host.name == name)

    with capture_logs() as logs:
        sick.add(GPU1)
        await until(lambda: _not(is_up(GPU1)))
        async with pool.acquire("chat") as slot:
            while_down = slot.host
        sick.clear()
        await until(lambda: is_up(GPU1))
        async with pool.acquire("chat") as slot:
            after = slot.host

    assert (while_down, after) == (GPU2, GPU1)
    told = [entry["event"] for entry in logs if entry["event"] in {"gpu.host_set_aside", "gpu.host_back"}]
    assert told == ["gpu.host_set_aside", "gpu.host_back"]


async def test_a_call_on_a_host_that_hangs_is_cut_off(open_pool: OpenPool):
    sick = False

    async def probe(_: Host) -> HostReport:
        if sick:
            msg = "it does not answer"
            raise ModelUnreachable(msg)
        return HostReport()

    pool = await open_pool("w1", probe=probe, timing=QUICK)

    async def hang() -> None:
        nonlocal sick
        async with pool.acquire("chat") as slot:
            sick = True
            await asyncio.wait_for(slot.run(asyncio.Event().wait()), 5.0)

    with pytest.raises(SlotLost, match="its host does not answer"):
        await hang()


async def test_a_suspected_host_is_checked_at_once(open_pool: OpenPool, redis: Redis, keys: Keys):
    checked: list[str] = []
    is_checked = asyncio.Event()

    async def probe(host: Host) -> HostReport:
        checked.append(host.name)
        is_checked.set()
        return HostReport()

    pool = await open_pool("w1", hosts=TWO, probe=probe)
    await set_host(redis, keys, GPU2, probe_ms=1)
    checked.clear()
    is_checked.clear()

    pool.suspect(GPU2)

    await asyncio.wait_for(is_checked.wait(), 0.5)
    assert checked == [GPU2]


# ---------------------------------------------------------------------------------------------- outages


async def test_an_outage_of_redis_ends_calls_in_time_and_waiters_wait_on(
    open_pool: OpenPool, redis_server: StartServer
):
    server = redis_server()
    pool = await open_pool("w1", url=server.url, timing=QUICK)
    loop = asyncio.get_running_loop()
    waiters: list[asyncio.Task[Any]] = []
    times: list[float] = []

    async def call() -> None:
        async with pool.acquire("chat") as slot:
            waiters.append(asyncio.create_task(hold(pool)))
            await waiting(pool, 1)
            server.kill()
            times.append(loop.time())
            await slot.run(asyncio.Event().wait())

    with pytest.raises(SlotLost):
        await call()
    times.append(loop.time())
    server.start()

    assert times[1] - times[0] < QUICK.lease_s
    await asyncio.wait_for(waiters[0], 10.0)


async def test_a_waiter_that_redis_has_forgotten_asks_again(open_pool: OpenPool):
    pool = await open_pool("w1", timing=QUICK)

    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        token = (await pool.view()).waiters[0].token
        await pool._scripts.release(token)
        await waiting(pool, 1)
    await asyncio.wait_for(waiter, 3.0)


async def test_a_pool_that_lost_its_subscription_is_granted_slots_again(open_pool: OpenPool, redis: Redis):
    pool = await open_pool("w1", timing=Timing(renew_s=600.0, lease_s=1800.0))
    client = cast("Any", redis)

    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    await asyncio.wait_for(waiter, 5.0)


async def _has_left(redis: Redis, keys: Keys, token: str, ms: int) -> bool:
    return await lease_ms(redis, keys, token) > ms


async def _is_later(slot: Slot, before: float) -> bool:
    return slot._ends_at > before


async def _not(claim: Any) -> bool:
    return not await claim
