"""Issues from the workers' counts, and waivers of labelled issues, in a real Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.keys import Keys
from producer.stored.waivers import Waivers
from producer.trackers.history import seen_on
from producer.trackers.plan import make_plan
from producer.trackers.tracker import Issue
from producer.trackers.waivers import keep_waivers
from tests.support import component_scans
from tests.support.component_scans import Site, component, issue_id
from tests.support.queue import until
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder


@pytest.fixture
async def site(redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(component_scans, "SITE", sha256(b"shop.example").hexdigest()[:8])
    history = History(Embeddings(redis, keys, BuiltinEmbedder()))
    await history.ensure_index()
    return Site(redis, keys, history)


async def test_what_workers_count_opens_closes_and_reopens_issues(site: Site, client: Client) -> None:
    first, second = issue_id("aaaa"), issue_id("bbbb")
    await site.scan(component("aaaa"), component("bbbb", rule="label"), path="/one")
    await site.scan(component("aaaa", elements=3), path="/two")

    async def indexed() -> bool:
        try:
            return len((await seen_on(client, "www.Shop.example")).barriers) == 2
        except InputError:
            return False

    await until(indexed, what="the records indexed")
    opened = make_plan(await seen_on(client, "shop.example"), [])
    issues = [
        Issue(number, one.title, one.body, frozenset({"sightline"}), is_open=True)
        for number, one in enumerate(opened.steps, 1)
    ]
    again = make_plan(await seen_on(client, "shop.example"), issues)

    assert [(one.kind, one.issue_id) for one in opened.steps] == [("open", first), ("open", second)]
    assert "on 2 pages of `shop.example`" in opened.steps[0].body
    assert again.steps == ()

    await site.scan(component("aaaa"), path="/one")
    await until(lambda: _has_mended(client), what="a barrier that is fixed")
    closing = make_plan(await seen_on(client, "shop.example"), issues)

    assert [(one.kind, one.issue_id) for one in closing.steps if one.kind == "close"] == [("close", second)]


async def test_an_issue_that_was_closed_after_the_last_scan_stays_closed(
    site: Site, client: Client, redis: Redis, keys: Keys
) -> None:
    await site.scan(component("aaaa"), path="/one")
    await until(lambda: _is_known(client), what="a known barrier")
    [opened] = make_plan(await seen_on(client, "shop.example"), []).steps
    now_ms = int((await cast("Any", redis).time())[0]) * 1000
    today = datetime.fromtimestamp(now_ms / 1000, tz=UTC).date()
    begun_ms = int(datetime.fromisoformat(f"{today}T00:00:00+00:00").timestamp() * 1000)
    await cast("Any", redis).hset(keys.barrier(issue_id("aaaa")), "since_ms", begun_ms - 9_000_000)
    await redis.delete(keys.site("shop.example"))  # counted today
    await cast("Any", redis).hset(keys.site("www.shop.example"), f"{today - timedelta(days=1)}:scans", 3)
    closed = Issue(1, opened.title, opened.body, frozenset({"sightline"}), is_open=False, closed_ms=begun_ms - 1_000)

    left = make_plan(await seen_on(client, "shop.example"), [closed])
    await cast("Any", redis).hset(keys.site("www.shop.example"), f"{today}:scans", 1)
    back = make_plan(await seen_on(client, "shop.example"), [closed])

    assert (left.steps, left.notes) == ((), (f"{issue_id('aaaa')}, issue 1: left closed: the scan is older",))
    assert [one.kind for one in back.steps] == ["reopen"]


async def _is_known(client: Client) -> bool:
    try:
        return bool((await seen_on(client, "shop.example")).barriers)
    except InputError:
        return False


async def _has_mended(client: Client) -> bool:
    return len((await seen_on(client, "shop.example")).mended) == 1


async def test_a_site_that_nobody_scanned_is_named(site: Site, client: Client) -> None:
    await site.scan(component("aaaa"))

    with pytest.raises(InputError, match=r"no component barrier of 'shop.test' is known"):
        await seen_on(client, "shop.test")


async def test_a_sync_adds_and_takes_back_its_own_waivers_alone(client: Client, redis: Redis, keys: Keys) -> None:
    kept = Waivers(client)
    by_hand = Waiver(issue_id("aaaa"), "new shop in March")
    await kept.add(by_hand)
    ours = Waiver(issue_id("bbbb"), "https://host/1 has the label wontfix")
    other = Waiver(issue_id("bbbb"), "https://host/1 has the label a11y-waived")
    also = Waiver(issue_id("aaaa"), "https://host/2 has the label wontfix")

    assert await keep_waivers(kept, [ours, also], [other]) == (1, 0)
    assert await kept.all() == [by_hand, ours]
    assert await keep_waivers(kept, [other, also], [ours]) == (1, 0)
    assert await kept.all() == [by_hand, other]
    assert await keep_waivers(kept, [], [ours, other, also]) == (0, 1)
    assert await kept.all() == [by_hand]
    assert await cast("Any", redis).hlen(keys.waivers) == 1
