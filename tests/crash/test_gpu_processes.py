"""Workers and model hosts are killed and frozen: the GPU keeps serving one call at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Monitor

from producer.keys import Keys
from tests.support.child import START_S, Child
from tests.support.gpu import expire, view_of, waiting
from tests.support.ollama_server import Fault, OllamaServer, most_at_once
from tests.support.queue import until
from worker.gpu.hosts import parse_hosts
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Timing
from worker.models.protocols import Message
from worker.models.routing import open_models
from worker.settings import WorkerSettings

Start = Callable[..., Awaitable[Child]]
OFTEN = Timing(probe_s=0.5, probe_down_s=0.5)
"""The usual leases, but hosts are checked often."""


@pytest.fixture
async def start(redis_url: str, keys: Keys) -> AsyncGenerator[Start]:
    """``await start("w1", ollama=url, calls=3)`` returns a worker that is ready and waits for ``go``."""
    async with AsyncExitStack() as stack:

        async def start_one(name: str, *, ollama: str, calls: int = 1, at_once: int = 1, lane: str = "batch") -> Child:
            where = ["--redis", redis_url, "--environment", keys.environment, "--ollama", ollama]
            what = ["--name", name, "--calls", str(calls), "--at-once", str(at_once), "--lane", lane]
            child = await stack.enter_async_context(Child("tests.support.gpu_worker", *where, *what))
            await child.event("ready")
            return child

        yield start_one


@asynccontextmanager
async def watch_holders(redis_url: str, keys: Keys) -> AsyncGenerator[list[int]]:
    """How many calls held a slot after every single change of the holders, whoever made it: Redis tells all it does."""
    holding: set[str] = set()
    counts: list[int] = []
    end = f"{keys.prefix}end"

    async def follow(monitor: Monitor) -> None:
        while True:
            command, key, *rest = [*(await monitor.next_command())["command"].split(), "", ""]
            if key == keys.gpu_holders and command in {"ZADD", "ZREM"}:
                holding.add(rest[1]) if command == "ZADD" else holding.discard(rest[0])
                counts.append(len(holding))
            elif key == end:
                return

    async with Redis.from_url(redis_url, protocol=2) as client, client.monitor() as monitor:
        following = asyncio.create_task(follow(monitor))
        try:
            yield counts
            await client.echo(end)
            await asyncio.wait_for(following, START_S)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@asynccontextmanager
async def open_pool(redis_url: str, keys: Keys, url: str, worker: str) -> AsyncGenerator[GpuPool]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        pool = GpuPool(client, keys, parse_hosts(url), worker=worker)
        await pool.open()
        try:
            yield pool
        finally:
            await pool.close()


async def test_many_worker_processes_use_one_slot_one_at_a_time(start: Start, redis_url: str, keys: Keys):
    async with OllamaServer(call_s=0.02) as ollama:
        starting = [start(f"w{number}", ollama=ollama.url, calls=12, at_once=2) for number in range(3)]
        workers = await asyncio.gather(*starting)
        async with watch_holders(redis_url, keys) as holders:
            for worker in workers:
                worker.go()
            said = [event for worker in workers for event in await worker.events(until="finished")]

    assert Counter(event["event"] for event in said) == {"answered": 36, "finished": 3}
    assert len(ollama.calls()) == 36
    assert most_at_once(ollama.calls()) == 1
    assert sum(before < after for before, after in pairwise([0, *holders])) == 36  # all grants were seen
    assert max(holders) == 1


async def test_a_killed_holder_keeps_the_gpu_for_less_than_ten_seconds(start: Start, redis_url: str, keys: Keys):
    loop = asyncio.get_running_loop()
    async with OllamaServer() as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        ollama.faults.append(Fault("stall"))
        holder = await start("w1", ollama=ollama.url)
        holder.go()
        await ollama.wait_for_calls(1)

        holder.kill()
        killed_at = loop.time()
        async with pool.acquire("chat"):
            idle_s = loop.time() - killed_at

    assert 3.0 < idle_s < 10.0


async def test_a_killed_waiter_costs_nothing(start: Start, redis_url: str, keys: Keys):
    loop = asyncio.get_running_loop()
    async with OllamaServer() as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        async with pool.acquire("chat"):
            doomed = await start("w1", ollama=ollama.url, calls=3, at_once=3)
            doomed.go()
            await waiting(pool, 3, timeout_s=START_S)
            doomed.kill()
            await doomed.end()
            released_at = loop.time()
        async with pool.acquire("chat"):
            idle_s = loop.time() - released_at

    assert idle_s < 2.5, "three grants to the dead would take three seconds"


async def test_a_frozen_holder_loses_its_slot_and_must_acquire_again(start: Start, redis_url: str, keys: Keys):
    loop = asyncio.get_running_loop()
    async with (
        OllamaServer() as ollama,
        open_pool(redis_url, keys, ollama.url, "w2") as pool,
        watch_holders(redis_url, keys) as holders,
    ):
        ollama.faults.append(Fault("stall"))
        frozen = await start("w1", ollama=ollama.url)
        frozen.go()
        await ollama.wait_for_calls(1)
        frozen.freeze()
        frozen_at = loop.time()

        async with pool.acquire("chat"):
            taken_after_s = loop.time() - frozen_at
            frozen.thaw()
            await waiting(pool, 1, timeout_s=START_S)
            calls_meanwhile = len(ollama.calls())
            released_at = loop.time()
        answered = await frozen.event("answered")

    first, second = ollama.calls()
    assert taken_after_s < 10.0
    assert calls_meanwhile == 1
    assert first.end == "left"
    assert second.arrived >= released_at
    assert answered["calls"] == 2
    assert len(holders) > 3
    assert max(holders) == 1


async def test_the_late_answer_of_a_frozen_holder_is_discarded(start: Start, redis: Redis, redis_url: str, keys: Keys):
    async with OllamaServer(call_s=0.3) as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        frozen = await start("w1", ollama=ollama.url)
        frozen.go()
        await ollama.wait_for_calls(1)
        frozen.freeze()
        (holder,) = (await view_of(pool)).holders
        await expire(redis, keys.gpu_holders, holder.token)  # by its own clock it holds the slot for seconds still

        async with pool.acquire("chat"):
            await asyncio.wait_for(ollama.all_ended(), START_S)
            frozen.thaw()
            await waiting(pool, 1, timeout_s=START_S)
        answered = await frozen.event("answered")

    assert [call.end for call in ollama.calls()] == ["answered", "answered"]
    assert answered["calls"] == 2


async def test_a_frozen_waiter_holds_the_others_up_for_a_second_at_most(start: Start, redis_url: str, keys: Keys):
    loop = asyncio.get_running_loop()
    async with OllamaServer() as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        async with pool.acquire("chat"):
            frozen = await start("w1", ollama=ollama.url)
            frozen.go()
            await waiting(pool, 1, timeout_s=START_S)
            frozen.freeze()
            released_at = loop.time()
        async with pool.acquire("chat"):
            idle_s = loop.time() - released_at
        frozen.thaw()
        answered = await frozen.event("answered")

    assert 0.5 < idle_s < 5.0, "a lease has six seconds"
    assert answered["calls"] == 1


async def test_with_three_hosts_one_may_die_and_one_hang(redis: Redis, keys: Keys):
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(_host("--call-ms", "20")) for _ in range(3)]
        dying, hanging, sound = await asyncio.gather(*starting)
        urls = [await host.line() for host in (dying, hanging, sound)]
        settings = WorkerSettings(ollama_base_url=",".join(urls), embedding_model="builtin")
        models = await stack.enter_async_context(open_models(settings, redis, keys, worker="w1", timing=OFTEN))
        pool = models.pool
        assert pool is not None
        calls = [asyncio.create_task(models.chat.chat([Message("user", f"page {n}")])) for n in range(300)]
        await asyncio.wait(calls[:30], timeout=START_S)

        dying.kill()
        hanging.freeze()
        replies = await asyncio.wait_for(asyncio.gather(*calls), START_S)
        unhealthy = {host.name for host in (await view_of(pool)).hosts if not host.is_up}

        await dying.end()
        port = urls[0].rpartition(":")[2]
        await (await stack.enter_async_context(_host("--call-ms", "20", "--port", port))).line()
        hanging.thaw()
        await until(lambda: _all_up(pool), what="all hosts up", timeout_s=START_S)
        async with pool.acquire("chat") as a, pool.acquire("chat") as b, pool.acquire("chat") as c:
            back_at_work = {a.host, b.host, c.host}

    assert len(replies) == 300
    assert all(reply.text for reply in replies)
    assert unhealthy == set(urls[:2])
    assert back_at_work == set(urls)


async def _all_up(pool: GpuPool) -> bool:
    return all(host.is_up for host in (await view_of(pool)).hosts)


def _host(*arguments: str) -> Child:
    return Child("tests.support.ollama_server", *arguments)
