"""What a worker does between jobs: pauses before it repeats, readers that end by themselves, reads after a restart."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

import worker.queue.lane_reader
from producer.client.client import Client
from producer.contract import JobState, Lane
from producer.contract.terms import SUBMITTED
from producer.keys import Keys
from producer.redis.backoff import Backoff
from tests.support.queue import add, job_fields, running_worker, submitted, until
from tests.support.queue_loop import Begun, running_loop
from tests.support.signals import Signal
from worker.queue.delivery import Delivery, Entry
from worker.queue.stream import JobStream

WAIT_S = 60
PAUSE_S = 0.1


async def fails(_: dict[Any, Any]) -> None:
    msg = "a bug"
    raise LookupError(msg)


def pause_s(_: Backoff) -> float:
    return PAUSE_S


async def test_a_commit_that_is_refused_is_repeated_after_a_pause(
    client: Client, redis_url: str, keys: Keys, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Backoff, "pause_s", pause_s)
    await redis.set(keys.events, "in the way")
    job_id = await submitted(client)
    async with running_worker(redis_url, keys, [add], lease_s=10) as busy:
        await until(lambda: busy.executor.refusals >= 1, what="a refused commit")
        began, before = time.monotonic(), busy.executor.refusals
        await until(lambda: busy.executor.refusals >= before + 5, what="five more")
        took_s = time.monotonic() - began
        await redis.delete(keys.events)
        result = await client.wait(job_id, timeout_s=WAIT_S)

    assert took_s >= 4 * PAUSE_S
    assert result.state is JobState.SUCCEEDED


async def test_a_claim_that_fails_is_repeated_after_a_pause(
    stream: JobStream, redis_url: str, keys: Keys, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Backoff, "pause_s", pause_s)
    await redis.set(keys.lane("batch"), "in the way")
    claims, claim = Signal("a claim"), stream.claim
    monkeypatch.setattr(stream, "claim", claims.after(claim))
    async with running_loop(stream, redis_url, keys, Begun, max_jobs=2, lease_s=600):
        await claims.times(1)
        began = time.monotonic()
        await claims.times(5)

    assert time.monotonic() - began >= 4 * PAUSE_S


async def test_a_read_that_fails_is_repeated_after_a_pause(
    stream: JobStream, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Backoff, "pause_s", pause_s)
    reads = Signal("a read")

    async def refuses(*_: object, **__: object) -> bool:
        reads.raise_once()
        await asyncio.sleep(0)
        msg = "Connection closed by server"
        raise RedisConnectionError(msg)

    monkeypatch.setattr(worker.queue.lane_reader.LaneReader, "read", refuses)
    async with running_loop(stream, redis_url, keys, Begun, max_jobs=2, lease_s=600):
        await reads.times(2)
        began = time.monotonic()
        await reads.times(8)

    assert time.monotonic() - began >= 2 * PAUSE_S, "four more of each lane"


async def test_a_backlog_is_done_before_any_lease_ends(client: Client, redis_url: str, keys: Keys, redis: Redis):
    jobs = [await submitted(client, lane=lane) for lane in SUBMITTED for _ in range(6)]
    async with running_worker(redis_url, keys, [add], max_jobs=3, lease_s=600):
        results = [await client.wait(job_id, timeout_s=WAIT_S) for job_id in jobs]

    assert {result.state for result in results} == {JobState.SUCCEEDED}
    assert [(await job_fields(redis, keys, job_id))["attempt"] for job_id in jobs] == ["1"] * len(jobs)


async def test_the_result_of_a_dead_job_is_kept_as_long_as_any_other(
    client: Client, redis_url: str, keys: Keys, redis: Redis
):
    async with running_worker(redis_url, keys, [fails], keep_result=120):
        job = await client.submit("fails", {})
        result = await client.wait(job.job_id, timeout_s=WAIT_S)

    assert result.state is JobState.DEAD
    assert 60 < await redis.ttl(keys.result(job.job_id)) <= 120


async def test_a_worker_that_stops_while_its_lanes_have_work_ends_its_readers_without_cancelling_them(
    client: Client, redis_url: str, keys: Keys
):
    gate, running = asyncio.Event(), asyncio.Event()

    async def waits(_: dict[Any, Any]) -> None:
        running.set()
        await gate.wait()

    waits.__qualname__ = "waits"
    for lane in SUBMITTED:
        for _ in range(3):
            await client.submit("waits", {}, lane=lane)
    async with running_worker(redis_url, keys, [waits], max_jobs=2, lease_s=10) as busy:
        await asyncio.wait_for(running.wait(), WAIT_S)
        readers = [task for task in asyncio.all_tasks() if task.get_name().startswith("read-")]
        gate.set()
        busy.job_loop.stop()
        await asyncio.wait(readers, timeout=WAIT_S)

    assert len(readers) == 2
    assert not any(reader.cancelled() for reader in readers)


async def test_an_idle_loop_stops_without_waiting_for_its_reads_to_end(
    stream: JobStream, redis: Redis, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker.queue.lane_reader, "BLOCK_MS", 600_000)
    async with running_loop(stream, redis_url, keys, Begun, max_jobs=2, lease_s=600) as (loop, _, _):
        (running,) = [
            task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == "Loop.run"
        ]

        async def both_wait() -> bool:
            own = {reader._client_id for reader in loop._readers.values()}
            return sum(int(one["id"]) in own and "b" in one["flags"] for one in await redis.client_list()) == 2

        await until(both_wait, what="two blocked readers")
        loop.stop()
        done, _ = await asyncio.wait([running], timeout=WAIT_S)

    assert done == {running}
    running.result()
    assert not any(reader._client_id for reader in loop._readers.values()), "a connection that was not given back"


async def test_workers_without_a_name_are_told_apart(redis_url: str, keys: Keys):
    async with running_worker(redis_url, keys, [add]) as one, running_worker(redis_url, keys, [add]) as other:
        names = {one.name, other.name}
    async with running_worker(redis_url, keys, [add], name="mine") as named:
        assert named.stream.consumer == "mine"

    assert len(names) == 2
    assert "" not in names


async def test_the_first_read_after_a_restart_starts_what_it_brings_though_scripts_are_forgotten(
    client: Client, stream: JobStream, redis: Redis
):
    found: list[Entry] = []
    reader = stream.reader(Lane.BATCH, arrived=found.extend)
    await submitted(client)
    await reader.read(newest="0-0", tries=[3])

    await reader.close()
    await redis.script_flush()
    await submitted(client)
    await reader.read(newest=found[0].id, tries=[3])
    await reader.close()

    assert [isinstance(entry.start, Delivery) for entry in found] == [True, True]


async def test_a_reader_that_does_not_wait_unblocks_nobody(client: Client, stream: JobStream, redis: Redis):
    reader = stream.reader(Lane.BATCH, arrived=lambda _: None)
    before = await unblock_calls(redis)

    await reader.unblock()
    await submitted(client)
    await reader.read(newest="0-0", tries=[3])
    await reader.close()
    await reader.unblock()

    assert await unblock_calls(redis) == before


async def unblock_calls(redis: Redis) -> int:
    """How often the server was asked to unblock a client."""
    return (await redis.info("commandstats")).get("cmdstat_client|unblock", {}).get("calls", 0)
