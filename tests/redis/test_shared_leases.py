"""Leases of host slots, conversations and GPU slots: renewed while held, not afterwards, kept through an outage."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

import worker.limits.conversation_hold
import worker.limits.host_gate
from producer.keys import Keys
from producer.redis import connection
from producer.redis.connection import open_redis
from producer.redis.scripts import Script, run_script
from producer.settings import ClientSettings
from tests.support.gpu import ONE, USUAL
from tests.support.redis_server import StartServer
from tests.support.signals import Signal
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import PoolScripts
from worker.limits.conversation_hold import RENEW, Threads
from worker.limits.host_gate import ENTER, LEAVE, HostGate

DEADLINE_S = 60
LEASE_S = 30.0
"""Long against the pauses of these tests: a lease that is lost here was given up, and did not run out."""
RENEW_S = 0.03


class Scripts:
    """Stands between a holder and Redis: counts the runs of one script by key, and fails those it is asked to."""

    def __init__(self, watched: Script) -> None:
        self.runs: dict[str, Signal] = {}
        self.failed = Signal("a failed renewal")
        self.is_down = False
        self._watched = watched

    def of(self, key: str) -> Signal:
        return self.runs.setdefault(key, Signal(f"{self._watched.name} of {key}"))

    async def run(self, redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if script is self._watched and self.is_down:
            self.failed.raise_once()
            msg = "the network is away"
            raise RedisConnectionError(msg)
        reply = await run_script(redis, script, keys, args)
        if script is self._watched:
            self.of(keys[0]).raise_once()
        return reply


@pytest.fixture
def host_scripts(monkeypatch: pytest.MonkeyPatch) -> Scripts:
    scripts = Scripts(ENTER)
    monkeypatch.setattr(worker.limits.host_gate, "run_script", scripts.run)
    monkeypatch.setattr(worker.limits.host_gate, "RENEWALS_PER_HOLD", LEASE_S / RENEW_S)
    return scripts


@pytest.fixture
def conversation_scripts(monkeypatch: pytest.MonkeyPatch) -> Scripts:
    scripts = Scripts(RENEW)
    monkeypatch.setattr(worker.limits.conversation_hold, "run_script", scripts.run)
    monkeypatch.setattr(worker.limits.conversation_hold, "RENEWALS_PER_LEASE", LEASE_S / RENEW_S)
    return scripts


async def test_a_host_slot_is_renewed_until_it_is_released_and_not_after(
    redis: Redis, keys: Keys, host_scripts: Scripts
):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=LEASE_S)
    async with gate.slot("other.example"):
        async with gate.slot("shop.example"):
            await host_scripts.of(keys.host_slots("shop.example")).times(2)
        await host_scripts.of(keys.host_slots("other.example")).times(3)

        assert await redis.zcard(keys.host_slots("shop.example")) == 0


async def test_an_outage_shorter_than_its_lease_costs_no_host_slot(redis: Redis, keys: Keys, host_scripts: Scripts):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=LEASE_S)
    host = keys.host_slots("shop.example")
    async with gate.slot("shop.example"):
        ((token, first_ms),) = await redis.zrange(host, 0, -1, withscores=True)
        host_scripts.is_down = True
        await host_scripts.failed.times(2)
        host_scripts.is_down = False
        await host_scripts.of(host).times(1)

        ((renewed, later_ms),) = await redis.zrange(host, 0, -1, withscores=True)

    assert renewed == token
    assert later_ms > first_ms


async def test_a_release_that_fails_after_its_holder_was_cancelled_twice_is_not_logged(
    redis_server: StartServer, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "ATTEMPTS", 1)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    server, has_entered, ended = redis_server(), asyncio.Event(), asyncio.Event()
    releasing = asyncio.Event()

    async def leave(redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if script is not LEAVE:
            return await run_script(redis, script, keys, args)
        releasing.set()
        try:
            return await run_script(redis, script, keys, args)
        finally:
            ended.set()

    async def scan(gate: HostGate) -> None:
        async with gate.slot("shop.example"):
            has_entered.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(worker.limits.host_gate, "run_script", leave)
    async with open_redis(ClientSettings(redis_url=server.url)) as pooled, asyncio.timeout(DEADLINE_S):
        holder = asyncio.create_task(scan(HostGate(pooled, keys, slots=1, gap_ms=0)))
        await has_entered.wait()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        holder.cancel()
        await releasing.wait()
        holder.cancel()
        await asyncio.wait([holder])
        os.kill(server.pid, signal.SIGKILL)
        await ended.wait()
        await asyncio.sleep(0)  # the release ends
        gc.collect()

    assert holder.cancelled()
    assert told == []


async def test_a_conversation_is_renewed_until_it_is_released_and_not_after(
    redis: Redis, keys: Keys, conversation_scripts: Scripts
):
    threads = Threads(redis, keys, lease_s=LEASE_S)
    async with threads.hold("t-other", "q0", submitted_ms=1):
        async with threads.hold("t-a", "q1", submitted_ms=1):
            await conversation_scripts.of(keys.thread("t-a")).times(2)
        ended = conversation_scripts.of(keys.thread("t-a")).count
        await conversation_scripts.of(keys.thread("t-other")).times(3)

        assert conversation_scripts.of(keys.thread("t-a")).count == ended
        assert not await redis.execute_command("HEXISTS", keys.thread("t-a"), "token")


async def until_ms(redis: Redis, keys: Keys) -> int:
    """When the lease of the conversation ends, by Redis' clock."""
    return int(await cast("Any", redis).hget(keys.thread("t-a"), "until_ms"))


