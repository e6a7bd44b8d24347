"""Trends of three months of nightly scans."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from producer.contract import Counts
from producer.keys import Keys
from producer.reports.site_days import site_trend
from tests.support.seeded_history import Nights, page
from worker.memory.history.history import History, recorded_history
from worker.memory.history.trends import Groups, group_trends
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

NIGHTS = 90
FIRST_MS = 1_756_684_800_000  # 2025-09-01
SHOP, BLOG = "https://shop.example", "https://blog.example"


@pytest.fixture
async def nights(redis: Redis, keys: Keys) -> Nights:
    """Checkout gets worse on night 40, product better on 50; cart is down since 60; a page comes on 70; help stays."""
    await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
    nights = Nights(redis, keys, first_ms=FIRST_MS)
    for night in range(NIGHTS):
        nights.scan(night, page(f"{SHOP}/pay", "checkout", critical=1 if night < 40 else 3))
        cart = page(f"{SHOP}/cart", "checkout", minor=2, status="scanned" if night < 60 else "unreachable")
        nights.scan(night, cart)
        nights.scan(night, page(f"{SHOP}/cup", "product", critical=2, minor=5 if night < 50 else 1))
        if night >= 70:
            nights.scan(night, page(f"{SHOP}/new", "product", critical=9))
        nights.scan(night, page(f"{BLOG}/faq", "help", critical=1))
        if night > 80:
            nights.scan(night, page(f"{BLOG}/late", "news", minor=1))
    await nights.commit()
    return nights


async def trends(redis: Redis, keys: Keys, nights: Nights, night: int, **within: Any) -> Groups:
    history = await recorded_history(redis, keys)
    assert history is not None
    return await group_trends(history, since_ms=nights.at(night), **within)


async def test_the_groups_that_got_worse_come_first_with_the_scans_as_sources(redis: Redis, keys: Keys, nights: Nights):
    found = await trends(redis, keys, nights, 30)

    assert [(one.group, one.verdict) for one in found.groups] == [
        ("checkout", "worse"),
        ("help", "same"),
        ("product", "better"),
        ("news", "new"),
    ]
    checkout, _, product, _ = found.groups
    assert checkout.change == (2, 0, 0, 0)
    assert [(one.url, one.before, one.after) for one in checkout.pages] == [
        (f"{SHOP}/pay", "pay-0", "pay-40"),
        (f"{SHOP}/cart", "cart-0", "cart-0"),
    ]
    assert (product.before, product.after) == (Counts(critical=2, minor=5), Counts(critical=2, minor=1))
    assert product.added == 1
    assert not found.is_part


async def test_a_change_counts_from_the_day_on_which_it_came(redis: Redis, keys: Keys, nights: Nights):
    found = {night: await trends(redis, keys, nights, night) for night in (39, 45, 65, 75, 85)}

    assert {night: {one.group: one.verdict for one in groups.groups} for night, groups in found.items()} == {
        39: {"checkout": "worse", "product": "better", "help": "same", "news": "new"},
        45: {"checkout": "same", "product": "better", "help": "same", "news": "new"},
        65: {"checkout": "same", "product": "same", "help": "same", "news": "new"},
        75: {"checkout": "same", "product": "same", "help": "same", "news": "new"},
        85: {"checkout": "same", "product": "same", "help": "same", "news": "same"},
    }


async def test_one_group_and_one_site_are_compared_alone(redis: Redis, keys: Keys, nights: Nights):
    one = await trends(redis, keys, nights, 30, group="checkout")
    site = await trends(redis, keys, nights, 30, host="blog.example")

    assert [found.group for found in one.groups] == ["checkout"]
    assert {found.group for found in site.groups} == {"help", "news"}


async def test_too_many_pages_to_compare_are_reported(redis: Redis, keys: Keys, nights: Nights):
    history = await recorded_history(redis, keys)
    assert history is not None

    assert (await group_trends(history, since_ms=nights.at(30), limit=2)).is_part


async def test_the_history_grows_with_change_not_with_scans(redis: Redis, keys: Keys, nights: Nights):
    del nights

    records = [key async for key in redis.scan_iter(match=f"{keys.scan_prefix}*")]

    assert len(records) == 2 + 2 + 2 + 1 + 1 + 1


async def test_the_days_of_a_site_are_told_from_its_counts(redis: Redis, keys: Keys, nights: Nights):
    days = await site_trend(redis, keys, "shop.example", since_ms=nights.at(59))
    blog = await site_trend(redis, keys, "blog.example", since_ms=nights.at(0))

    assert [day.day for day in days[:2]] == ["2025-10-30", "2025-10-31"]
    assert len(days) == NIGHTS - 59
    assert (days[0].scans, days[0].unread, days[0].critical, days[0].minor) == (3, 0, 5, 3)
    assert (days[1].scans, days[1].unread) == (3, 1)
    assert days[-1].critical == 3 + 2 + 9
    assert (blog[0].per_page, len(blog)) == (1.0, NIGHTS)
    assert await site_trend(redis, keys, "none.example", since_ms=0) == []
