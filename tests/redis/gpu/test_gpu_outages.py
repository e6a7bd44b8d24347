"""Failing model hosts and an unreachable Redis: calls end in time, waiters keep waiting."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

import worker.gpu.slot
from producer.errors import ModelUnreachable, SlotLost
from producer.keys import Keys
from tests.support.gpu import (
    DEADLINE_S,
    GPU1,
    GPU2,
    PROBED_OFTEN,
    QUICK,
    RARELY,
    TWO,
    USUAL,
    hold,
    set_host,
    view_of,
    waiting,
)
from tests.support.ollama_models import OpenPool
from tests.support.queue import until
from tests.support.redis_server import StartServer
from tests.support.signals import Signal
from worker.gpu.health import HostReport
from worker.gpu.hosts import Host


class Probe:
    """Reports each host as healthy except those in ``sick``."""

    def __init__(self, *sick: str) -> None:
        self.sick = set(sick)

    async def __call__(self, host: Host) -> HostReport:
        if host.name in self.sick:
            msg = "it does not answer"
            raise ModelUnreachable(msg)
        return HostReport()


async def test_a_call_fails_in_words_when_no_host_comes_back(open_pool: OpenPool):
    pool = await open_pool("w1", probe=Probe(GPU1), timing=QUICK)

    with pytest.raises(ModelUnreachable, match="no model host answers at 'http://gpu1:1'"):
        async with pool.acquire("chat"):
            pass


async def test_a_host_that_fails_is_unhealthy_until_it_passes_a_check(open_pool: OpenPool):
    probe = Probe()
    pool = await open_pool("w1", hosts=TWO, probe=probe, timing=QUICK)

    async def is_up(name: str) -> bool:
        return next(host.is_up for host in (await view_of(pool)).hosts if host.name == name)

    with capture_logs() as logs:
        probe.sick.add(GPU1)
        await until(lambda: _not(is_up(GPU1)), what="the host down")
        async with pool.acquire("chat") as slot:
            while_down = slot.host
        probe.sick.clear()
        await until(lambda: is_up(GPU1), what="the host up")
        async with pool.acquire("chat") as slot:
            after = slot.host

    assert (while_down, after) == (GPU2, GPU1)
    told = [entry["event"] for entry in logs if entry["event"] in {"gpu.host_set_aside", "gpu.host_back"}]
    assert told == ["gpu.host_set_aside", "gpu.host_back"]


async def test_a_call_on_a_host_that_hangs_is_cut_off(open_pool: OpenPool):
    probe = Probe()
    pool = await open_pool("w1", probe=probe, timing=QUICK)

    async def hang() -> None:
        async with pool.acquire("chat") as slot:
            probe.sick.add(GPU1)
            await asyncio.wait_for(slot.run(asyncio.Event().wait()), DEADLINE_S)

    with pytest.raises(SlotLost, match="its host does not answer"):
        await hang()


async def test_a_suspected_host_is_checked_at_once(open_pool: OpenPool, redis: Redis, keys: Keys):
    checked: list[str] = []
    is_checked = asyncio.Event()

    async def probe(host: Host) -> HostReport:
        checked.append(host.name)
        is_checked.set()
        return HostReport()

    pool = await open_pool("w1", hosts=TWO, probe=probe, timing=RARELY)
    await set_host(redis, keys, GPU2, probe_ms=1)
    checked.clear()
    is_checked.clear()

    pool.suspect(GPU2)

    await asyncio.wait_for(is_checked.wait(), DEADLINE_S)
    assert checked == [GPU2]


async def test_an_outage_of_redis_ends_calls_in_time_and_waiters_wait_on(
    open_pool: OpenPool, redis_server: StartServer
):
    server = redis_server()
    timing = replace(QUICK, lease_s=2.0, margin_s=1.0)  # a busy machine may take up most of the margin
    pool = await open_pool("w1", url=server.url, timing=timing)
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

    assert times[1] - times[0] < timing.lease_s
    await asyncio.wait_for(waiters[0], DEADLINE_S)


async def test_a_call_that_begins_during_an_outage_waits_for_redis(
    open_pool: OpenPool, redis_server: StartServer, monkeypatch: pytest.MonkeyPatch
):
    server = redis_server()
    pool = await open_pool("w1", url=server.url, timing=RARELY)
    unanswered = Signal("an unanswered request")
    monkeypatch.setattr(worker.gpu.slot, "note_silence", unanswered.after(worker.gpu.slot.note_silence))
    server.kill()
    call = asyncio.create_task(hold(pool))
    await unanswered.times(1)

    server.start()

    assert (await asyncio.wait_for(call, DEADLINE_S)).host == GPU1


async def test_a_waiter_that_redis_has_forgotten_asks_again(open_pool: OpenPool):
    pool = await open_pool("w1", timing=replace(USUAL, renew_s=0.05))

    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        token = (await view_of(pool)).waiters[0].token
        await pool._scripts.release(token)
        await waiting(pool, 1)
    await asyncio.wait_for(waiter, DEADLINE_S)


async def test_a_pool_that_lost_its_subscription_is_granted_slots_again(open_pool: OpenPool, redis: Redis):
    pool = await open_pool("w1", timing=RARELY)
    client = cast("Any", redis)

    async with pool.acquire("chat"):
        waiter = asyncio.create_task(hold(pool))
        await waiting(pool, 1)
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    await asyncio.wait_for(waiter, DEADLINE_S)


async def test_errors_that_nobody_foresaw_are_logged_and_end_no_check_beat_or_subscription(
    open_pool: OpenPool, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    failures: list[str] = []
    probed, renewed = Signal("a check"), Signal("a beat")

    def fail_once(where: str) -> None:
        if where not in failures:
            failures.append(where)
            msg = f"a bug in {where}"
            raise ValueError(msg)

    async def probe(host: Host) -> HostReport:
        del host
        if pool_is_open.is_set():
            fail_once("check")
            probed.raise_once()
        return HostReport()

    pool_is_open = asyncio.Event()
    pool = await open_pool("w1", probe=probe, timing=PROBED_OFTEN)
    tend, wake = pool._scripts.tend, pool._wakes._on_wake

    async def tending(*args: Any) -> Any:
        fail_once("beat")
        renewed.raise_once()
        return await tend(*args)

    def on_wake(message: str) -> None:
        fail_once("wake")
        wake(message)

    monkeypatch.setattr(pool._scripts, "tend", tending)
    monkeypatch.setattr(pool._wakes, "_on_wake", on_wake)
    with capture_logs() as logs:
        pool_is_open.set()
        await cast("Any", redis).publish(keys.gpu_wake("w1"), "nonsense")
        await asyncio.gather(probed.times(2), renewed.times(2))
        async with pool.acquire("chat"):
            waiter = asyncio.create_task(hold(pool))
            await waiting(pool, 1)
        await asyncio.wait_for(waiter, DEADLINE_S)
        await until(lambda: _is(set(failures) == {"check", "beat", "wake"}), what="each failure logged")

    told = {entry["task"]: entry["error"] for entry in logs if entry["event"] == "background.failed"}
    assert told == {
        "gpu-health": "ValueError: a bug in check",
        "gpu-tend": "ValueError: a bug in beat",
        "gpu-wakes": "ValueError: a bug in wake",
    }
    assert [task.done() for task in pool._tasks] == [False, False]


async def _is(claim: bool) -> bool:
    return claim


async def _not(claim: Any) -> bool:
    return not await claim
