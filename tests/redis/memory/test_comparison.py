"""Two batches, runs or times compared by component barrier, on pages recorded as workers record them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import Finding, Impact, ScanStatus
from producer.errors import InputError
from producer.keys import Keys
from producer.reports.comparison import Comparison
from tests.support.recorded_shop import NOW, SHOP, T1, T2, Shop, component
from tests.support.scans import finding
from worker.cli.history_text import group_lines
from worker.memory.history.comparison import compare_moments
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.periods import Moment, moment_of
from worker.memory.history.trends import group_trends
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder


@pytest.fixture
async def shop(redis: Redis, keys: Keys) -> Shop:
    history = History(Embeddings(redis, keys, BuiltinEmbedder()))
    await history.ensure_index()
    shop = Shop(redis, keys, history)
    await shop.period("nightly-1", T1 - 10, T1 + 10)
    await shop.period("nightly-2", T2 - 10, T2 + 10)
    return shop


def told(found: Comparison) -> dict[str, str]:
    """What became of each component, by its name."""
    return {one.issue_id[:16].lstrip("0"): one.change for one in found.changes}


async def test_new_fixed_and_moved_components_are_listed(shop: Shop):
    await shop.named("a", "Header › search field has no label", impact="serious", rule="label")
    for path in ("/1", "/2", "/3"):
        await shop.scan(path, component("a"), component("b"), component("c"), at=T1)
        more = [component("d")] if path != "/3" else []
        await shop.scan(path, component("b"), *([component("c")] if path == "/1" else []), *more, at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert told(found) == {"a": "mended", "c": "moved", "d": "new"}
    assert [one.change for one in found.changes] == ["new", "moved", "mended"]
    new, moved, mended = found.changes
    assert new.gained == (f"{SHOP}/1", f"{SHOP}/2")
    assert (moved.lost, moved.text) == ((f"{SHOP}/2", f"{SHOP}/3"), "now on 1 page, was on 3 pages: gone from 2")
    assert (mended.name, mended.rule, mended.impact) == (
        "Header › search field has no label",
        "image-alt",
        Impact.SERIOUS,
    )
    assert (found.verdict, found.unchanged, found.compared) == ("worse and better", 1, 3)


async def test_examples_tell_the_elements_of_an_unnamed_component_apart(shop: Shop):
    def image(*files: str) -> Finding:
        made = component("a", nodes=len(files))
        names = (f"Main › image “{file}” has no text alternative" for file in files)
        nodes = tuple(node.model_copy(update={"component": name}) for node, name in zip(made.nodes, names, strict=True))
        return made.revised(nodes=nodes)

    await shop.named("a", "Main › image “bullet.gif” has no text alternative")
    await shop.scan("/1", image("bullet.gif", "bullet.gif", "arrow.gif"), component("b"), at=T1)
    await shop.scan("/2", image("offers.gif"), at=T1)
    for path in ("/1", "/2"):
        await shop.scan(path, at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    images, other = found.changes
    assert set(images.examples) == {"bullet.gif", "arrow.gif", "offers.gif"}
    assert "“arrow.gif”" in images.also
    assert "bullet" not in images.also
    assert (other.examples, other.also) == ((), "")


async def test_as_many_new_as_fixed_components_are_not_called_unchanged(shop: Shop):
    for number in range(5):
        await shop.scan(f"/{number}", component("a", nodes=2), at=T1)
        await shop.scan(f"/{number}", component("b", nodes=2), at=T2)

    assert (await shop.compare("nightly-1", "nightly-2")).verdict == "worse and better"


@pytest.mark.parametrize("status", ["partial", "unreachable"])
async def test_a_page_that_was_not_read_whole_proves_no_absence(shop: Shop, status: ScanStatus):
    await shop.scan("/half-now", component("a"), at=T1)
    await shop.scan("/half-now", at=T2, status=status)
    await shop.scan("/half-then", at=T1, status=status)
    await shop.scan("/half-then", component("b"), at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert told(found) == {"a": "uncertain", "b": "uncertain"}
    assert (found.verdict, found.not_whole) == ("same", 2)


async def test_elements_that_are_not_listed_prove_no_absence_of_their_rule(shop: Shop):
    await shop.scan("/1", component("a"), component("b", rule="label"), at=T1)
    await shop.scan("/1", component("c", count=900), at=T2)

    assert told(await shop.compare("nightly-1", "nightly-2")) == {"a": "uncertain", "b": "mended", "c": "new"}


async def test_records_of_a_release_without_components_make_nothing_new(shop: Shop):
    await shop.scan("/1", finding("image-alt", "x"), at=T1)
    await shop.scan("/1", component("a"), component("b", rule="label"), at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert told(found) == {"a": "uncertain", "b": "new"}
    assert "0 fixed, 1 uncertain, " in found.sentence


async def test_a_record_of_a_release_without_components_has_those_whose_elements_are_still_the_same(shop: Shop):
    known = component("a")
    old = known.revised(nodes=tuple(node.model_copy(update={"issue_id": ""}) for node in known.nodes))
    await shop.scan("/1", old, at=T1)
    await shop.scan("/1", known, component("b", rule="label"), at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert told(found) == {"b": "new"}
    assert found.unchanged == 1


async def test_what_was_fixed_since_a_release_without_components_is_not_passed_over_in_silence(shop: Shop):
    await shop.scan("/all", finding("image-alt", "x"), at=T1)
    await shop.scan("/all", at=T2)
    await shop.scan("/some", finding("image-alt", "x"), at=T1)
    await shop.scan("/some", component("b", rule="label"), at=T2)
    await shop.scan("/clean", at=T1)
    await shop.scan("/clean", component("b", rule="label"), at=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert told(found) == {"b": "new"}
    assert found.remarks == [
        "2 pages were scanned then by a release without component barriers: what was fixed there is not listed"
    ]


async def test_pages_of_one_time_alone_are_counted_and_compared_with_nothing(shop: Shop):
    await shop.scan("/gone", component("a"), at=T1)
    await shop.scan("/late", component("b"), at=T2)
    await shop.scan("/both", component("c"), at=T1, seen=T2)

    found = await shop.compare("nightly-1", "nightly-2")

    assert (told(found), found.compared, found.only_before, found.only_after) == ({}, 1, 1, 1)


async def test_an_unchanged_page_was_in_both_batches_though_it_has_one_record(shop: Shop):
    await shop.scan("/same", component("a"), at=500, seen=NOW)
    await shop.scan("/elsewhere", component("b"), at=500, seen=600)

    found = await shop.compare("nightly-1", "nightly-2")

    assert (found.compared, found.unchanged) == (1, 1)


async def test_sites_are_never_mixed_and_one_can_be_chosen(shop: Shop):
    await shop.period("nightly-1", T1, T1, host="blog.example")
    await shop.period("nightly-2", T2, T2, host="blog.example")
    for site in (SHOP, "https://blog.example", "https://other.example"):
        await shop.scan(f"/{site[8]}", component("a"), at=T1, site=site)
        await shop.scan(f"/{site[8]}", component(site[8]), at=T2, site=site)

    both = await shop.compare("nightly-1", "nightly-2")
    one = await shop.compare("nightly-1", "nightly-2", ScanFilter(host="blog.example"))

    assert (both.compared, one.compared) == (2, 1)
    assert {url for change in one.changes for url in (*change.gained, *change.lost)} == {"https://blog.example/b"}


async def test_a_run_a_time_and_a_batch_of_the_previous_release_can_be_compared(shop: Shop, redis: Redis, keys: Keys):
    await shop.scan("/1", component("a"), at=T1)
    await shop.scan("/1", component("b"), at=T2)
    await shop.period("github:7", T2, T2, kind="run")
    await cast("Any", redis).hset(keys.batch("old"), mapping={"created_ms": T1 - 5, "finished_ms": T1 + 5})

    pairs = (("old", "github:7"), ("1970-01-01T00:00:01.500", "now"), ("nightly-1", "now"))
    found = [await shop.compare(*pair) for pair in pairs]

    assert [told(one) for one in found] == [{"a": "mended", "b": "new"}] * 3
    assert [one.before.kind for one in found] == ["batch", "time", "batch"]
    with pytest.raises(InputError, match="'nightly-9' is neither a batch"):
        await shop.compare("nightly-9", "now")


async def test_groups_are_worse_or_better_by_their_changes_and_not_by_their_sums(shop: Shop):
    await shop.named("a", "Footer › link has no text")
    await shop.named("b", "Header › logo has no text alternative")
    for number in range(4):
        await shop.scan(f"/{number}", component("a", nodes=2), at=T1, group="shop")
        await shop.scan(f"/{number}", component("b", nodes=2), at=T2, group="shop")
    await shop.scan("/help", component("c"), at=T1, group="help")

    found = await group_trends(shop.history, since_ms=T1 + 1, until_ms=T2 + 1)
    before = await group_trends(shop.history, since_ms=T1 + 1, until_ms=T1 + 2)

    shown = "\n".join(group_lines(found))
    assert [(one.group, one.verdict) for one in found.groups] == [("shop", "worse and better"), ("help", "same")]
    assert "new       Header › logo has no text alternative: on 4 pages" in shown
    assert "mended    Footer › link has no text: on 4 pages" in shown
    assert [one.verdict for one in before.groups] == ["same", "same"]


async def test_two_times_are_compared_alike_by_one_read_and_by_grouping_in_redis(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    for path in ("/1", "/2", "/3"):
        await shop.scan(path, component("a"), component("b"), at=T1)
    await shop.scan("/1", component("b"), component("c"), at=T2)
    await shop.scan("/2", component("a"), at=T2)
    before, after = Moment("before", "time", T1 + 1, {}), Moment("after", "time", T2 + 1, {})
    wanted = ScanFilter(host="shop.example")

    at_once = await compare_moments(shop.history, before, after, wanted)
    more_than_that = await shop.history.states_of_records(wanted, limit=4)
    monkeypatch.setattr(History, "states_of_records", none)
    grouped = await compare_moments(shop.history, before, after, wanted)

    assert more_than_that is None
    assert told(at_once) == {"a": "moved", "b": "moved", "c": "new"}
    assert at_once == grouped


async def test_a_batch_of_several_sites_of_which_one_is_read_in_part_says_so(shop: Shop):
    for name, at in (("nightly-1", T1), ("nightly-2", T2)):
        await shop.period(name, at - 10, at + 10, host="blog.example")
        for path in ("/1", "/2", "/3"):
            await shop.scan(path, component("a"), at=at)
        await shop.scan("/4", component("a"), at=at, site="https://blog.example")
    sides = [await moment_of(shop.redis, shop.keys, name, now_ms=NOW) for name in ("nightly-1", "nightly-2")]

    in_part = await compare_moments(shop.history, sides[0], sides[1], limit=2)
    whole = await compare_moments(shop.history, sides[0], sides[1])

    assert (in_part.compared, in_part.is_part) == (3, True)
    assert (whole.compared, whole.is_part) == (4, False)


async def none(*_: object, **__: object) -> None:
    return None
