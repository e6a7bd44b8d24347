"""Holders and waiters of the GPU as read by ``status``: from Redis alone, without the worker package."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from producer.cli.status_text import gpu_lines
from producer.client.gpu_view import (
    INTERACTIVE_IN_A_ROW,
    GpuHost,
    GpuView,
    GpuWaiter,
    LoadedModel,
    expected_wait_ms,
    read_gpu,
    served_order,
)
from producer.keys import Keys
from tests.support.gpu import GPU1, GPU2, TWO, ask, expire, hold, listening, view_of, waiting
from tests.support.ollama_models import OpenPool
from worker.gpu.scripts import PoolScripts

ROOT = Path(__file__).parents[3]


async def test_the_view_tells_who_holds_what_and_who_waits(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys):
        await scripts.tend(TWO, ())
        await scripts.acquire(ask("a", hosts=TWO))
        await scripts.acquire(ask("b", hosts=TWO))
        await scripts.acquire(ask("late", hosts=TWO))
        await scripts.acquire(ask("question", priority="interactive", hosts=TWO))
        await scripts.acquire(ask("e", "embed", hosts=TWO))

        view = await read_gpu(redis, keys)

    assert {holder.token: (holder.job, holder.host, holder.worker) for holder in view.holders} == {
        "a": ("job-of-a", GPU1, "w1"),
        "b": ("job-of-b", GPU2, "w1"),
        "e": ("job-of-e", GPU1, "w1"),
    }
    assert [(waiter.token, waiter.position) for waiter in view.waiters] == [("question", 1), ("late", 2)]
    assert [(host.name, host.chat_used, host.embed_used, host.is_up) for host in view.hosts] == [
        (GPU1, 1, 1, True),
        (GPU2, 1, 0, True),
    ]
    assert view.of_job("job-of-late").waiters == view.waiters[1:]
    assert view.of_job("job-of-a").holders == view.holders[:1]
    assert all(5000 < holder.lease_ms <= 6000 for holder in view.holders)


async def test_grants_waits_and_holding_times_add_up(open_pool: OpenPool, redis: Redis):
    async def now_ms() -> float:
        seconds, microseconds = await redis.time()
        return seconds * 1_000 + microseconds / 1_000

    pool = await open_pool("w1")

    async with pool.acquire("chat") as first:
        waiter = asyncio.create_task(hold(pool, priority="interactive"))
        await waiting(pool, 1)
        # The wait is counted in whole ms, and all of this can be done within one.
        asked_ms = await now_ms()
        while await now_ms() < asked_ms + 2:
            pass
    second = await waiter
    totals = {(total.kind, total.priority): total for total in (await view_of(pool)).totals}

    batch, interactive = totals["chat", "batch"], totals["chat", "interactive"]
    assert (batch.grants, interactive.grants, totals["embed", "batch"].grants) == (1, 1, 0)
    assert batch.wait_ms <= first.wait_ms + 1
    assert 0 < interactive.wait_ms <= second.wait_ms + 1
    assert interactive.wait_ms <= batch.held_ms  # it waited while the other one held


async def test_a_dead_holders_time_counts_as_held(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.acquire(ask("dead"))
    record = json.loads(await cast("Any", redis).hget(keys.gpu_calls, "dead"))
    await cast("Any", redis).hset(
        keys.gpu_calls, "dead", json.dumps(record | {"granted_ms": record["granted_ms"] - 5_000})
    )
    await expire(redis, keys.gpu_holders, "dead")

    await scripts.tend(TWO, ())

    totals = (await read_gpu(redis, keys)).totals
    assert 5_000 <= next(one.held_ms for one in totals if (one.kind, one.priority) == ("chat", "batch")) < 60_000


async def test_expired_calls_are_not_shown(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.acquire(ask("dead"))
    await scripts.acquire(ask("silent"))
    await expire(redis, keys.gpu_holders, "dead")
    await expire(redis, keys.gpu_waiters, "silent")

    view = await read_gpu(redis, keys)

    assert (view.holders, view.waiters) == ((), ())
    assert view.hosts[0].chat_used == 0


async def test_an_environment_without_a_pool_has_an_empty_view(redis: Redis, keys: Keys):
    view = await read_gpu(redis, keys)

    assert (view.hosts, view.holders, view.waiters) == ((), (), ())
    assert list(gpu_lines(view)) == []


async def test_a_worker_sees_the_same_view(open_pool: OpenPool, redis: Redis, keys: Keys):
    pool = await open_pool("w1")

    async with pool.acquire("chat", job="job-1"):
        mine, theirs = await view_of(pool), await read_gpu(redis, keys)

    assert mine.holders[0].job == theirs.holders[0].job == "job-1"
    assert mine.hosts == theirs.hosts


async def test_an_expected_wait_is_what_the_calls_before_it_will_take(open_pool: OpenPool):
    pool = await open_pool("w1")

    is_seen = asyncio.Event()

    async def call() -> None:
        async with pool.acquire("chat") as slot:
            await slot.run(is_seen.wait())

    async with pool.acquire("chat") as slot:
        await slot.run(asyncio.sleep(0.05))
    calls = [asyncio.create_task(call()) for _ in range(6)]
    await waiting(pool, 5)
    view = await view_of(pool)
    is_seen.set()
    await asyncio.gather(*calls)

    hold_ms = view.hold_ms["chat"]
    told = [waiter.expected_ms or 0 for waiter in view.waiters]
    assert hold_ms >= 49  # a sleep of 50 ms, between two readings of a clock of whole ms
    assert [after - before for before, after in pairwise(told)] == [hold_ms] * 4
    assert told[0] <= hold_ms


def test_the_order_of_service_is_predicted():
    calls = {f"i{n}": {"seq": n, "priority": "interactive"} for n in range(6)}
    calls |= {f"b{n}": {"seq": n, "priority": "batch"} for n in range(2)}

    assert served_order(list(calls), calls, 0) == ["i0", "i1", "i2", "i3", "b0", "i4", "i5", "b1"]
    assert served_order(list(calls), calls, 4)[:2] == ["b0", "i0"]
    assert served_order(["b1", "b0"], calls, 4) == ["b0", "b1"]


def test_nothing_is_expected_of_hosts_that_are_down():
    down = GpuHost(GPU1, 1, 1, 0, 0, is_up=False, reason="no answer", since_ms=0)

    assert expected_wait_ms(0, "chat", [down], [], {"chat": 100}) is None


def test_the_words_name_jobs_and_keep_terminals_safe():
    host = GpuHost(
        GPU1, 1, 1, 0, 0, is_up=False, reason="bad\x1b[2J news", since_ms=1000,
        loaded=(LoadedModel("qwen3.5:4b", 3_300_000_000, 2_200_000_000, 8192),), missing=("nomic-embed-text",),
    )  # fmt: skip
    waiters = tuple(GpuWaiter(f"t{n}", "chat", "batch", "w1", f"job-{n}", 500, n + 1, 2000) for n in range(25))

    lines = list(gpu_lines(GpuView(61_000, (host,), (), waiters)))

    assert lines[0] == f"gpu {GPU1}: unhealthy for 60.0 s: bad [2J news; chat 0 of 1, embed 0 of 1 slots in use"
    assert lines[1] == "  loaded   qwen3.5:4b, 2.2 of 3.3 GB on the card"
    assert lines[2] == "  missing  nomic-embed-text: run there: ollama pull nomic-embed-text"
    assert lines[3] == "  waits    job job-0 on w1: chat, number 1 (batch), for 0.5 s; expected wait about 2.0 s"
    assert lines[-1] == "  waits    5 more"


def test_every_key_of_the_pool_is_documented():
    keys = Keys()
    text = (ROOT / "ops/gpu.md").read_text("utf-8")

    named = [*keys.gpu_pool, keys.gpu_loaded, keys.gpu_wake("NAME"), keys.usage("yyyy-mm-dd"), keys.counted("TOKEN")]

    assert [key for key in named if f"`{key.removeprefix(keys.prefix)}`" not in text] == []
    lua = (ROOT / "worker/gpu/lua/_gpu.lua").read_text("utf-8")
    assert re.search(rf"INTERACTIVE_IN_A_ROW = {INTERACTIVE_IN_A_ROW}\b", lua)
