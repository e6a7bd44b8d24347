from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.contract import Impact, JsonObject, Node
from producer.errors import ModelError, QueueFull
from tests.redis.agent.asking import DAY_MS, NOW_MS, SHOP, Desk, asker, call, open_desk, run, told
from tests.support.recorded_shop import T1, Shop, component
from tests.support.scans import finding, scan_result
from worker.agent.conversation.history_tools import MAX_CHARS
from worker.agent.conversation.tool_args import ARGS, TOOLS
from worker.memory.dates import time_of
from worker.models.builtin.models import BuiltinEmbedder
from worker.models.protocols import EmbedReply


async def shop(desk: Desk) -> None:
    """Three pages; the cart's label was mended, an image broke; the blog is elsewhere."""
    pages = {
        "home": scan_result(finding("region", "h1", impact=Impact.MINOR), url=f"{SHOP}/", scan_id="home-1"),
        "cart-1": scan_result(
            finding("label", "c1", "c2"), url=f"{SHOP}/cart", title="Cart", group="checkout", scan_id="cart-1"
        ),
        "cart-2": scan_result(
            finding("image-alt", "c3", "c4", "c5"), url=f"{SHOP}/cart", title="Cart", group="checkout", scan_id="cart-2"
        ),
        "blog": scan_result(
            finding("label", "b1"), url="https://blog.example/post", title="Cart & more", scan_id="blog-1"
        ),
    }
    for place, result in enumerate(pages.values()):
        await desk.record(result, at_ms=NOW_MS - (10 - place) * DAY_MS)


async def test_the_worst_pages_come_first_in_their_newest_state_with_sums_over_all(desk: Desk):
    await shop(desk)

    found = await told(desk, "search_scans", order="worst", limit=2)

    assert [one["scan"] for one in found["scans"]] == ["cart-2", "blog-1"]
    assert (found["pages"], found["left_out"]) == (3, 1)
    assert found["barriers_of_all_pages"] == {"total": 5, "critical": 4, "minor": 1}
    assert found["rules"] == {
        "image-alt": {"elements": 3, "pages": 1},
        "region": {"elements": 1, "pages": 1},
        "label": {"elements": 1, "pages": 1},
    }


@pytest.mark.parametrize(
    ("arguments", "scans"),
    [
        ({"site": "shop.example"}, ["cart-2", "home-1"]),
        ({"site": "https://shop.example/cart"}, ["cart-2", "home-1"]),
        ({"group": "checkout"}, ["cart-2"]),
        ({"url": f"{SHOP}/cart"}, ["cart-2"]),
        ({"url": "/cart"}, ["cart-2"]),
        ({"url": "shop.example/cart/"}, ["cart-2"]),
        ({"url": "/"}, ["home-1"]),
        ({"url": "/cart", "every": True}, ["cart-2", "cart-1"]),
        ({"words": "checkout"}, ["cart-2"]),
        ({"words": "CART"}, ["blog-1", "cart-2"]),
        ({"rule": "label"}, ["blog-1"]),
        ({"rule": "label", "until": "2025-11-16T10:00"}, ["cart-1"]),
        ({"impact": "minor"}, ["home-1"]),
        ({"since": "2025-11-16"}, ["blog-1", "cart-2"]),
        ({"rule": "label", "every": True}, ["blog-1", "cart-1"]),
        ({"site": "none.example"}, []),
        ({"limit": None, "group": None, "nonsense": 7}, ["blog-1", "cart-2", "home-1"]),
    ],
)
async def test_pages_are_found_by_what_is_asked_for(desk: Desk, arguments: JsonObject, scans: list[str]):
    await shop(desk)

    assert [one["scan"] for one in (await told(desk, "search_scans", **arguments))["scans"]] == scans


