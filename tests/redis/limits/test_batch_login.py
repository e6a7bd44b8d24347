"""A login done once per batch, on a real Redis: others reuse it, and a lost one is repeated once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import ScanRequest
from producer.errors import Busy
from producer.keys import Keys
from worker.limits.batch_login import TTL_S, BatchLogin, batch_login
from worker.scan.journey.kept_login import KeptLogin, LoginFailed

STATE = {"cookies": [{"name": "session", "value": "s1"}], "origins": []}


def scan(redis: Redis, keys: Keys, *, batch: str = "b", value: str = "p") -> BatchLogin:
    login = {"url": "https://shop.example/login", "steps": [{"fill": "#p", "value": "${P}"}]}
    request = ScanRequest.model_validate({"url": "https://shop.example/", "login": login})
    return batch_login(redis, keys, request, batch=batch, variables={"P": value})


async def fields(redis: Redis, one: BatchLogin) -> dict[bytes, bytes]:
    return await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(one.key))


async def plant(redis: Redis, one: BatchLogin, **values: Any) -> None:
    await redis.execute_command("HSET", one.key, *(part for pair in values.items() for part in pair))


async def test_one_scan_logs_in_and_the_others_wait_and_are_given_it(redis: Redis, keys: Keys) -> None:
    first, second = scan(redis, keys), scan(redis, keys)

    assert await first.take(lost=0) is None
    assert await first.take(lost=0) is None  # a reply that was lost: it is still this scan's to do
    with pytest.raises(Busy):
        await second.take(lost=0)
    assert await first.keep(STATE) == 1

    assert await second.take(lost=0) == KeptLogin(1, STATE)
    assert 0 < await redis.ttl(first.key) <= TTL_S
    assert first.key.startswith(keys.secret("login."))


async def test_a_lost_login_is_done_once_more_and_no_third_time(redis: Redis, keys: Keys) -> None:
    first, second, third = scan(redis, keys), scan(redis, keys), scan(redis, keys)
    await first.take(lost=0)
    await first.keep(STATE)

    assert await second.take(lost=1) is None
    with pytest.raises(Busy):
        await third.take(lost=1)
    assert await second.keep({"cookies": []}) == 2
    assert await third.take(lost=1) == KeptLogin(2, {"cookies": []})
    with pytest.raises(LoginFailed, match="after 2 logins"):
        await third.take(lost=2)


async def test_a_failed_login_is_not_tried_by_every_page_of_the_batch(redis: Redis, keys: Keys) -> None:
    first = scan(redis, keys)
    await first.take(lost=0)
    await first.fail("wrong password")

    with pytest.raises(LoginFailed, match="wrong password"):
        await scan(redis, keys).take(lost=0)
    assert await scan(redis, keys, value="other").take(lost=0) is None
    assert await scan(redis, keys, batch="next").take(lost=0) is None


async def test_a_login_that_could_not_be_tried_is_another_scans_to_do(redis: Redis, keys: Keys) -> None:
    first = scan(redis, keys)
    await first.take(lost=0)
    await first.release()

    assert await scan(redis, keys).take(lost=0) is None


async def test_a_killed_workers_login_is_taken_over_and_it_changes_nothing_after(redis: Redis, keys: Keys) -> None:
    dead, alive = scan(redis, keys), scan(redis, keys)
    await dead.take(lost=0)
    await plant(redis, dead, until_ms=1)

    assert await alive.take(lost=0) is None
    assert await dead.keep({"cookies": ["stolen"]}) == 0
    await dead.fail("late")
    await dead.release()
    assert (await fields(redis, alive))[b"token"] == alive.token.encode()
    assert await alive.keep(STATE) == 1
    assert await scan(redis, keys).take(lost=0) == KeptLogin(1, STATE)


async def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_a_lease(redis: Redis, keys: Keys) -> None:
    first, second = scan(redis, keys), scan(redis, keys)
    await first.take(lost=0)
    await plant(redis, first, until_ms=1 << 50)

    with pytest.raises(Busy) as caught:
        await second.take(lost=0)

    assert caught.value.delay_s <= 2
