"""renew.lua and its thread: leases are kept while the loop is alive, and losses are reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis as blocking_redis
from redis.asyncio import Redis

import worker.queue.leases
from producer.client.client import Client
from producer.keys import GROUP, Keys
from tests.support.queue import start_one, steal, until
from worker.queue.leases import Leased, LeaseKeeper
from worker.queue.stream import JobStream


@pytest.fixture
def told() -> dict[str, list[str]]:
    """What the thread said, by what it said."""
    return {"lost": [], "cancel": []}


@pytest.fixture
def keeper(redis_url: str, keys: Keys, told: dict[str, list[str]]):
    def say(what: str) -> Callable[[Leased], None]:
        return lambda leased: told[what].append(leased.job_id)

    made = LeaseKeeper(
        lambda: blocking_redis.Redis.from_url(redis_url),
        keys,
        consumer="w1",
        renew_s=0.05,
        on_lost=say("lost"),
        on_cancel=say("cancel"),
    )
    yield made
    made.stop()


async def idle_ms(redis: Redis, keys: Keys) -> int:
    """Return the idle time of the one pending entry."""
    rows = await redis.xpending_range(keys.lane("batch"), GROUP, "-", "+", 1)
    return int(rows[0]["time_since_delivered"])


async def test_a_held_lease_is_renewed_and_its_delivery_count_left_alone(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, keeper: LeaseKeeper
):
    await client.submit("add", {})
    delivery = await start_one(stream)
    await redis.xclaim(keys.lane("batch"), GROUP, "w1", 0, [delivery.entry], idle=60_000, justid=True)

    keeper.hold(delivery)
    keeper.start()
    await until(lambda: _is_fresh(redis, keys), what="the renewal")

    rows = await redis.xpending_range(keys.lane("batch"), GROUP, "-", "+", 1)
    assert rows[0]["times_delivered"] == 1


async def test_a_stolen_lease_is_reported_as_lost(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, keeper: LeaseKeeper, told: dict[str, list[str]]
):
    job = await client.submit("add", {})
    delivery = await start_one(stream)
    await steal(redis, keys, delivery, by="other")

    keeper.hold(delivery)
    keeper.start()
    await until(lambda: told["lost"], what="the loss")

    assert told["lost"][0] == job.job_id


async def test_a_restarted_delivery_of_the_same_consumer_makes_the_old_one_lost(
    client: Client, stream: JobStream, keeper: LeaseKeeper, told: dict[str, list[str]]
):
    await client.submit("add", {})
    entry = (await stream.claim(slots=1, for_batch=1, turns=0))[0]
    stale = await stream.start(entry, tries=3)
    await stream.start(entry, tries=3)

    keeper.hold(stale)  # pyright: ignore[reportArgumentType]  # started above, so it is a delivery
    keeper.start()
    await until(lambda: told["lost"], what="the loss")


async def test_a_cancellation_is_reported(
    client: Client, stream: JobStream, keeper: LeaseKeeper, told: dict[str, list[str]]
):
    job = await client.submit("add", {})
    delivery = await start_one(stream)
    await client.cancel(job.job_id)

    keeper.hold(delivery)
    keeper.start()
    await until(lambda: told["cancel"], what="the cancellation")

    assert told["lost"] == []


async def test_a_hung_loop_loses_its_leases(
    client: Client,
    stream: JobStream,
    redis: Redis,
    keys: Keys,
    keeper: LeaseKeeper,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(worker.queue.leases, "LOOP_HUNG_S", 0.2)
    await client.submit("add", {})
    keeper.hold(await start_one(stream))

    keeper.start()
    await until(lambda: _is_idle_for(redis, keys, 600), what="a lease that nobody renews")
    hung_at = time.monotonic()
    await until(lambda: keeper.up_since > hung_at, what="the word that a woken loop must not reclaim for a lease")
    monkeypatch.undo()
    keeper.tick()
    await until(lambda: _is_fresh(redis, keys), what="the renewal after the loop woke")


async def test_a_slow_reply_is_no_freeze(redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch):
    """A busy Redis that replies within the interval of the renewals is up: the worker may go on reclaiming."""
    monkeypatch.setattr(worker.queue.leases, "FROZEN_S", 0.4)
    pings = list[float]()

    class Busy(blocking_redis.Redis):
        def ping(self, **options: Any) -> Any:
            pings.append(time.monotonic())
            time.sleep(0.5)
            return super().ping(**options)

    keeper = LeaseKeeper(
        lambda: Busy.from_url(redis_url), keys, consumer="w1", renew_s=1.0, on_lost=_nothing, on_cancel=_nothing
    )
    up_since = keeper.up_since
    keeper.start()
    await until(lambda: len(pings) == 2, what="the wait after a slow reply")
    keeper.stop()

    assert keeper.up_since == up_since


def _nothing(leased: Leased) -> None:
    del leased


async def _is_fresh(redis: Redis, keys: Keys) -> bool:
    return await idle_ms(redis, keys) < 500


async def _is_idle_for(redis: Redis, keys: Keys, least_ms: int) -> bool:
    return await idle_ms(redis, keys) >= least_ms


async def test_a_job_hash_that_somebody_overwrote_costs_no_other_job_its_lease(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, keeper: LeaseKeeper, told: dict[str, list[str]]
):
    await client.submit("add", {}, job_id="broken")
    await client.submit("add", {}, job_id="sound")
    deliveries = [await start_one(stream), await start_one(stream)]
    await redis.delete(keys.job("broken"))
    await redis.set(keys.job("broken"), "not a hash")
    for delivery in deliveries:
        await redis.xclaim(keys.lane("batch"), GROUP, "w1", 0, [delivery.entry], idle=60_000, justid=True)
        keeper.hold(delivery)

    keeper.start()

    async def is_renewed() -> bool:
        rows = await redis.xpending_range(keys.lane("batch"), GROUP, deliveries[1].entry, deliveries[1].entry, 1)
        return int(rows[0]["time_since_delivered"]) < 30_000

    await until(is_renewed, what="the renewal of the other job")
    await until(lambda: "broken" in told["lost"], what="the word that the broken one is lost")