async def test_counts_are_of_the_page_the_rule_and_the_time_that_are_asked_about(desk: Desk):
    await shop(desk)
    more = scan_result(finding("image-alt", *"abcdefg"), finding("label", "z"), url=f"{SHOP}/all", scan_id="all-1")
    await desk.record(more, at_ms=NOW_MS)

    page = await told(desk, "search_scans", url="/cart", rule="image-alt")
    site = await told(desk, "search_scans", site="shop.example", rule="image-alt", order="worst")
    none = await told(desk, "search_scans", url="/cart", rule="label")
    then = await told(desk, "search_scans", url="/cart", rule="label", until="2025-11-16T10:00")

    assert page["barriers_of_all_pages"] == {"total": 3, "critical": 3}
    assert (site["barriers_of_all_pages"]["total"], site["rules"]) == (10, {"image-alt": {"elements": 10, "pages": 2}})
    assert [one["scan"] for one in site["scans"]] == ["all-1", "cart-2"]
    assert (none["pages"], none["pages_looked_at"], none["barriers_of_all_pages"]["total"]) == (0, 1, 0)
    assert [one["scan"] for one in none["looked_at"]] == ["cart-2"]
    assert (then["barriers_of_all_pages"]["total"], then["as_of"]) == (2, "2025-11-16T10:00Z")


async def test_a_path_that_no_page_has_is_no_question_about_all_pages(desk: Desk):
    await shop(desk)
    other = scan_result(finding("label", "x"), url="https://blog.example/cart", scan_id="blog-cart")
    await desk.record(other, at_ms=NOW_MS)

    errors = [
        json.loads((await desk.toolbox().run(one, asker())).text)["error"]
        for one in (
            call("search_scans", url="/car"),
            call("compare_scans", url="/none", since="2025-11-01"),
            call("search_scans", url="shop.example/post"),
            call("get_scan", url="/cart"),
        )
    ]
    both = await told(desk, "search_scans", url="/cart")
    here = await told(desk, "get_scan", url="/cart", by=asker(site="shop.example"))

    assert errors[0].startswith("no recorded page has the path '/car'")
    assert "'/none'" in errors[1]
    assert "on the site 'shop.example'" in errors[2]
    assert errors[3].startswith("several pages have the path '/cart': https://")
    assert {one["scan"] for one in both["scans"]} == {"cart-2", "blog-cart"}
    assert here["scan"] == "cart-2"


async def test_changes_of_one_page_are_of_that_page(desk: Desk):
    await shop(desk)

    found = await told(desk, "compare_scans", url="/cart", since="2025-11-15T23:00")

    assert (found["pages"], found["new_barriers"], found["first_scanned_since"]) == (1, 3, 0)


async def test_a_whole_path_names_its_page_alone(desk: Desk):
    await shop(desk)
    longer = scan_result(finding("label", "l1"), url=f"{SHOP}/cart/2", title="Cart", scan_id="cart-of-two")
    await desk.record(longer, at_ms=NOW_MS)

    by_path = await told(desk, "search_scans", words="/cart")
    by_word = await told(desk, "search_scans", words="cart", site="shop.example")

    assert [one["scan"] for one in by_path["scans"]] == ["cart-2"]
    assert {one["scan"] for one in by_word["scans"]} == {"cart-2", "cart-of-two"}


async def test_pages_are_found_by_meaning(desk: Desk):
    await shop(desk)

    found = await told(desk, "search_scans", text="image alt missing in the cart", site="shop.example")

    assert found["scans"][0]["scan"] == "cart-2"
    assert {one["url"] for one in found["scans"]} == {f"{SHOP}/", f"{SHOP}/cart"}


async def test_what_was_fixed_since_is_not_found_by_meaning_unless_every_state_is_asked_for(desk: Desk):
    await shop(desk)
    for number in range(5):
        gone = scan_result(finding("label", f"g{number}"), url=f"{SHOP}/gone", title="Gone", scan_id=f"gone-{number}")
        await desk.record(gone, at_ms=NOW_MS - DAY_MS + number)
    await desk.record(scan_result(url=f"{SHOP}/gone", title="Gone", scan_id="gone-now"), at_ms=NOW_MS)

    found = await told(desk, "search_scans", text="label", limit=20)
    every = await told(desk, "search_scans", text="label", limit=20, every=True)
    then = await told(desk, "search_scans", text="label", limit=20, until="2025-11-16T10:00")

    assert {one["scan"] for one in found["scans"]} == {"home-1", "cart-2", "blog-1", "gone-now"}
    assert {"gone-now", "cart-2"}.isdisjoint(one["scan"] for one in every["scans"])
    assert {one["scan"] for one in then["scans"]} == {"home-1", "cart-1"}


