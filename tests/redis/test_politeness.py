"""A host's places are shared by all workers, kept apart in time, and come free by themselves."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from producer.errors import HostBusy
from producer.keys import Keys
from producer.scripts import run_script
from worker.outcome import Retried, decide
from worker.politeness import ENTER, HostGate

HOST = "shop.example"


def gates(redis: Redis, keys: Keys, count: int = 2, *, places: int = 2, gap_ms: int = 0) -> list[HostGate]:
    """One gate for each of ``count`` workers."""
    return [HostGate(redis, keys, places=places, gap_ms=gap_ms) for _ in range(count)]


async def test_two_workers_keep_the_hosts_limit_together(redis: Redis, keys: Keys):
    inside, most = 0, 0

    async def scan(gate: HostGate) -> None:
        nonlocal inside, most
        async with gate.place(HOST):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    first, second = gates(redis, keys)
    async with asyncio.timeout(20):
        await asyncio.gather(*(scan(gate) for gate in (first, second) * 6))

    assert most == 2
    assert await redis.zcard(keys.host_places(HOST)) == 0


async def test_hosts_do_not_wait_for_each_other(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, places=1)

    async with asyncio.timeout(5), gate.place(HOST), gate.place("other.example"):
        held = [await redis.zcard(keys.host_places(host)) for host in (HOST, "other.example")]

    assert held == [1, 1]


async def test_beginnings_are_kept_apart(redis: Redis, keys: Keys):
    first, second = gates(redis, keys, places=10, gap_ms=300)
    began: list[float] = []

    async def scan(gate: HostGate) -> None:
        async with gate.place(HOST):
            began.append(time.monotonic())

    await asyncio.gather(scan(first), scan(second), scan(first))

    assert began[1] - began[0] >= 0.29
    assert began[2] - began[1] >= 0.29


async def test_a_killed_workers_place_comes_free_when_its_time_is_up(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, places=1)
    await redis.zadd(keys.host_places(HOST), {"a dead worker's": 1})

    async with asyncio.timeout(5), gate.place(HOST):
        held = await redis.zrange(keys.host_places(HOST), 0, -1)

    assert b"a dead worker's" not in held


async def test_a_place_is_given_back_whatever_ends_the_scan(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)
    entered = asyncio.Event()

    async def scan() -> None:
        async with gate.place(HOST):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(scan())
    await asyncio.wait_for(entered.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await redis.zcard(keys.host_places(HOST)) == 0


async def test_asking_again_after_a_lost_reply_takes_one_place(redis: Redis, keys: Keys):
    named = (keys.host_places(HOST), keys.host_began(HOST))

    answers = [await run_script(redis, ENTER, named, ("token", 1, 1000, 60_000)) for _ in range(2)]
    other = await run_script(redis, ENTER, named, ("other", 1, 0, 60_000))

    assert answers == [0, 0]
    assert other > 0


async def test_what_a_host_leaves_in_redis_expires(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)

    async with gate.place(HOST):
        ttls = [await redis.pttl(key) for key in (keys.host_places(HOST), keys.host_began(HOST))]

    assert all(0 < ttl <= 30_000 for ttl in ttls)


async def test_a_short_hold_does_not_end_anothers_longer_one(redis: Redis, keys: Keys):
    named = (keys.host_places(HOST), keys.host_began(HOST))

    await run_script(redis, ENTER, named, ("long", 9, 0, 60_000))
    await run_script(redis, ENTER, named, ("short", 9, 0, 1_000))

    assert await redis.pttl(keys.host_places(HOST)) > 30_000


async def test_a_scan_that_takes_longer_than_its_hold_keeps_its_place(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, places=1, gap_ms=0, hold_s=0.6)
    other = HostGate(redis, keys, places=1, gap_ms=0, hold_s=0.6, patience_s=1.8)

    async with gate.place(HOST):
        with pytest.raises(HostBusy):
            async with other.place(HOST):
                pass

    async with asyncio.timeout(5), other.place(HOST):
        pass


async def test_a_scan_that_cannot_begin_for_long_gives_its_place_in_the_worker_back(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)
    async with gate.place(HOST):
        pass

    with pytest.raises(HostBusy, match=HOST) as busy:
        async with gate.place(HOST, gap_ms=60_000):
            pass
    outcome = decide(busy.value, attempt=3, tries=3, random=lambda: 0.5)

    assert isinstance(outcome, Retried)
    assert outcome.attempt_returned
    assert 30 < outcome.delay_s < 95


async def test_the_gap_a_site_asks_for_counts_where_it_is_the_larger_one(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, places=10, gap_ms=1)
    began: list[float] = []

    for _ in range(2):
        async with gate.place(HOST, gap_ms=300):
            began.append(time.monotonic())

    assert began[1] - began[0] >= 0.29
