"""Requests, hosts and listeners for tests of the GPU pool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.gpu_view import GpuView, read_gpu
from producer.contract import Lane
from producer.keys import Keys
from tests.support.queue import until
from worker.gpu.hosts import Host, Kind, parse_hosts
from worker.gpu.pool import GpuPool
from worker.gpu.scripts import Ask, Timing
from worker.gpu.slot import Slot

DEADLINE_S = 60.0
"""Time limit of a wait; not a promise of the product."""
USUAL = Timing(lease_s=DEADLINE_S, reply_s=DEADLINE_S)
"""The usual times, but on a busy machine no lease ends and no call to Redis fails."""
PROBED_OFTEN = replace(USUAL, confirm_s=10.0, renew_s=0.2, grace_s=0.2, probe_s=0.2, probe_down_s=0.05)
"""Hosts are checked often, and a waiter learns quickly that all are down. No grant ends before it is confirmed."""
QUICK = replace(PROBED_OFTEN, confirm_s=0.6, grace_s=0.3, probe_s=0.1)
"""A grant that nobody confirms passes on quickly."""
RARELY = replace(USUAL, lease_s=1800.0, renew_s=600.0, probe_s=600.0, probe_down_s=600.0)
"""No heartbeat and no regular check of a host comes during a test."""
GPU1, GPU2 = "http://gpu1:1", "http://gpu2:1"
ONE: tuple[Host, ...] = parse_hosts("http://gpu1:1")
TWO: tuple[Host, ...] = parse_hosts("http://gpu1:1,http://gpu2:1")


def ask(
    token: str,
    kind: Kind = "chat",
    priority: str = "batch",
    *,
    hosts: Sequence[Host] = ONE,
    worker: str = "w1",
    seq: int = 0,
) -> Ask:
    return Ask(token, kind, Lane(priority), worker, f"job-of-{token}", tuple(hosts), seq)


async def view_of(pool: GpuPool) -> GpuView:
    """Return holders and waiters of all workers."""
    return await read_gpu(pool._redis, pool._keys)


class Ear:
    """Receives the wake messages of one worker, as its pool would."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub

    async def next(self) -> str:
        """Return the token of the next grant, or all of another message."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=DEADLINE_S)
                if message is not None:
                    text: str = message["data"].decode()
                    return text.split(" ")[1] if text[0].isdecimal() else text


@asynccontextmanager
async def listening(redis: Redis, keys: Keys, worker: str = "w1") -> AsyncGenerator[Ear]:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.gpu_wake(worker))
        assert (await pubsub.get_message(timeout=DEADLINE_S) or {})["type"] == "subscribe"
        yield Ear(pubsub)


async def holders(redis: Redis, keys: Keys) -> dict[str, str]:
    """Return the host of every slot in use, by token."""
    tokens = [token.decode() for token in await cast("Any", redis).zrange(keys.gpu_holders, 0, -1)]
    calls = {token: await cast("Any", redis).hget(keys.gpu_calls, token) for token in tokens}
    return {token: json.loads(call)["host"] for token, call in calls.items()}


async def expire(redis: Redis, key: str, token: str) -> None:
    """Plant an end long ago for the lease of ``token`` in ``key``."""
    assert await cast("Any", redis).zadd(key, {token: 1}, xx=True, ch=True) == 1


async def set_clock_back(redis: Redis, *keys: str) -> None:
    """Make every lease in ``keys`` end an hour later, as if Redis' clock had been set back."""
    for key in keys:
        for token, ends in await cast("Any", redis).zrange(key, 0, -1, withscores=True):
            await cast("Any", redis).zadd(key, {token: ends + 3_600_000})


async def set_host(redis: Redis, keys: Keys, name: str, **fields: Any) -> None:
    """Plant fields in a host's record."""
    client = cast("Any", redis)
    record = json.loads(await client.hget(keys.gpu_hosts, name))
    await client.hset(keys.gpu_hosts, name, json.dumps(record | fields))


async def host_record(redis: Redis, keys: Keys, name: str = "http://gpu1:1") -> dict[str, Any]:
    return json.loads(await cast("Any", redis).hget(keys.gpu_hosts, name))


async def lease_ms(redis: Redis, keys: Keys, token: str, *, of: str = "") -> float:
    """Return the remaining time of a lease, by Redis' clock: a holder's, or one in the key ``of``."""
    client = cast("Any", redis)
    seconds, micros = await client.time()
    return await client.zscore(of or keys.gpu_holders, token) - (int(seconds) * 1000 + int(micros) // 1000)


async def waiting(pool: GpuPool, count: int, *, timeout_s: float = DEADLINE_S) -> None:
    """Wait until ``count`` calls are waiting."""

    async def have() -> bool:
        return len((await view_of(pool)).waiters) == count

    await until(have, what=f"{count} calls waiting", timeout_s=timeout_s)


async def hold(pool: GpuPool, *, priority: str = "batch", job: str = "") -> Slot:
    """Acquire and release a chat slot."""
    async with pool.acquire("chat", priority=priority, job=job) as slot:
        pass
    return slot


async def hold_for_ever(pool: GpuPool) -> None:
    """Make a call that never returns."""
    async with pool.acquire("chat") as slot:
        await slot.run(asyncio.Event().wait())
