"""Fixtures for questions, on the test's keys."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.contract import Impact
from producer.keys import Keys
from tests.redis.agent.asking import SHOP, Desk, open_desk
from tests.support.scans import finding, scan_result


@pytest.fixture
async def desk(redis: Redis, keys: Keys) -> Desk:
    return await open_desk(redis, keys)


@pytest.fixture
async def shop(desk: Desk) -> Desk:
    """A desk with two pages in the history: the cart is worse than the home page."""
    await desk.record(scan_result(finding("region", "h", impact=Impact.MINOR), url=f"{SHOP}/", scan_id="home-1"))
    await desk.record(scan_result(finding("label", "c", "d"), url=f"{SHOP}/cart", title="Cart", scan_id="cart-1"))
    return desk