async def two_states(desk: Desk, night: int, *, wide: str, phone: str) -> None:
    """Record the cart on a wide screen and on a phone, each letter an element that fails."""
    states = {"": finding("label", *wide), "phone": finding("target-size", *phone)}
    for state, found in states.items():
        page = scan_result(found, url=f"{SHOP}/cart", title="Cart", scan_id=f"{state or 'wide'}-{night}")
        at_ms = NOW_MS - (10 - night) * DAY_MS
        await desk.record(page.model_copy(update={"page_state": state}), terms=f"terms of {state}", at_ms=at_ms)


async def test_barriers_of_a_page_s_other_state_are_counted(desk: Desk):
    await two_states(desk, 1, wide="abc", phone="de")

    found = await told(desk, "search_scans", url="/cart", rule="target-size")
    pages = await told(desk, "search_scans", rule="label")
    answer = await desk.ask(None, "How many target-size barriers are on /cart?")

    assert (found["pages"], found["barriers_of_all_pages"]["total"]) == (1, 2)
    assert [(one["scan"], one["state"]) for one in found["scans"]] == [("phone-1", "phone")]
    assert (pages["pages"], pages["barriers_of_all_pages"]["total"]) == (1, 3)
    assert answer.answer.startswith("2 elements with target-size barriers on")
    assert answer.sources == ("phone-1",)


async def test_changes_of_all_states_of_a_page_are_counted_once(desk: Desk):
    await two_states(desk, 1, wide="ab", phone="dx")
    await two_states(desk, 9, wide="abc", phone="d")

    found = await told(desk, "compare_scans", since="3 days ago")

    assert (found["pages"], found["new_barriers"], found["fixed_barriers"]) == (1, 1, 1)
    assert [(one["new"], one["fixed"]) for one in found["changed"]] == [
        ({"total": 1, "label": 1}, {"total": 1, "target-size": 1})
    ]


async def test_an_element_that_another_state_had_is_not_new_nor_one_that_another_keeps_fixed(desk: Desk):
    for night, wide, phone in ((1, "a", "b"), (9, "ab", "")):
        for state, nodes in (("", wide), ("phone", phone)):
            found = [finding("label", *nodes)] if nodes else []
            page = scan_result(*found, url=f"{SHOP}/cart", scan_id=f"{state or 'wide'}-{night}")
            at_ms = NOW_MS - (10 - night) * DAY_MS
            await desk.record(page.model_copy(update={"page_state": state}), terms=f"terms of {state}", at_ms=at_ms)

    told_of = await told(desk, "compare_scans", since="5 days ago")

    assert (told_of["new_barriers"], told_of["fixed_barriers"], told_of["pages_unchanged"]) == (0, 0, 1)


async def test_a_page_scanned_before_with_other_settings_or_in_part_is_not_called_new(desk: Desk):
    page = scan_result(finding("label", "a"), url=f"{SHOP}/cart", scan_id="old")
    part = scan_result(finding("label", "a"), url=f"{SHOP}/", scan_id="part", status="partial")
    await desk.record(page, terms="wcag21", at_ms=NOW_MS - 9 * DAY_MS)
    await desk.record(part, terms="wcag22", at_ms=NOW_MS - 9 * DAY_MS)
    for one in (page, part):
        again = one.model_copy(update={"scan_id": f"{one.scan_id}-2", "status": "scanned"})
        await desk.record(again, terms="wcag22", at_ms=NOW_MS - DAY_MS)

    found = await told(desk, "compare_scans", since="3 days ago")
    answer = await desk.ask(None, f"What changed since {time_of(NOW_MS - 3 * DAY_MS)[:10]}?")

    assert (found["pages"], found["first_scanned_since"], found["first_scanned"]) == (2, 0, [])
    assert found["pages_scanned_otherwise"] == 2
    assert answer.answer.startswith("Nothing can be compared since 2025-11-21")
    assert "no page was scanned before completely and with the same rules, parts and width" in answer.answer


async def test_a_question_about_one_site_reaches_no_other(desk: Desk):
    await shop(desk)
    limited = asker(site="shop.example")

    everything = await told(desk, "search_scans", by=limited)
    elsewhere = await run(desk, "search_scans", by=limited, site="blog.example")
    one = await run(desk, "get_scan", by=limited, scan="blog-1")
    page = await run(desk, "get_scan", by=limited, url="https://blog.example/post")
    pair = await run(desk, "compare_scans", by=limited, before="blog-1", after="blog-1")

    assert {one["url"] for one in everything["scans"]} == {f"{SHOP}/", f"{SHOP}/cart"}
    assert [one.failed for one in (elsewhere, one, page, pair)] == [True] * 4
    assert "limited to the site 'shop.example'" in elsewhere.text


