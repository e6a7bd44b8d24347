"""A site's order of fixes is requested once a day, after its nightly scans, and never delays a page."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import Lane
from producer.keys import GROUP, Keys
from tests.redis.agent.asking import ScriptedChat
from tests.support.key_types import assert_refused, typed_keys
from tests.support.scans import finding, scan_result, write_scan
from worker.agent.assessment.site_order import MOST_TRIES, SiteOrders
from worker.memory.history.history import History

SHOP = "https://shop.example/"
DAY_S = 86_400


class Orders(ScriptedChat):
    """Says these texts as the orders asked for."""

    async def chat(self, messages: Any, *, schema: Any = None, tools: Any = ()) -> Any:
        assert schema["required"] == ["order"]
        return await super().chat(messages, tools=tools)


def says(text: str) -> str:
    return json.dumps({"order": text})


@pytest.fixture
async def night(redis: Redis, keys: Keys, history: History) -> History:
    """Three pages of the shop and one of another site are in the history."""
    now = await history.now_ms()
    for name in ("a", "b", "c"):
        page = scan_result(finding("label", name), url=SHOP + name, title="Secret title", scan_id=name)
        await write_scan(redis, keys, page, page=name, at_ms=now)
    await write_scan(
        redis, keys, scan_result(finding("list", "x"), url="https://o.example/", scan_id="o"), page="o", at_ms=now
    )
    return history


async def test_the_first_assessment_of_a_quiet_day_asks_and_all_of_the_day_carry_it(
    night: History, redis: Redis, keys: Keys
):
    model = Orders(says("Labels first."))
    orders = SiteOrders(model, night, redis, keys)

    first, cost = await orders.of_today(f"{SHOP}a")
    second, nothing = await orders.of_today(f"{SHOP}b")

    assert first is not None
    assert (first.text, first.model, first.pages, first.site) == ("Labels first.", "scripted:1b", 3, "shop.example")
    assert second == first
    assert (cost.calls, nothing.calls, len(model.asked)) == (1, 0, 1)
    document = json.loads(model.asked[0][1].content)
    assert (document["rules"][0]["rule"], document["rules"][0]["pages"]) == ("label", 3)
    assert "Secret" not in model.asked[0][1].content
    assert await redis.ttl(keys.site_order("shop.example")) > 80 * DAY_S


async def test_while_scans_or_assessments_wait_nobody_asks_until_the_site_was_never_quiet_for_two_days(
    night: History, redis: Redis, keys: Keys
):
    orders = SiteOrders(Orders(says("x")), night, redis, keys)
    for lane in (Lane.BATCH, Lane.ASSESS):
        entry = await redis.xadd(keys.lane(lane), {"id": "1"})
        await redis.xgroup_create(keys.lane(lane), GROUP, "0")
        assert (await orders.of_today(SHOP))[0] is None
        await redis.xdel(keys.lane(lane), entry)
    await redis.xadd(keys.lane(Lane.ASSESS), {"id": "2"})
    assert (await orders.of_today(SHOP))[0] is None
    await redis.execute_command("HINCRBY", keys.site_order("shop.example"), "since", -2)

    assert (await orders.of_today(SHOP))[0] is not None


async def test_assessments_that_run_do_not_keep_the_last_of_them_from_asking(night: History, redis: Redis, keys: Keys):
    await redis.xadd(keys.lane(Lane.ASSESS), {"id": "1"})
    await redis.xgroup_create(keys.lane(Lane.ASSESS), GROUP, "0")
    await redis.xreadgroup(GROUP, "w", {keys.lane(Lane.ASSESS): ">"})

    assert (await SiteOrders(Orders(says("x")), night, redis, keys).of_today(SHOP))[0] is not None


async def test_a_try_that_fails_costs_the_page_nothing_and_is_made_again_some_times_a_day(
    night: History, redis: Redis, keys: Keys
):
    model = Orders("prose")
    orders, key = SiteOrders(model, night, redis, keys), keys.site_order("shop.example")

    for _ in range(MOST_TRIES + 2):
        order, cost = await orders.of_today(SHOP)
        assert order is None
        again, _ = await orders.of_today(SHOP)  # somebody has asked a moment ago
        assert again is None
        await cast("Any", redis).hdel(key, "asked_until")
        assert cost.calls in {0, 2}

    assert len(model.asked) == 2 * MOST_TRIES


async def test_the_order_of_yesterday_is_not_shown_and_a_new_one_is_asked_for(night: History, redis: Redis, keys: Keys):
    orders = SiteOrders(Orders(says("old"), says("new")), night, redis, keys)
    await orders.of_today(SHOP)
    await redis.execute_command("HINCRBY", keys.site_order("shop.example"), "day", -1)

    order, _ = await orders.of_today(SHOP)

    assert order is not None
    assert order.text == "new"


TYPES = {
    "order_due": "order:hash assess:stream batch:stream",
    "order_keep": "order:hash",
    "replace": "result:string",
}
ARGS: dict[str, tuple[Any, ...]] = {
    "order_due": (1, 1, 1, GROUP),
    "order_keep": ("{}",),
    "replace": (hashlib.sha1(b"old", usedforsecurity=False).hexdigest(), "new"),
}


@pytest.mark.parametrize(("name", "position", "expected"), typed_keys(TYPES))
async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    redis: Redis, keys: Keys, name: str, position: int, expected: str
):
    script = ("worker.agent.assessment", name)

    await assert_refused(redis, keys, script, ARGS[name], names=TYPES[name], position=position, expected=expected)
