"""Waivers: kept by fingerprint, per environment, until they are removed."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract.waiver import Waiver
from producer.errors import InvalidJob, UnknownJob
from producer.keys import Keys
from producer.stored.waivers import Waivers

FIRST = Waiver("a" * 24, "the shop is replaced then", date(2027, 1, 31))
SECOND = Waiver("b" * 24, "accepted")
COMPONENT = Waiver(f"{'c' * 16}-{'d' * 8}", "new header in March")


@pytest.fixture
def waivers(client: Client) -> Waivers:
    return Waivers(client)


async def test_waivers_are_kept_replaced_and_removed(waivers: Waivers) -> None:
    for waiver in (SECOND, Waiver("a" * 24, "before"), FIRST, COMPONENT):
        await waivers.add(waiver)

    kept = await waivers.all()
    await waivers.remove(FIRST.fingerprint)

    assert kept == [FIRST, SECOND, COMPONENT]
    assert await waivers.all() == [SECOND, COMPONENT]


async def test_a_waiver_that_is_not_there_cannot_be_removed(waivers: Waivers) -> None:
    with pytest.raises(UnknownJob, match="waive --list"):
        await waivers.remove("c" * 24)


@pytest.mark.parametrize(
    ("fingerprint", "reason"), [("image-alt", "x"), ("A" * 24, "x"), ("a" * 24, " "), ("a" * 24, "B\udcfccher")]
)
async def test_an_invalid_waiver_is_refused(waivers: Waivers, fingerprint: str, reason: str) -> None:
    with pytest.raises(InvalidJob):
        await waivers.add(Waiver(fingerprint, reason))

    assert await waivers.all() == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"fingerprint": 1}', '{"fingerprint": "x", "reason": "y"}'),
        f'{{"fingerprint": "{"a" * 24}", "reason": "B\\udcfccher"}}',
    ],
)
async def test_an_unreadable_waiver_waives_nothing(waivers: Waivers, redis: Redis, keys: Keys, text: str) -> None:
    await cast("Any", redis).hset(keys.waivers, "a" * 24, text)

    assert await waivers.all() == []
