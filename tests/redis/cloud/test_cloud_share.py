"""cloud_share.lua on a real Redis: the share holds over all workers, in any order and on any day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from worker.models.cloud.fallback import CloudShare


async def counts(redis: Redis, keys: Keys) -> tuple[int, int]:
    fields = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.cloud_share))
    return int(fields[b"calls"]), int(fields.get(b"granted", 0))


@pytest.mark.parametrize(("share", "granted"), [(0.0, 0), (0.1, 4), (0.25, 10), (0.5, 20), (1.0, 40)])
async def test_of_forty_calls_the_share_is_granted(redis: Redis, keys: Keys, share: float, granted: int):
    gate = CloudShare(redis, keys, share)

    answers = [await gate.grant(is_new=True, is_wanted=True) for _ in range(40)]

    assert sum(answers) == granted
    assert await counts(redis, keys) == (40, granted)


async def test_the_share_is_kept_at_every_moment_by_many_workers_at_once(redis: Redis, redis_url: str, keys: Keys):
    async with Redis.from_url(redis_url, protocol=2) as other:
        gates = [CloudShare(client, keys, 0.3) for client in (redis, other)]

        answers = await asyncio.gather(*(gates[number % 2].grant(is_new=True, is_wanted=True) for number in range(200)))

    assert sum(answers) == 60
    assert await counts(redis, keys) == (200, 60)


async def test_a_call_that_was_counted_asks_without_being_counted_again(redis: Redis, keys: Keys):
    gate = CloudShare(redis, keys, 0.5)
    assert not await gate.grant(is_new=True, is_wanted=False)

    first, second = [await gate.grant(is_new=False, is_wanted=True) for _ in range(2)]

    assert (first, second) == (True, False)
    assert await counts(redis, keys) == (1, 1)


async def test_a_share_is_rounded_up_and_never_by_a_rounding_error(redis: Redis, keys: Keys):
    gate = CloudShare(redis, keys, 0.1)  # 0.1 times 30 is more than 3 in floating point

    answers = [await gate.grant(is_new=True, is_wanted=True) for _ in range(30)]

    assert sum(answers) == 3


async def test_a_new_day_begins_from_nothing(redis: Redis, keys: Keys):
    await cast("Awaitable[int]", redis.hset(keys.cloud_share, mapping={"day": "1", "calls": 100, "granted": 100}))

    granted = await CloudShare(redis, keys, 0.1).grant(is_new=True, is_wanted=True)

    assert granted
    assert await counts(redis, keys) == (1, 1)
    assert 0 < await redis.ttl(keys.cloud_share) <= 2 * 86_400


async def test_a_key_of_another_type_or_a_redis_that_is_away_grants_nothing(redis: Redis, keys: Keys):
    await redis.set(keys.cloud_share, "x", ex=60)
    nowhere: Any = Redis.from_url("redis://127.0.0.1:9", protocol=2)

    assert not await CloudShare(redis, keys, 1.0).grant(is_new=True, is_wanted=True)
    assert not await CloudShare(nowhere, keys, 1.0).grant(is_new=False, is_wanted=True)
    assert await redis.get(keys.cloud_share) == b"x"
    await nowhere.aclose()
