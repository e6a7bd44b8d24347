"""The lease thread's renewals, round by round, and during outages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis as blocking_redis
from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import GROUP, Keys
from tests.support.queue import start_one
from tests.support.signals import Signal
from worker.queue.leases import LeaseKeeper
from worker.queue.stream import JobStream

STALE_MS = 60_000
UNREACHABLE = 1
"""A port at which nothing listens."""


@dataclass
class Watched:
    """A keeper, its rounds, and the deliveries it reported."""

    keeper: LeaseKeeper
    rounds: Signal
    lost: list[str] = field(default_factory=list[str])
    cancelled: list[str] = field(default_factory=list[str])


@pytest.fixture
def watched(redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    lost: list[str] = []
    cancelled: list[str] = []
    keeper = LeaseKeeper(
        lambda: blocking_redis.Redis.from_url(redis_url, client_name=keys.environment),
        keys,
        consumer="w1",
        renew_s=0.02,
        on_lost=lambda leased: lost.append(leased.job_id),
        on_cancel=lambda leased: cancelled.append(leased.job_id),
    )
    rounds = Signal("a round of renewals")
    monkeypatch.setattr(keeper, "_renew", rounds.after(keeper._renew))
    yield Watched(keeper, rounds, lost, cancelled)
    keeper.stop()


async def idle_ms(redis: Redis, keys: Keys, entry: str) -> int:
    rows = await redis.xpending_range(keys.lane("batch"), GROUP, entry, entry, 1)
    return int(rows[0]["time_since_delivered"])


async def make_stale(redis: Redis, keys: Keys, entry: str) -> None:
    await redis.xclaim(keys.lane("batch"), GROUP, "w1", 0, [entry], idle=STALE_MS, justid=True)


async def test_a_released_lease_is_renewed_no_more_and_the_others_are(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, watched: Watched
):
    await client.submit("add", {}, job_id="released")
    await client.submit("add", {}, job_id="kept")
    released, kept = await start_one(stream), await start_one(stream)
    watched.keeper.hold(released)
    watched.keeper.hold(kept)
    watched.keeper.start()
    await watched.rounds.times(1)

    watched.keeper.release(released)
    await watched.rounds.times(1)  # a round that had begun may still know it
    for delivery in (released, kept):
        await make_stale(redis, keys, delivery.entry)
    await watched.rounds.times(2)

    assert await idle_ms(redis, keys, released.entry) >= STALE_MS
    assert await idle_ms(redis, keys, kept.entry) < STALE_MS


async def test_a_released_lease_is_not_reported_as_lost(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, watched: Watched
):
    await client.submit("add", {})
    delivery = await start_one(stream)
    watched.keeper.hold(delivery)
    watched.keeper.release(delivery)
    watched.keeper.release(delivery)
    await redis.delete(keys.job(delivery.job_id))

    watched.keeper.start()
    await watched.rounds.times(2)

    assert watched.lost == []


async def test_an_outage_reports_no_held_lease_and_renewal_goes_on_after_it(
    client: Client,
    stream: JobStream,
    redis: Redis,
    keys: Keys,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
):
    await client.submit("add", {})
    delivery = await start_one(stream)
    await make_stale(redis, keys, delivery.entry)
    failures = Signal("a failed connection")
    with monkeypatch.context() as outage:
        unreachable = blocking_redis.Redis(port=UNREACHABLE)
        outage.setattr(watched.keeper, "_connect", failures.after(lambda: unreachable))
        watched.keeper.hold(delivery)
        watched.keeper.start()
        await failures.times(3)  # the first two have been judged by then
        during = (list(watched.lost), list(watched.cancelled), watched.rounds.count)

    await watched.rounds.times(1)

    assert during == ([], [], 0)
    assert (watched.lost, watched.cancelled) == ([], [])
    assert await idle_ms(redis, keys, delivery.entry) < STALE_MS


async def test_an_error_that_is_not_redis_ends_no_renewal(
    client: Client,
    stream: JobStream,
    redis: Redis,
    keys: Keys,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
):
    await client.submit("add", {})
    delivery = await start_one(stream)
    await make_stale(redis, keys, delivery.entry)
    failures = Signal("a failed connection")

    def fail() -> blocking_redis.Redis:
        failures.raise_once()
        raise ValueError("the token service is down")

    with monkeypatch.context() as outage:
        outage.setattr(watched.keeper, "_connect", fail)
        watched.keeper.hold(delivery)
        watched.keeper.start()
        await failures.times(2)
    await watched.rounds.times(1)

    assert await idle_ms(redis, keys, delivery.entry) < STALE_MS


async def test_a_thread_that_is_stopped_during_an_outage_ends_without_an_error(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
):
    failures = Signal("a failed connection")
    errors: list[object] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)

    def fail() -> blocking_redis.Redis:
        failures.raise_once()
        raise ValueError("the token service is down")

    monkeypatch.setattr(watched.keeper, "_connect", fail)
    watched.keeper.start()
    await failures.times(1)

    watched.keeper.stop()

    assert errors == []


async def test_a_connection_lost_between_two_rounds_reports_no_held_lease(
    client: Client, stream: JobStream, redis: Redis, keys: Keys, watched: Watched
):
    await client.submit("add", {})
    delivery = await start_one(stream)
    watched.keeper.hold(delivery)
    watched.keeper.start()
    await watched.rounds.times(1)

    await make_stale(redis, keys, delivery.entry)
    connections = await redis.client_list()
    (own,) = [row["id"] for row in connections if row["name"] == keys.environment]
    await redis.execute_command("CLIENT", "KILL", "ID", own)
    await watched.rounds.times(3)

    assert watched.lost == []
    assert await idle_ms(redis, keys, delivery.entry) < STALE_MS