async def test_an_outage_shorter_than_its_lease_costs_no_conversation(
    redis: Redis, keys: Keys, conversation_scripts: Scripts
):
    threads = Threads(redis, keys, lease_s=LEASE_S)
    async with threads.hold("t-a", "q1", submitted_ms=1) as held:
        before_ms = await until_ms(redis, keys)
        conversation_scripts.is_down = True
        await conversation_scripts.failed.times(2)
        conversation_scripts.is_down = False
        held.check()
        await conversation_scripts.of(keys.thread("t-a")).times(1)
        after_ms = await until_ms(redis, keys)

        held.check()

    assert after_ms > before_ms


class Tended:
    """Notes which slots each beat renewed, and fails those it is asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.beats: list[list[str]] = []
        self.beat = Signal("a beat")
        self.failed = Signal("a failed beat")
        self.is_down = False
        tend = PoolScripts.tend

        async def watched(
            scripts: PoolScripts, hosts: Any, held: Sequence[str] = (), waiting: Sequence[str] = ()
        ) -> Any:
            if self.is_down:
                self.failed.raise_once()
                msg = "the network is away"
                raise RedisConnectionError(msg)
            reply = await tend(scripts, hosts, held, waiting)
            self.beats.append(list(held))
            self.beat.raise_once()
            return reply

        monkeypatch.setattr(PoolScripts, "tend", watched)


@asynccontextmanager
async def opened(redis: Redis, keys: Keys) -> AsyncGenerator[GpuPool]:
    pool = GpuPool(redis, keys, ONE, worker="w1", timing=replace(USUAL, renew_s=RENEW_S))
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def test_a_gpu_slot_is_renewed_until_it_is_released_and_not_after(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    tended = Tended(monkeypatch)
    async with opened(redis, keys) as pool:
        async with pool.acquire("chat") as slot:
            await tended.beat.times(2)
            assert tended.beats[-1] == [slot.token]
        await tended.beat.times(2)

        assert tended.beats[-1] == []
        assert await cast("Any", redis).zcard(keys.gpu_holders) == 0


async def test_an_outage_shorter_than_its_lease_costs_no_gpu_slot(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    tended = Tended(monkeypatch)
    async with opened(redis, keys) as pool, pool.acquire("chat") as slot:
        await tended.beat.times(2)
        tended.is_down = True
        await tended.failed.times(2)
        assert slot.is_held
        tended.is_down = False
        await tended.beat.times(2)  # the first one's verdicts have been acted on by then

        assert slot.is_held
        assert slot.token in tended.beats[-1]
