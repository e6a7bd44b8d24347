"""The tools' results about component barriers, and the built-in model's answers with their sources."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.redis.agent.asking import NOW_MS, Desk, told
from tests.support.component_scans import Site
from tests.support.component_scans import component as committed
from tests.support.recorded_shop import SHOP, T1, T2, Shop, component, issue
from worker.memory.history.comparison import compare_moments
from worker.memory.history.history import History
from worker.memory.history.periods import moment_of
from worker.memory.history.prune import prune
from worker.memory.history.scan_record import site_tags

HEADER = "Header › search field has no label"


@pytest.fixture
async def shop(desk: Desk) -> Shop:
    """The header was broken between two nights, a card was mended; a footer is broken since before."""
    shop = Shop(desk.redis, desk.keys, desk.history)
    await shop.named("a", HEADER, since_ms=T2, pages=3, elements=3, rule="label")
    await shop.named("b", "Main › card image has no text alternative", pages=0, elements=0, mended_ms=T2)
    await shop.named(
        "c", "Footer › link has no text", since_ms=T1, impact="serious", rule="link-name", pages=3, elements=9
    )
    for number in range(3):
        await shop.scan(f"/{number}", component("b"), component("c", rule="link-name", nodes=3), at=T1, group="shop")
        now = [component("a", rule="label"), component("c", rule="link-name", nodes=3)]
        await shop.scan(f"/{number}", *now, at=T2, seen=NOW_MS, group="shop")
    await shop.period("nightly-1", T1, T1)
    await shop.period("nightly-2", T2, T2)
    return shop


@pytest.mark.usefixtures("shop")
async def test_component_barriers_are_listed_the_worst_first_with_the_scan_that_saw_them_first(desk: Desk):
    found = await told(desk, "list_components")
    header = await told(desk, "list_components", words="header", site="www.shop.example")
    mended = await told(desk, "list_components", mended=True)
    elsewhere = await told(desk, "list_components", site="blog.example")

    assert [one["name"] for one in found["components"]] == [HEADER, "Footer › link has no text"]
    assert [one["scan"].partition("-")[2] for one in found["components"]] == [str(T2), str(T1)]
    assert [one["id"] for one in header["components"]] == [issue("a")]
    assert [one["mended_on"] for one in mended["components"]] == ["1970-01-01T00:00Z"]
    assert elsewhere["component_barriers"] == 0


async def test_a_site_is_found_with_its_port_and_without_its_www(desk: Desk, shop: Shop):
    about = {"host": site_tags("big.example:3000"), "host_name": "big.example:3000", "pages": 90}
    await shop.named("d1", "Main › field has no label", **about)

    own = await told(desk, "list_components", site="www.shop.example")
    with_port = await told(desk, "list_components", site="big.example:3000")

    assert [one["id"] for one in own["components"]] == [issue("a"), issue("c")]
    assert [one["id"] for one in with_port["components"]] == [issue("d1")]


@pytest.mark.usefixtures("shop")
async def test_a_site_s_component_barriers_are_found_beside_thousands_of_another_site_s(desk: Desk):
    async with desk.redis.pipeline(transaction=False) as pipe:
        for number in range(1_500):
            about = {"name": f"Main › card {number}", "rule": "label", "impact": "minor", "pages": 50, "elements": 50}
            site = {"kind": "c", "host": "blog.example", "host_name": "blog.example", "since_ms": T1, "first_ms": T1}
            pipe.hset(desk.keys.barrier(f"c-{number:020}"), mapping={**about, **site})
        await pipe.execute()

    first = await desk.ask(None, "Which component should we fix first?", job="q1")
    here = await told(desk, "list_components", site="shop.example")
    named = await told(desk, "list_components", words="header")

    assert f"Fix first: “{HEADER}”" in first.answer
    assert "1,502 component barriers in all" in first.answer
    assert (here["component_barriers"], named["component_barriers"]) == (2, 1)
    assert "only_looked_at" not in here


@pytest.mark.usefixtures("shop")
async def test_barriers_of_a_component_are_counted_alone(desk: Desk):
    footer = await told(desk, "search_scans", component="footer", url="/1")
    all_pages = await told(desk, "search_scans", component=issue("c"))

    assert (footer["barriers_of_all_pages"]["total"], footer["component_barriers"]) == (3, 1)
    assert (all_pages["barriers_of_all_pages"]["total"], all_pages["pages"]) == (9, 3)


@pytest.mark.usefixtures("shop")
async def test_two_batches_are_compared_by_name_and_of_one_page_if_asked(desk: Desk):
    found = await told(desk, "compare_scans", before="nightly-1", after="nightly-2")
    page = await told(desk, "compare_scans", before="nightly-1", after="nightly-2", url="/1")

    assert found["verdict"] == "worse and better"
    assert [(one["change"], one["name"]) for one in found["components"]] == [
        ("new", HEADER),
        ("mended", "Main › card image has no text alternative"),
    ]
    assert found["groups"][0]["new_components"] == [HEADER]
    assert (page["pages"], page["components"][0]["where"]) == (1, "on 1 page")


async def test_the_component_to_fix_first_in_a_group_is_on_most_of_its_pages(desk: Desk, shop: Shop):
    about = {"rule": "label", "since_ms": T1, "elements": 50}
    for name, pages, groups in (("d", 50, '{"blog": 49, "till": 1}'), ("e", 4, '{"till": 4}')):
        tags = {"group_tags": "blog,till" if "blog" in groups else "till"}
        await shop.named(name, f"Form › {name}", **about, pages=pages, groups=groups, **tags)

    answer = await desk.ask(None, "Which component should we fix first in the till group?")

    assert "Fix first: “Form › e”" in answer.answer
    assert "on 4 pages, 4 of them in the group, with 50 elements" in answer.answer
    assert "“Form › d”" in answer.answer


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What changed between nightly-1 and nightly-2?", f"New: “{HEADER}”"),
        ("Which component should we fix first?", f"Fix first: “{HEADER}”"),
        ("Since when is the header broken?", "since 1970-01-01 00:00 UTC, on 3 pages with 3 elements"),
        ("Since when is the card image broken?", "fixed on 1970-01-01 00:00 UTC"),
        ("How many label barriers are on /1?", f"1 element with label barriers, in 1 component barrier on {SHOP}/1"),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_the_builtin_model_answers_with_sources(desk: Desk, question: str, words: str):
    answer = await desk.ask(None, question)

    assert words in answer.answer
    assert answer.sources
    assert not answer.notes


async def test_two_nights_as_workers_commit_them_are_compared_by_the_names_of_their_batches(
    redis: Redis, keys: Keys, history: History
):
    site = Site(redis, keys, history)
    card = committed("ca4d", elements=2)
    for batch, header in (("nightly-1", committed("0dd0")), ("nightly-2", committed("1e57", rule="link-name"))):
        await site.begin(batch)
        for path in ("/a", "/b"):
            await site.scan(header, card, path=path, batch=batch, run=f"run of {batch}")
        await redis.delete(keys.batch(batch))
    now_ms = await history.now_ms()

    batches, runs = [
        await compare_moments(
            history,
            await moment_of(redis, keys, f"{prefix}nightly-1", now_ms=now_ms),
            await moment_of(redis, keys, f"{prefix}nightly-2", now_ms=now_ms),
        )
        for prefix in ("", "run of ")
    ]

    changes = [(one.change, one.name, one.pages_before, one.pages_after) for one in batches.changes]
    assert changes == [("new", "Header › 1e57", 0, 2), ("mended", "Header › 0dd0", 2, 0)]
    assert [(one.change, one.issue_id) for one in runs.changes] == [
        (one.change, one.issue_id) for one in batches.changes
    ]
    assert (batches.compared, batches.unchanged, runs.before.kind) == (2, 1, "run")


async def test_a_batch_spans_all_its_scans_in_whatever_order_they_are_committed(
    redis: Redis, keys: Keys, history: History
):
    site = Site(redis, keys, history)
    await site.begin("nightly")
    now_ms = await history.now_ms()
    seen_ms = {"/a": now_ms + 1_000, "/b": now_ms + 2_000}
    commits = [await site.recall(path=path, batch="nightly", at_ms=at_ms) for path, at_ms in seen_ms.items()]

    await site.commit(*reversed(commits))

    assert (await moment_of(redis, keys, "nightly", now_ms=0)).at_ms == seen_ms["/b"]


async def test_a_name_that_is_used_again_means_its_latest_use_and_an_unread_page_begins_none(
    redis: Redis, keys: Keys, history: History
):
    site = Site(redis, keys, history)
    await Shop(redis, keys, history).period("weekly", 1, 2)
    began_ms = await history.now_ms()
    await site.begin("weekly")

    await site.scan(path="/a", batch="weekly")
    await site.scan(path="/b", batch="weekly", status="unreachable")

    (window,) = (await moment_of(redis, keys, "weekly", now_ms=0)).hosts.values()
    assert began_ms <= window[0] <= window[1]
    assert window[1] == max(record.last_seen_ms for record in await history.find())


async def test_html_without_an_address_takes_no_other_site_into_its_batch(redis: Redis, keys: Keys, history: History):
    site = Site(redis, keys, history)
    await site.begin("snippets")

    await site.scan(batch="snippets", html="<p>x")

    assert not await redis.exists(keys.period("batch", "snippets"))


async def test_pruning_the_history_drops_the_batches_that_ended_before(redis: Redis, keys: Keys, history: History):
    shop = Shop(redis, keys, history)
    await shop.period("old", 1, 10)
    await shop.period("new", 1, 20)

    await prune(redis, keys, older_than_ms=15)

    assert [await redis.exists(keys.period("batch", name)) for name in ("old", "new")] == [0, 1]
