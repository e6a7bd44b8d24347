"""The first page of ``sightline web``: all sites, the worst barriers, without waived ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract.waiver import Waiver
from producer.keys import Keys
from producer.stored.waivers import Waivers
from tests.support.component_scans import Site, component, issue_id
from tests.support.web_pages import WORST, app_over, browser, record_shop
from worker.cli.web_past import WebPast
from worker.memory.history.history import History
from worker.models.builtin.models import BuiltinEmbedder


async def test_every_site_is_listed_with_its_open_barriers_and_scans(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    await Site(redis, keys, history, host="clean.example").scan(path="/")
    port = Site(redis, keys, history, first=5, host="localhost:3000")
    await port.scan(component("beef"), path="/")
    await port.scan(path="/about")
    some = browser(app_over(client))

    sites = (await some.json("/"))["sites"]
    found = await some.get("/search?q=localhost:3000")

    today = datetime.now(UTC).date().isoformat()
    assert [(one["site"], one["open"]["critical"], one["scans"], one["last_day"]) for one in sites] == [
        ("localhost:3000", 1, 2, today),
        ("clean.example", 0, 1, today),
    ]
    assert found.headers["location"] == "/sites/localhost:3000"


async def test_the_barrier_fixed_last_is_the_first_of_the_fixed_ones(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    shop = Site(redis, keys, history)
    for name in ("aaaa", "bbbb", "cccc"):
        await shop.scan(component(name), path=f"/{name}")
    for name in ("bbbb", "cccc", "aaaa"):
        await shop.scan(path=f"/{name}")

    overview = await browser(app_over(client)).json("/")

    assert [one["issue_id"] for one in overview["mended"]] == [issue_id(name) for name in ("aaaa", "cccc", "bbbb")]


async def test_waived_barriers_do_not_take_the_places_of_those_to_fix_first(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    names = [f"{number:04x}" for number in range(20)]
    await Site(redis, keys, history).scan(*(component(name) for name in names), path="/")
    for name in names[:15]:
        await Waivers(client).add(Waiver(issue_id(name), "a new shop"))

    overview = await browser(app_over(client)).json("/")

    left = {issue_id(name) for name in names[15:]}
    assert ({one["issue_id"] for one in overview["first"]}, {one["issue_id"] for one in overview["new"]}) == (
        left,
        left,
    )
    assert (overview["total"], overview["waived"]) == (5, 15)


async def test_a_site_with_more_barriers_than_are_counted_says_so_and_filters_over_all(
    redis: Redis, keys: Keys, history: History, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record_shop(redis, keys, history)
    await Waivers(client).add(Waiver(WORST, "a new shop"))
    monkeypatch.setattr("producer.web.site.COUNTED", 1)
    some = browser(app_over(client))

    whole, narrowed = await some.json("/sites/shop.example"), await some.json("/sites/shop.example?rule=link-name")

    assert whole["is_part"] is True
    assert [one["rule"] for one in narrowed["barriers"]] == ["link-name"]
    assert "Only the 1 component barrier" in (await some.get("/sites/shop.example")).text


async def test_a_site_whose_pages_could_not_be_loaded_is_no_pass(
    redis: Redis, keys: Keys, history: History, client: Client
) -> None:
    await Site(redis, keys, history, host="gone.example").scan(path="/", status="unreachable")
    half = Site(redis, keys, history, first=5, host="half.example")
    await half.scan(path="/", status="unreachable")
    await half.scan(path="/about")
    some = browser(app_over(client))

    shown = (await some.get("/")).text

    assert shown.count(">not scanned</span>") == 1
    assert shown.count(">no open barriers</span>") == 1
    assert "2 scans in 30 days, 1 not loaded" in shown


async def test_a_search_by_meaning_finds_what_pages_are_like_now(redis: Redis, keys: Keys, history: History) -> None:
    site = Site(redis, keys, history)
    await site.scan(component("beef"), path="/cart")
    await site.scan(component("cafe", rule="link-name"), path="/cart")

    async def open_embedder(*_: object) -> BuiltinEmbedder:
        return BuiltinEmbedder()

    past = WebPast(redis, keys, open_embedder)

    found = await past.search("image-alt", limit=5)

    assert [one.scan_id for one in found] == [(await past.page("https://shop.example/cart", limit=1))[0].row.scan_id]


async def test_a_page_in_a_state_is_found_behind_many_records_of_its_other_states(
    redis: Redis, keys: Keys, history: History
) -> None:
    site = Site(redis, keys, history)
    dark = await site.scan(path="/cart")
    await redis.execute_command("HSET", keys.scan(dark.scan_id), "page_state", "dark")
    for name in ("beef", "cafe", "f00d"):
        await site.scan(component(name), path="/cart")

    found = await WebPast(redis, keys).page("https://shop.example/cart [dark]", limit=1)

    assert [one.row.scan_id for one in found] == [dark.scan_id]