async def test_one_scan_is_told_whole_with_examples_while_its_result_is_kept(desk: Desk):
    page = scan_result(finding("label", "c1"), finding("region", "r", impact=Impact.MINOR), scan_id="s1")
    await desk.record(page)

    before = await told(desk, "get_scan", scan="s1", rule="label")
    await desk.redis.set(desk.keys.result("s1"), page.model_dump_json(), ex=60)
    after = await told(desk, "get_scan", url=page.url, rule="label")

    assert [(one["rule"], one["elements"]) for one in after["findings"]] == [("label", 1), ("region", 1)]
    assert "no longer kept" in before["examples"]
    assert after["examples"] == [{"markup": "<img id=c1>", "problem": "Fix: give it an alt"}]


async def test_two_scans_of_a_page_are_compared_and_of_two_pages_not(desk: Desk):
    await shop(desk)

    change = (await told(desk, "compare_scans", before="cart-1", after="cart-2"))["change"]
    other = await run(desk, "compare_scans", before="cart-1", after="home-1")

    assert (change["new"], change["fixed"]) == ({"total": 3, "image-alt": 3}, {"total": 2, "label": 2})
    assert other.failed
    assert "different pages" in other.text


async def test_all_pages_are_compared_with_how_they_were_at_a_time(desk: Desk):
    await shop(desk)

    found = await told(desk, "compare_scans", since="2025-11-15T23:00")

    assert [one["scan"] for one in found["changed"]] == ["cart-2"]
    assert (found["new_barriers"], found["fixed_barriers"]) == (3, 2)
    assert (found["pages"], found["pages_unchanged"], found["first_scanned_since"]) == (3, 1, 1)
    assert [one["scan"] for one in found["first_scanned"]] == ["blog-1"]


async def test_what_was_read_in_part_proves_nothing_new_and_nothing_fixed(desk: Desk):
    whole = scan_result(finding("label", "a", "b"), scan_id="s1")
    part = scan_result(finding("label", "b", "c"), scan_id="s2", status="partial")
    await desk.record(whole, at_ms=NOW_MS - 3)
    await desk.record(part, at_ms=NOW_MS - 2)

    forth = (await told(desk, "compare_scans", before="s1", after="s2"))["change"]
    back = (await told(desk, "compare_scans", before="s2", after="s1"))["change"]

    assert (forth["new"]["total"], forth["fixed"]["total"], forth["uncertain"]) == (1, 0, ["label"])
    assert (back["new"]["total"], back["fixed"]["total"], back["uncertain"]) == (0, 1, ["label"])


async def test_a_page_that_got_worse_comes_before_one_that_got_better(desk: Desk):
    for name, before, after in (("better", "abc", "a"), ("worse", "a", "abcd"), ("mixed", "ab", "cd")):
        url = f"{SHOP}/{name}"
        await desk.record(
            scan_result(finding("label", *before), url=url, scan_id=f"{name}-1"), at_ms=NOW_MS - 9 * DAY_MS
        )
        await desk.record(scan_result(finding("label", *after), url=url, scan_id=f"{name}-2"), at_ms=NOW_MS - 1)

    found = await told(desk, "compare_scans", since="yesterday")

    assert [one["scan"] for one in found["changed"]] == ["worse-2", "mixed-2", "better-2"]


@pytest.mark.parametrize("tool", ["search_scans", "compare_scans"])
async def test_a_document_stays_small_and_counts_what_it_left_out(desk: Desk, tool: str):
    for number in range(40):
        url, title = f"{SHOP}/{number}?{'x' * 3_000}", "t" * 5_000
        rules = [finding(f"rule-{n}-{'y' * 30}", f"{number}-{n}") for n in range(30)]
        await desk.record(scan_result(url=url, title=title, scan_id=f"a{number}"), at_ms=NOW_MS - 9 * DAY_MS)
        await desk.record(scan_result(*rules, url=url, title=title, scan_id=f"b{number}"), at_ms=NOW_MS - 1)

    arguments: JsonObject = {"since": "yesterday"} if tool == "compare_scans" else {}
    answer = await desk.toolbox().run(call(tool, limit=20, **arguments), asker())

    document = json.loads(answer.text)
    listed = document["scans" if tool == "search_scans" else "changed"]
    assert len(answer.text) <= MAX_CHARS + 50
    assert 0 < len(listed) < 20
    assert document["left_out"] == 40 - len(listed)


