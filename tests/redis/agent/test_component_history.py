"""Component barriers over many scans: bounded bytes, two batches at once, builds that rename, environments apart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import Finding
from producer.keys import Keys
from producer.reports.component_dates import read_dates
from tests.support.component_scans import Site, component, issue_id, names
from worker.memory.history.components import MAX_COMPONENTS
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.scan.component import Step, component_of

DAY_MS = 86_400_000
LOGO, CARD = component("1090"), component("ca4d", rule="label", elements=2)


@pytest.fixture
def site(redis: Redis, keys: Keys, history: History) -> Site:
    return Site(redis, keys, history)


async def pages_of(site: Site) -> dict[str, int]:
    """On how many pages each component barrier is, by the name of the component."""
    return {one.name.removeprefix("Header › "): one.pages for one in await site.history.barriers.find(limit=100)}


async def bytes_of(site: Site) -> Counter[str]:
    """What is kept, by kind of key: MEMORY USAGE."""
    sizes: Counter[str] = Counter()
    for kind in ("scan", "components", "barrier"):
        async for key in site.redis.scan_iter(match=f"{site.keys.prefix}{kind}:*", count=1_000):
            sizes[kind] += int(await cast("Any", site.redis).memory_usage(key, samples=0))
    return sizes


async def test_after_30_unchanged_scans_a_page_takes_what_it_took_after_one(site: Site) -> None:
    found = [component(f"{number:x}0", rule=f"rule-{number}", elements=5) for number in range(6)]
    paths = ("/a", "/b")
    sizes: list[Counter[str]] = []
    for night in range(30):
        about: dict[str, Any] = {"batch": f"nightly-{night}", "at_ms": 1_790_000_000_000 + night * DAY_MS}
        await site.commit(*[await site.recall(*found, path=path, group="shop", **about) for path in paths])
        sizes += [await bytes_of(site)] if night in {0, 29} else []

    once, often = sizes
    assert set(often) == {"scan", "components", "barrier"}
    assert often.total() <= 1.2 * once.total(), (once, often)


async def test_reports_read_since_when_a_component_is_there_unless_all_are_of_today(site: Site) -> None:
    back_ms = 40 * DAY_MS
    await site.scan(LOGO, at_ms=1_000)
    await site.scan(at_ms=2_000)
    await site.scan(LOGO, CARD, at_ms=back_ms)
    ids = [issue_id("1090"), issue_id("ca4d"), issue_id("dead")]

    dates = await read_dates(site.redis, site.keys, ids, today_ms=back_ms)
    fresh = await read_dates(site.redis, site.keys, ids[1:], today_ms=back_ms)

    assert {name: one.text for name, one in dates.items()} == {
        ids[0]: "back since 10 February 1970, first seen 1 January 1970", ids[1]: "since 10 February 1970",
    }  # fmt: skip
    assert fresh == {}


async def test_two_batches_of_one_site_at_the_same_time_count_nothing_twice_and_fix_nothing_wrongly(
    site: Site,
) -> None:
    for path in ("/a", "/b", "/c"):
        await site.scan(LOGO, path=path)
    batches = [await site.begin(name) for name in ("nightly", "release")]
    commits = [
        await site.recall(*found, path=path, batch=batch)
        for path, found in (("/a", (LOGO, CARD)), ("/b", (CARD,)), ("/c", (LOGO,)))
        for batch in batches
    ]  # all have seen the site as it was before either

    await asyncio.gather(*(site.commit(commit) for commit in commits))

    sums = await cast("Any", site.redis).hkeys(site.keys.site(""))
    assert await pages_of(site) == {"1090": 2, "ca4d": 2}
    assert {tuple(names(cast("Any", commit.result).changes.new_components)) for commit in commits} == {("ca4d",), ()}
    assert len(await site.regressions()) == 1
    assert {name.partition(b":")[2] for name in sums if b"barriers" in name} == {b"barriers_new"}, "no barrier is fixed"


async def test_a_page_of_10_000_components_is_counted_up_to_the_bound_and_the_next_scan_corrects_them(
    site: Site,
) -> None:
    many = [issue for number in range(10_000) for issue in [f"{number:x}f"]]
    page = component("0f", also=[f"{name}-0" for name in many])

    first = await site.scan(page)
    counted = await site.redis.execute_command("HGET", site.keys.barrier(issue_id("0f")), "pages")
    last = await site.scan()

    assert len(await site.history.barriers.find(limit=10_000)) == MAX_COMPONENTS
    assert counted == b"1"
    assert first.changes is not None
    assert last.changes is not None
    assert first.changes.components_left_out > 0
    assert last.changes.mended_components
    assert {one.pages for one in await site.history.barriers.find(limit=10_000)} == {0}


def built(made: str, *, page: str) -> Finding:
    """A card's picture as a build writes it that makes ids and a class newly each time."""
    place: list[Step] = [("main", "", f"page_{made}", ""), ("article", "", f"Card_card__{made}", f"c-{made}")]
    snippet = f'<img id="{made}" class="Card_image__{made}" src="/{made}.jpg">'
    found = component_of("image-alt", [place], snippet, page=page)
    one = component("0", elements=1)
    known = {"issue_id": found.issue_id, "component": found.name, "fingerprint": f"n-{made}", "snippet": snippet}
    return one.revised(nodes=tuple(node.model_copy(update=known) for node in one.nodes))


async def test_ids_and_classes_generated_by_each_build_make_no_component_new_or_fixed(site: Site) -> None:
    for path in ("/a", "/b"):
        await site.scan(built("x7kq2", page=f"https://shop.example{path}"), path=path)
    batch = await site.begin("next build")

    results = [
        await site.scan(built("9zw4t", page=f"https://shop.example{path}"), path=path, batch=batch)
        for path in ("/a", "/b")
    ]

    changes = [one.changes for one in results if one.changes]
    assert [(one.new_components, one.mended_components) for one in changes] == [((), ()), ((), ())]
    assert list((await pages_of(site)).values()) == [2]


async def test_a_site_where_every_page_differs_has_a_component_for_each_and_a_repeat_changes_none(site: Site) -> None:
    async def scan_all() -> Iterable[Any]:
        return [(await site.scan(component(f"{n:x}ee"), path=f"/{n}", batch=batch)).changes for n in range(20)]

    batch = await site.begin("first")
    await scan_all()
    batch = await site.begin("second")
    again = list(await scan_all())

    assert await pages_of(site) == {f"{n:x}ee": 1 for n in range(20)}
    assert [(one.new_components, one.mended_components) for one in again] == [((), ())] * 20


async def test_environments_on_one_redis_share_no_component_barrier(redis: Redis, keys: Keys, site: Site) -> None:
    other_keys = Keys(f"{keys.environment}-b")
    history = History(Embeddings(redis, other_keys, BuiltinEmbedder()))
    await history.ensure_index()
    other = Site(redis, other_keys, history)
    await site.scan(LOGO, CARD)

    result = await other.scan(LOGO)
    await other.scan()

    assert result.changes is not None
    assert names(result.changes.new_components) == ["1090"]
    assert await pages_of(site) == {"1090": 1, "ca4d": 1}
    assert await pages_of(other) == {"1090": 0}
