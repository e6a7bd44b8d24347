"""Workers and model hosts that are killed and frozen: the GPU goes on, one call at a time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.child import Child
from tests.support.ollama_server import Fault, OllamaServer, most_at_once
from worker.gpu.hosts import parse_hosts
from worker.gpu.pool import GpuPool
from worker.models.protocols import Message
from worker.models.routing import open_models
from worker.settings import WorkerSettings

Start = Callable[..., Awaitable[Child]]


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
async def watch_holders(redis: Redis, keys: Keys) -> AsyncGenerator[list[Counter[str]]]:
    """Note every state of the holders that differs from the one before, as fast as Redis tells."""
    seen: list[Counter[str]] = []
    client = cast("Any", redis)

    async def look() -> None:
        while True:
            async with client.pipeline(transaction=True) as pipe:
                pipe.zrange(keys.gpu_holders, 0, -1)
                pipe.hgetall(keys.gpu_calls)
                tokens, calls = await pipe.execute()
            state = Counter(json.loads(calls[token])["host"] for token in tokens if token in calls)
            if not seen or seen[-1] != state:
                seen.append(state)

    watching = asyncio.create_task(look())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def open_pool(redis_url: str, keys: Keys, url: str, worker: str) -> AsyncGenerator[GpuPool]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        pool = GpuPool(client, keys, parse_hosts(url), worker=worker)
        await pool.open()
        try:
            yield pool
        finally:
            await pool.close()


async def test_many_worker_processes_use_one_slot_one_at_a_time(start: Start, redis: Redis, keys: Keys):
    async with OllamaServer(call_s=0.02) as ollama, watch_holders(redis, keys) as seen:
        workers = [await start(f"w{number}", ollama=ollama.url, calls=10, at_once=2) for number in range(4)]
        for worker in workers:
            worker.go()

        said = [event for worker in workers for event in await worker.events()]

    assert Counter(event["event"] for event in said) == {"answered": 40, "finished": 4}
    assert len(ollama.calls()) == 40
    assert most_at_once(ollama.calls()) == 1
    assert max(state.total() for state in seen) == 1


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
            while len((await pool.view()).waiters) < 3:
                pass
            doomed.kill()
            await doomed.process.wait()
            released_at = loop.time()
        async with pool.acquire("chat"):
            idle_s = loop.time() - released_at

    assert idle_s < 0.5


async def test_a_frozen_holder_loses_its_slot_and_must_acquire_again(
    start: Start, redis: Redis, redis_url: str, keys: Keys
):
    loop = asyncio.get_running_loop()
    async with (
        OllamaServer() as ollama,
        open_pool(redis_url, keys, ollama.url, "w2") as pool,
        watch_holders(redis, keys) as seen,
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
            while not (await pool.view()).waiters:
                pass
            calls_meanwhile = len(ollama.calls())
            released_at = loop.time()
        answered = await frozen.event("answered")

    first, second = ollama.calls()
    assert taken_after_s < 10.0
    assert calls_meanwhile == 1
    assert first.end == "left"
    assert second.arrived >= released_at
    assert answered["calls"] == 2
    assert max(state.total() for state in seen) == 1


async def test_the_late_answer_of_a_frozen_holder_is_discarded(start: Start, redis_url: str, keys: Keys):
    async with OllamaServer(call_s=1.0) as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        frozen = await start("w1", ollama=ollama.url)
        frozen.go()
        await ollama.wait_for_calls(1)
        frozen.freeze()

        async with pool.acquire("chat"):
            assert ollama.calls()[0].end == "answered"
            frozen.thaw()
        answered = await frozen.event("answered")

    assert answered["calls"] == 2
    assert len(ollama.calls()) == 2


async def test_a_frozen_waiter_holds_the_others_up_for_a_second_at_most(start: Start, redis_url: str, keys: Keys):
    loop = asyncio.get_running_loop()
    async with OllamaServer() as ollama, open_pool(redis_url, keys, ollama.url, "w2") as pool:
        async with pool.acquire("chat"):
            frozen = await start("w1", ollama=ollama.url)
            frozen.go()
            while not (await pool.view()).waiters:
                pass
            frozen.freeze()
            released_at = loop.time()
        async with pool.acquire("chat"):
            idle_s = loop.time() - released_at
        frozen.thaw()
        answered = await frozen.event("answered")

    assert 0.5 < idle_s < 2.0
    assert answered["calls"] == 1


async def test_with_three_hosts_one_may_die_and_one_hang(redis: Redis, keys: Keys):
    async with AsyncExitStack() as stack:
        dying, hanging, sound = [await stack.enter_async_context(_host("--call-ms", "20")) for _ in range(3)]
        urls = [await host.line() for host in (dying, hanging, sound)]
        settings = WorkerSettings(ollama_base_url=",".join(urls), embedding_model="builtin")
        models = await stack.enter_async_context(open_models(settings, redis, keys, worker="w1"))
        pool = models.pool
        assert pool is not None
        calls = [asyncio.create_task(models.chat.chat([Message("user", f"page {n}")])) for n in range(300)]
        await asyncio.wait(calls[:30], timeout=30)

        dying.kill()
        hanging.freeze()
        replies = await asyncio.wait_for(asyncio.gather(*calls), 60)
        set_aside = {host.name for host in (await pool.view()).hosts if not host.is_up}

        await dying.process.wait()
        port = urls[0].rpartition(":")[2]
        await (await stack.enter_async_context(_host("--call-ms", "20", "--port", port))).line()
        hanging.thaw()
        async with asyncio.timeout(15):
            while not all(host.is_up for host in (await pool.view()).hosts):
                pass
        async with pool.acquire("chat") as a, pool.acquire("chat") as b, pool.acquire("chat") as c:
            back_at_work = {a.host, b.host, c.host}

    assert len(replies) == 300
    assert all(reply.text for reply in replies)
    assert set_aside == set(urls[:2])
    assert back_at_work == set(urls)


def _host(*arguments: str) -> Child:
    return Child("tests.support.ollama_server", *arguments)
