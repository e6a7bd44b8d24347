"""Pages found when a schedule is due: current ones, each once, within the worker's guard."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract import JsonObject
from producer.keys import Keys
from producer.stored.due_times import latest_time, next_time, zone_of
from producer.stored.schedules import Schedule, Schedules
from tests.support.small_site import SmallSite, small_site
from worker.page_search import PageSearchJobs
from worker.scan.settings import ScanSettings

NOW = datetime(2026, 5, 4, 12, 30, 20, tzinfo=UTC)
BATCH = "nightly-20260505T0300"


@pytest.fixture
def site() -> Generator[SmallSite]:
    with small_site() as made:
        yield made


def sitemap(site: SmallSite, *paths: str) -> bytes:
    listed = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in paths)
    return f"<urlset>{listed}</urlset>".encode()


async def fired(client: Client, redis: Redis, keys: Keys, search: JsonObject) -> JsonObject:
    """Let a schedule with a search fire; return the payload of its only job."""
    schedules = Schedules(client)
    await schedules.add(Schedule("nightly", "0 3 * * *", "find_pages", (search,)), now=NOW)
    assert await schedules.fire_due(now=NOW + timedelta(hours=15)) == [BATCH]
    assert await redis.xlen(keys.lane("batch")) == 1
    payload = await cast("Any", redis).hget(keys.job(f"{BATCH}.pages"), "payload")
    return json.loads(payload)


async def scans(redis: Redis, keys: Keys) -> list[JsonObject]:
    names = await redis.keys(keys.job(f"{BATCH}-*"))
    return [json.loads(await cast("Any", redis).hget(name, "payload")) for name in names]


async def test_a_run_scans_the_pages_of_its_time_each_once_however_often_it_is_repeated(
    client: Client, redis: Redis, keys: Keys, site: SmallSite
):
    site.files["/sitemap.xml"] = sitemap(site, "/tea")
    site.files["/robots.txt"] = b"User-agent: *\nCrawl-delay: 2\n"
    site.files["/"] = b"<a href=/cart>Cart</a>"
    site.files["/cart"] = b"<p>Cart</p>"
    search: JsonObject = {
        "sitemaps": [f"{site.url}/sitemap.xml"],
        "groups": [["/t*", "tea"], ["", "rest"]],
        "forms": [{"assess": False}, {"color_scheme": "dark"}],
    }
    payload = await fired(client, redis, keys, search)
    site.files["/sitemap.xml"] = sitemap(site, "/tea", "/new")
    jobs = PageSearchJobs(client, ScanSettings(allow_private=True))

    told = [await jobs.run(payload) for _ in range(2)]

    assert told == [{"batch": BATCH, "pages": 2, "problems": []}] * 2
    looks: list[JsonObject] = [{"assess": False}, {"color_scheme": "dark"}]
    groups = {"/tea": "tea", "/new": "rest"}
    asked = [
        {"url": f"{site.url}{path}", **look, "group": group, "host_gap_ms": 2000}
        for path, group in groups.items()
        for look in looks
    ]
    submitted = await scans(redis, keys)
    assert (len(submitted), [one for one in asked if one not in submitted]) == (4, [])
    info = await client.batch(BATCH)
    assert (info.total, info.sealed) == (4, True)


async def test_a_search_whose_worker_was_killed_after_it_closed_the_batch_ends_though_a_page_was_added(
    client: Client, redis: Redis, keys: Keys, site: SmallSite
):
    site.files["/sitemap.xml"] = sitemap(site, "/tea")
    payload = await fired(client, redis, keys, {"sitemaps": [f"{site.url}/sitemap.xml"], "forms": [{}]})
    jobs = PageSearchJobs(client, ScanSettings(allow_private=True))
    await jobs.run(payload)
    site.files["/sitemap.xml"] = sitemap(site, "/tea", "/new")

    await jobs.run(payload)

    assert [one["url"] for one in await scans(redis, keys)] == [f"{site.url}/tea"]


async def test_a_worker_looks_only_where_its_guard_lets_it(client: Client, redis: Redis, keys: Keys, site: SmallSite):
    site.files["/"] = b"<p>Intranet</p>"
    payload = await fired(client, redis, keys, {"crawl": [f"{site.url}/"], "forms": [{}]})

    with pytest.raises(ConnectionError, match=r"no page was found: .*the guard refused .*rule 'loopback'"):
        await PageSearchJobs(client, ScanSettings()).run(payload)

    assert site.asked == []
    assert await scans(redis, keys) == []


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 1, tzinfo=UTC)),  # 3:00 in summer
        (datetime(2026, 12, 1, 12, tzinfo=UTC), datetime(2026, 12, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_time_is_the_zones(now: datetime, due: datetime) -> None:
    berlin = zone_of("Europe/Berlin")

    assert latest_time("0 3 * * *", now.astimezone(berlin)) == due
    assert next_time("0 3 * * *", (now - timedelta(days=1)).astimezone(berlin)) == due


@pytest.mark.parametrize(("day", "times"), [("2026-03-29", 1), ("2026-10-25", 1), ("2026-10-26", 1)])
def test_a_time_that_summer_time_leaves_out_or_repeats_comes_once(day: str, times: int) -> None:
    berlin, start = zone_of("Europe/Berlin"), datetime.fromisoformat(f"{day}T00:00+00:00") - timedelta(hours=2)
    minutes = (start + timedelta(minutes=30 * step) for step in range(48))

    found = {latest_time("30 2 * * *", at.astimezone(berlin)).astimezone(UTC) for at in minutes}

    assert len([at for at in found if at >= start]) == times