async def test_a_comparison_of_many_groups_and_components_stays_small_and_says_so(desk: Desk):
    shop = Shop(desk.redis, desk.keys, desk.history)
    for number in range(40):
        old, new, group = f"{number:04x}a", f"{number:04x}b", f"template {number} {'x' * 100}"
        for name, pages in ((old, 0), (new, 1)):
            await shop.named(name, f"Main › {name} {'y' * 140}", pages=pages, elements=pages)
        await shop.scan(f"/{number}", component(old), at=T1, group=group)
        await shop.scan(f"/{number}", component(new), at=NOW_MS, group=group)
    await shop.period("nightly-1", T1, T1)
    await shop.period("nightly-2", NOW_MS, NOW_MS)

    answer = await desk.toolbox().run(call("compare_scans", before="nightly-1", after="nightly-2"), asker())
    said = await desk.ask(None, "What changed between nightly-1 and nightly-2?")

    document = json.loads(answer.text)
    assert len(answer.text) <= MAX_CHARS
    assert (document["changed"], document["left_out"]) == ([], 40)
    assert document["component_barriers"]["new"] == 40
    assert set(answer.scans) == {one["scan"] for name in ("groups", "components") for one in document[name]}
    assert document["shortened"] == ["groups"]
    assert "Not everything that changed is listed" in said.answer


async def test_a_tool_that_fails_is_an_answer_and_a_note_and_no_error(desk: Desk):
    class Away(BuiltinEmbedder):
        async def embed_queries(self, texts: Sequence[str]) -> EmbedReply:
            msg = f"no host answers, asked for {len(texts)}"
            raise ModelError(msg)

    away = await open_desk(desk.redis, desk.keys, Away())
    desk.submit_fails = QueueFull("the lane holds 1 job")

    search = await run(away, "search_scans", text="buttons")
    scan = await run(desk, "request_scan", by=asker(f"scan {SHOP}/"), url=f"{SHOP}/")

    assert json.loads(search.text) == {"error": "no host answers, asked for 1"}
    assert (search.failed, search.note) == (True, "search_scans failed: no host answers, asked for 1")
    assert scan.note == "request_scan failed: the lane holds 1 job"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("delete_everything", {}, "there is no tool"),
        ("search_scans", {"limit": "all"}, "limit"),
        ("search_scans", {"order": "best"}, "order"),
        ("search_scans", {"since": "soon"}, "2026-11-01"),
        ("search_scans", {"text": ["a"]}, "text"),
        ("get_scan", {"scan": "../etc"}, "there is no scan"),
        ("get_scan", {}, "there is no scan"),
        ("compare_scans", {"before": "x"}, "is neither a batch, nor a pipeline run"),
        ("compare_scans", {"before": "x", "after": "y"}, "is neither a batch, nor a pipeline run"),
        ("compare_scans", {}, "there is no scan"),
        ("search_scans", {"component": "header"}, "no component barrier is called 'header'"),
        ("remember", {}, "words"),
        ("request_scan", {"url": 7}, "url"),
    ],
)
async def test_invalid_arguments_are_reported_to_the_model(desk: Desk, name: str, arguments: JsonObject, said: str):
    answer = await run(desk, name, **arguments)

    assert answer.failed
    assert said in json.loads(answer.text)["error"]


_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=2)
_NAMES = sorted({name for args in ARGS.values() for name in args.model_fields})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([tool.name for tool in TOOLS]),
    arguments=st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=5),
)
async def test_no_arguments_crash_a_tool(desk: Desk, name: str, arguments: JsonObject):
    answer = await run(desk, name, **arguments)

    assert isinstance(json.loads(answer.text), dict)


async def test_a_page_s_markup_is_clipped(desk: Desk):
    node = Node(selector=("a",), snippet="<b>" + "x" * 90_000, failure_summary="y" * 90_000, fingerprint="n")
    page = scan_result(finding("label").model_copy(update={"nodes": (node,), "node_count": 1}), scan_id="s1")
    await desk.record(page)
    await desk.redis.set(desk.keys.result("s1"), page.model_dump_json(), ex=60)

    answer = await run(desk, "get_scan", scan="s1", rule="label")

    assert len(answer.text) < MAX_CHARS
