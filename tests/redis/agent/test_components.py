"""Component barriers after scans: counted once per page, within each scan's coverage; new, known, fixed, back."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from itertools import chain
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.contract import Finding, Impact
from producer.contract.findings import Changes
from producer.keys import Keys
from tests.redis.agent.scanning import graph, hash_of, jobs
from tests.support.committing import started
from tests.support.component_scans import Site, component, issue_id, names
from tests.support.queue import open_stream, until
from tests.support.scans import FixedEngine, scan_result
from worker.memory.history.barriers import BarrierFilter, BarrierRecord
from worker.memory.history.history import History, ScanFilter

LOGO = component("1090")
LOGO_ID = issue_id("1090")
CARD = component("ca4d", rule="label", elements=2)
CARD_ID = issue_id("ca4d")


@pytest.fixture
def site(redis: Redis, keys: Keys, history: History) -> Site:
    return Site(redis, keys, history)


async def logo(site: Site) -> BarrierRecord:
    return (await site.history.barriers.get_many([LOGO_ID]))[LOGO_ID]


async def last_seen_ms(site: Site) -> int:
    [newest] = await site.history.find(ScanFilter(component=LOGO_ID), limit=1)
    return newest.last_seen_ms


async def test_a_component_is_counted_by_pages_elements_and_groups_and_found_by_index(site: Site) -> None:
    await site.scan(LOGO, CARD, path="/a", group="shop")
    await site.scan(LOGO, path="/b", group="Our Shop")

    by_logo, card = await site.history.barriers.find(BarrierFilter(host="shop.example"))
    [also] = await site.history.barriers.find(BarrierFilter(group="Our Shop", rule="image-alt", is_mended=False))
    scans = await site.history.find(ScanFilter(component=CARD_ID))
    pages = {state.url: state.components for state in await site.history.newest_of_pages()}
    assert also == by_logo
    assert (by_logo.issue_id, by_logo.name, by_logo.rule) == (LOGO_ID, "Header › 1090", "image-alt")
    assert (by_logo.impact, by_logo.host) == (Impact.CRITICAL, "shop.example")
    assert (by_logo.pages, by_logo.elements, by_logo.groups) == (2, 2, {"shop": 1, "Our Shop": 1})
    assert (card.issue_id, card.pages, card.elements, card.groups) == (CARD_ID, 1, 2, {"shop": 1})
    assert 0 < by_logo.first_ms == by_logo.since_ms
    assert [record.components for record in scans] == [{LOGO_ID: 1, CARD_ID: 2}]
    assert pages == {"https://shop.example/a": {LOGO_ID, CARD_ID}, "https://shop.example/b": {LOGO_ID}}


async def test_an_unchanged_page_counts_nothing_and_is_seen_again(site: Site) -> None:
    await site.scan(LOGO, group="shop")
    first, seen_ms = await logo(site), await last_seen_ms(site)

    result = await site.scan(LOGO, group="shop")

    again = await logo(site)
    assert result.changes is not None
    assert (result.changes.new_components, result.changes.mended_components) == ((), ())
    assert await last_seen_ms(site) > seen_ms
    assert again == first


async def test_an_unchanged_scan_indexes_its_record_once_and_no_component(site: Site) -> None:
    await site.scan(LOGO, CARD)
    indexes = (await site.history.index_name(), site.keys.barriers_index)
    before = [await last_indexed(site, name) for name in indexes]

    await site.scan(LOGO, CARD)

    assert [await last_indexed(site, name) for name in indexes] == [before[0] + 1, before[1]]


async def test_a_further_page_writes_only_the_counts_of_known_components_and_a_new_name(site: Site) -> None:
    await site.scan(LOGO, CARD, path="/a", group="shop")
    before = await last_indexed(site, site.keys.barriers_index)
    renamed = CARD.revised(nodes=tuple(node.model_copy(update={"component": "Main › card"}) for node in CARD.nodes))
    for issue in (LOGO_ID, CARD_ID):
        await site.redis.execute_command("HSET", site.keys.barrier(issue), "rule", "kept", "host_name", "kept")
    written = await last_indexed(site, site.keys.barriers_index) - before

    await site.scan(LOGO, renamed, path="/b", group="shop")

    card, same = (await site.history.barriers.get_many([CARD_ID, LOGO_ID])).values()
    assert (same.name, same.host, same.pages, same.elements, same.groups) == (
        "Header › 1090",
        "kept",
        2,
        2,
        {"shop": 2},
    )
    assert (card.name, card.host, card.pages, card.elements) == ("Main › card", "shop.example", 2, 4)
    assert await last_indexed(site, site.keys.barriers_index) == before + written + 2


async def test_a_component_fixed_on_its_last_page_is_indexed_once_and_is_in_no_group(site: Site) -> None:
    await site.scan(LOGO, CARD, group="shop")
    before = await last_indexed(site, site.keys.barriers_index)

    await site.scan(CARD, group="shop")

    mended = await logo(site)
    assert await last_indexed(site, site.keys.barriers_index) == before + 1
    assert (mended.is_mended, mended.groups) == (True, {})
    assert await site.history.barriers.find(BarrierFilter(is_mended=True)) == [mended]
    assert [one.issue_id for one in await site.history.barriers.find(BarrierFilter(group="shop"))] == [CARD_ID]


async def test_a_name_with_another_example_is_not_written_again(site: Site) -> None:
    def named(name: str) -> Finding:
        return LOGO.revised(nodes=tuple(node.model_copy(update={"component": name}) for node in LOGO.nodes))

    await site.scan(named("Main › image “offer1.gif” has no text"), path="/a")
    kept: list[str] = []
    for path, name in (("/b", "Main › image “cup.gif” has no text"), ("/c", "Main › cup2.gif image has no text")):
        await site.scan(named(name), path=path)
        kept.append((await logo(site)).name)

    assert kept == ["Main › image “offer1.gif” has no text", "Main › cup2.gif image has no text"]


async def test_pages_are_counted_for_the_group_of_that_name_only(site: Site) -> None:
    groups = ["shop", 'x,"shop":1', 'a"shop', "other\\", "Straße/1"]
    for number, group in enumerate([*groups, "shop", *groups]):
        await site.scan(LOGO, path=f"/{number}", group=group)

    await site.scan(LOGO, path="/0", group='a"shop')
    await site.scan(path="/3", group="other\\")
    await site.scan(path="/9", group="other\\")

    assert (await logo(site)).groups == {"shop": 2, 'x,"shop":1': 2, 'a"shop': 3, "Straße/1": 2}
    assert [one.issue_id for one in await site.history.barriers.find(BarrierFilter(group="other\\"))] == []
    for group in ("shop", 'x,"shop":1', 'a"shop', "Straße/1"):
        assert len(await site.history.barriers.find(BarrierFilter(group=group))) == 1


async def last_indexed(site: Site, index: str) -> int:
    """The number that RediSearch gave to the hash indexed last; it numbers a hash again each time."""
    info = cast("list[Any]", await site.redis.execute_command("FT.INFO", index))
    return int(dict(zip(info[::2], info[1::2], strict=True))[b"max_doc_id"])


async def test_an_unchanged_page_that_another_scan_has_changed_meanwhile_is_counted_whole(site: Site) -> None:
    await site.scan(LOGO, group="shop")
    unchanged = await site.recall(LOGO, group="shop")
    await site.scan(CARD, group="shop")
    mended = await logo(site)

    await site.commit(unchanged)

    back = await logo(site)
    assert (mended.is_mended, back.pages, back.elements, back.groups) == (True, 1, 1, {"shop": 1})
    assert back.name == "Header › 1090"
    assert await tallied(site, "shop.example") == {"barriers_new": 3, "barriers_mended": 1}


async def tallied(site: Site, name: str) -> dict[str, int]:
    """The numbers of component barriers new on a site, or on all sites, and mended; of both days at midnight."""
    sums = await hash_of(site.redis, site.keys.site(name))
    tally: Counter[str] = Counter()
    for field, count in sums.items():
        if "barriers_" in field:
            tally[field.partition(":")[2]] += int(count)
    return tally


@pytest.mark.parametrize("what", ["group", "elements", "record"])
async def test_a_page_is_not_unchanged_if_its_group_elements_or_records_differ(site: Site, what: str) -> None:
    await site.scan(CARD, group="shop")
    if what == "record":
        await site.redis.delete(site.keys.barrier(CARD_ID))

    again = component("ca4d", rule="label", elements=3 if what == "elements" else 2)
    await site.scan(again, group="help" if what == "group" else "shop")

    card = (await site.history.barriers.get_many([CARD_ID]))[CARD_ID]
    assert (card.pages, card.elements) == (1, 3 if what == "elements" else 2)
    assert card.groups == ({"help": 1} if what == "group" else {"shop": 1})


@pytest.mark.parametrize(("kind", "found"), [("components", LOGO), ("components", CARD), ("barrier", CARD)])
async def test_a_record_of_another_type_is_named_and_the_scan_waits(site: Site, kind: str, found: Finding) -> None:
    await site.scan(LOGO)
    commit = await site.recall(found)
    [key] = [key.decode() async for key in site.redis.scan_iter(match=f"{site.keys.prefix}{kind}:*")]
    await site.redis.set(key, "in the way")

    with pytest.raises(ResponseError, match=f"WRONGKEY {re.escape(key)} is a string: expected a hash"):
        await site.commit(commit)


async def test_a_component_that_no_page_has_is_fixed_and_one_that_comes_back_is_new(site: Site) -> None:
    await site.scan(LOGO, CARD)
    gone = await site.scan(CARD)
    mended = await logo(site)

    back = await site.scan(LOGO, CARD)

    returned = await logo(site)
    assert gone.changes is not None
    assert names(gone.changes.mended_components) == ["1090"]
    assert mended.is_mended
    assert (mended.pages, mended.elements, mended.mended_ms > mended.first_ms) == (0, 0, True)
    assert back.changes is not None
    assert names(back.changes.new_components) == ["1090"]
    assert (returned.pages, returned.mended_ms, returned.first_ms) == (1, 0, mended.first_ms)
    assert returned.since_ms == returned.returned_ms > mended.mended_ms
    assert [one.issue_id for one in await site.history.barriers.find(BarrierFilter(is_mended=True))] == []


async def test_a_component_is_fixed_only_by_complete_scans_of_its_rule_under_the_same_terms(site: Site) -> None:
    await site.scan(LOGO, CARD)

    await site.scan(status="partial")
    await site.scan(status="unreachable")
    await site.scan(component("ffff", also=["eeee-0"]).revised(node_count=9))
    await site.scan(exclude=["#ads"])

    assert not (await logo(site)).is_mended
    trimmed = await site.scan(component("ffff").revised(node_count=9))
    assert trimmed.changes is not None
    assert trimmed.changes.mended_components == ()
    await site.scan()
    assert (await logo(site)).is_mended


async def test_a_page_scanned_under_several_terms_counts_once(site: Site) -> None:
    await site.scan(LOGO, CARD)
    await site.scan(component("1090", elements=3), viewport={"width": 400})
    both = await logo(site)

    await site.scan(CARD)

    one = await logo(site)
    assert (both.pages, both.elements) == (1, 3)
    assert (one.pages, one.elements) == (1, 3)
    await site.scan(viewport={"width": 400})
    assert (await logo(site)).is_mended


async def test_no_state_of_a_page_fixes_another_and_the_page_counts_once(site: Site) -> None:
    await site.scan(LOGO, CARD)

    dark = await site.scan(LOGO, color_scheme="dark")
    again = await site.scan(LOGO, color_scheme="dark")
    opened = await site.scan(page_state="dialog open")

    card = (await site.history.barriers.get_many([CARD_ID]))[CARD_ID]
    assert ((await logo(site)).pages, card.pages, card.is_mended) == (1, 1, False)
    for result in (dark, again, opened):
        assert result.changes is None or result.changes.mended_components == result.changes.new_components == ()


async def test_two_scans_of_one_page_at_the_same_time_count_it_once(site: Site) -> None:
    commits = [await site.recall(LOGO, path="/a"), await site.recall(LOGO, CARD, path="/a")]
    await site.commit(*commits)
    card = (await site.history.barriers.get_many([CARD_ID]))[CARD_ID]

    # Both saw the page when it had no card: the one that has none does not know of it, and leaves it to the next scan.
    await site.commit(await site.recall(LOGO, path="/a"))

    assert (card.pages, (await logo(site)).pages) == (1, 1)
    assert (await site.history.barriers.get_many([CARD_ID]))[CARD_ID].is_mended


async def test_a_repeat_and_a_delivery_that_lost_its_job_count_nothing(site: Site) -> None:
    commit = await site.recall(LOGO)
    async with open_stream(site.redis, site.keys) as stream:
        delivery = await started(site.redis, site.keys, "twice")
        standings = [await stream.finish(delivery, commit=commit) for _ in range(2)]
        lost = await started(site.redis, site.keys, "lost")
        await cast("Any", site.redis).hset(site.keys.job("lost"), "fence", 7)
        standings.append(await stream.finish(lost, commit=await site.recall(CARD, path="/b")))

    assert standings == ["committed", "already", "lost"]
    assert ((await logo(site)).pages, (await logo(site)).elements) == (1, 1)
    assert await site.history.barriers.get_many([CARD_ID]) == {}


async def test_a_page_that_moves_to_another_group_takes_its_components_along(site: Site) -> None:
    await site.scan(LOGO, path="/a", group="shop")
    await site.scan(LOGO, path="/b", group="shop")

    await site.scan(LOGO, path="/a", group="help")

    assert (await logo(site)).groups == {"shop": 1, "help": 1}
    await site.scan(path="/b", group="shop")
    assert (await logo(site)).groups == {"help": 1}
    assert await site.history.barriers.find(BarrierFilter(group="shop")) == []


async def test_history_without_components_is_filled_in_and_nothing_is_new_for_that(site: Site) -> None:
    await site.scan(LOGO, path="/a")
    at_ms = (await site.history.find())[0].at_ms
    await forget_components(site)
    await site.scan(component("1090", also=["f00d-0"]), path="/b")  # a page without history comes first

    result = await site.scan(component("1090", also=["beef-0"]), path="/a")

    assert result.changes is not None
    assert names(result.changes.new_components) == ["beef"]
    assert ((await logo(site)).first_ms, (await logo(site)).pages) == (at_ms, 2)
    assert [[one["name"] for one in event["components"]] for event in await site.regressions()] == [["Header › beef"]]


async def forget_components(site: Site) -> None:
    """Reduce the history to what 5e536ef wrote."""
    async for key in site.redis.scan_iter(match=f"{site.keys.prefix}*"):
        name = key.decode().removeprefix(site.keys.prefix)
        if name.startswith(("components:", "barrier:")):
            await site.redis.delete(key)
        elif name.startswith("scan:"):
            text = (await hash_of(site.redis, key.decode()))["findings"]
            fields = {"findings": text.replace('{"k":[0,1],', "{")}
            assert fields["findings"] != text
            await site.redis.execute_command("HSET", key, *chain.from_iterable(fields.items()))
            await cast("Any", site.redis).hdel(key, "components")


async def test_a_component_with_a_new_id_for_known_elements_is_known_and_none_is_fixed(site: Site) -> None:
    await site.scan(LOGO)
    renamed = LOGO.revised(nodes=tuple(node.model_copy(update={"issue_id": issue_id("2222")}) for node in LOGO.nodes))

    result = await site.scan(renamed)

    assert result.changes is not None
    assert (result.changes.new_components, result.changes.mended_components) == ((), ())


async def test_a_known_component_on_a_further_page_is_no_new_one(site: Site) -> None:
    await site.scan(LOGO, path="/a", group="shop")
    batch = await site.begin("nightly")

    same = await site.scan(LOGO, path="/b", group="shop", batch=batch)
    other = await site.scan(LOGO, path="/c", group="help", batch=batch)

    found = [cast("Changes", one.changes) for one in (same, other)]
    assert [one.new_components for one in found] == [(), ()]
    assert [[(one.name, one.group) for one in each.spread_components] for each in found] == [
        [("Header › 1090", "")], [("Header › 1090", "help")],
    ]  # fmt: skip


async def test_a_new_component_is_new_on_every_page_of_the_batch_and_of_a_repeated_run(site: Site) -> None:
    for path in ("/a", "/b"):
        await site.scan(CARD, path=path)
    batch = await site.begin("nightly")

    first = [await site.scan(LOGO, CARD, path=path, batch=batch) for path in ("/a", "/b")]
    next_batch = await site.begin("next")
    later = await site.scan(LOGO, CARD, path="/a", batch=next_batch)

    assert [names(cast("Changes", one.changes).new_components) for one in first] == [["1090"], ["1090"]]
    assert cast("Changes", later.changes).new_components == ()


async def test_a_worker_s_scan_goes_by_when_its_batch_began(site: Site) -> None:
    await site.scan(CARD, path="/a")
    batch = await site.begin("nightly")
    await site.scan(LOGO, path="/b", batch=batch)
    scans = graph(FixedEngine([scan_result(LOGO, CARD)]), site.history, site.keys)

    results = [
        (await jobs(site.keys, scans).run({"job_id": f"w-{name}", **about}, {"url": "https://shop.example/a"})).result
        for name, about in (("batch", {"batch": batch}), ("alone", {}))
    ]

    assert [names(cast("Any", result).changes.new_components) for result in results] == [["1090"], []]


async def test_a_red_run_stays_red_when_it_is_repeated(site: Site) -> None:
    await site.scan(CARD)
    now_ms = await site.history.now_ms()

    results = [await site.scan(LOGO, CARD, run="run 7", submitted_ms=now_ms + 1) for _ in range(2)]
    other = await site.scan(LOGO, CARD, run="run 8", submitted_ms=await site.history.now_ms() + 1)

    assert [names(cast("Changes", one.changes).new_components) for one in results] == [["1090"], ["1090"]]
    assert cast("Changes", other.changes).new_components == ()


async def test_40_pages_with_one_component_fixed_and_one_added_are_one_of_each_and_one_event(site: Site) -> None:
    paths = [f"/{number}" for number in range(40)]
    old, new = component("0dd0", elements=2), component("1e57", rule="link-name")
    await site.commit(*[await site.recall(old, CARD, path=path, looks_back=False) for path in paths])
    batch = await site.begin("nightly")

    commits = await asyncio.gather(*(site.recall(new, CARD, path=path, batch=batch) for path in paths))
    await site.commit(*commits)

    changes = [cast("Any", commit.result).changes for commit in commits]
    barriers = {one.issue_id: one for one in await site.history.barriers.find()}
    assert {name for one in changes for name in names(one.new_components)} == {"1e57"}
    assert {name for one in changes for name in names(one.mended_components)} == {"0dd0"}
    assert [barriers[issue_id(name)].pages for name in ("0dd0", "1e57", "ca4d")] == [0, 40, 40]
    assert await tallied(site, "") == {"barriers_new": 3, "barriers_mended": 1}
    [event] = await site.regressions()
    assert [(one["issue_id"], one["rule"], one["impact"]) for one in event["components"]] == [
        (issue_id("1e57"), "link-name", "critical")
    ]
    assert (event["critical"], event["rules"]) == (1, ["link-name"])


async def test_a_new_component_first_seen_on_a_page_without_history_is_told_by_the_next_page_that_has_one(
    site: Site,
) -> None:
    await site.scan(path="/a")
    batch = await site.begin("nightly")

    await site.scan(LOGO, path="/fresh", batch=batch)
    before = await site.regressions()
    await site.scan(LOGO, path="/a", batch=batch)

    [event] = await site.regressions()
    assert before == []
    assert event["url"].endswith("/a")


async def test_a_moderate_component_that_one_state_of_a_page_has_left_is_in_no_event(site: Site) -> None:
    moderate = component("0dd0", rule="region", impact=Impact.MODERATE)
    await site.scan(CARD)
    batch = await site.begin("nightly")
    await site.scan(CARD, moderate, batch=batch)
    await site.scan(CARD, moderate, batch=batch, exclude=["#ads"])

    await site.scan(CARD, batch=batch)

    assert await site.regressions() == []


async def test_the_index_comes_back_and_the_fields_come_to_indexes_of_earlier_releases(site: Site) -> None:
    await site.scan(LOGO)
    await cast("Any", site.redis).execute_command("FT.DROPINDEX", site.keys.barriers_index)
    await cast("Any", site.redis).execute_command("FT.DROPINDEX", site.keys.scans_index)
    await cast("Any", site.redis).execute_command(
        "FT.CREATE", site.keys.scans_index, "PREFIX", 1, site.keys.scan_prefix, "SCHEMA", "page", "TAG"
    )

    await site.history.ensure_index()

    # Redis fills an index beside the calls that ask it
    await until(site.history.barriers.find, what="the barriers by the new index")
    assert [one.issue_id for one in await site.history.barriers.find()] == [LOGO_ID]
    await until(lambda: site.history.find(ScanFilter(component=LOGO_ID)), what="the old documents by the new field")
