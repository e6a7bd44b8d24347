from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import Counts, Impact, ScanResult
from producer.contract.addresses import page_id
from producer.keys import Keys
from tests.support.scans import finding, scan_result, write_scan
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.pages import PageState, newest_by_state, one_a_page
from worker.memory.vectors.backfill import respell_in_turn
from worker.memory.vectors.embeddings import Embedded


@dataclass(frozen=True)
class Recorder:
    """Writes records as finish.lua does."""

    redis: Redis
    keys: Keys

    async def add(self, page: str, result: ScanResult, *, at_ms: int, seen_ms: int = 0) -> str:
        text = Embedded("t", {})
        return await write_scan(self.redis, self.keys, result, page=page, at_ms=at_ms, seen_ms=seen_ms, text=text)


@pytest.fixture
def recorder(redis: Redis, keys: Keys) -> Recorder:
    return Recorder(redis, keys)


def ids(states: list[PageState]) -> list[str]:
    return [state.scan_id for state in states]


async def test_each_page_is_there_once_in_its_newest_state(history: History, recorder: Recorder):
    await recorder.add("a", scan_result(finding("label", "x"), scan_id="a1"), at_ms=1)
    await recorder.add("a", scan_result(finding("region", "y", impact=Impact.MINOR), scan_id="a2"), at_ms=5)
    await recorder.add("b", scan_result(finding("label", "z"), scan_id="b1", title="Über uns", group="g h"), at_ms=3)

    states = await history.newest_of_pages()

    assert ids(states) == ["a2", "b1"]
    assert (states[0].rules, states[0].impacts, states[0].harm) == ({"region"}, {"minor"}, (0, 0, 0, 1))
    assert (states[1].title, states[1].group, states[1].url) == ("Über uns", "g h", "https://shop.example/home")


async def test_a_page_s_state_at_a_time_is_the_one_that_had_begun_by_then(history: History, recorder: Recorder):
    await recorder.add("a", scan_result(scan_id="a1"), at_ms=10, seen_ms=30)
    await recorder.add("a", scan_result(scan_id="a2"), at_ms=40, seen_ms=90)

    found = {at: ids(await history.newest_of_pages(ScanFilter(begun_by_ms=at))) for at in (5, 10, 35, 40)}

    assert found == {5: [], 10: ["a1"], 35: ["a1"], 40: ["a2"]}


async def test_filters_hold_before_the_newest_is_chosen(history: History, recorder: Recorder):
    await recorder.add("a", scan_result(scan_id="a1", status="scanned"), at_ms=1)
    await recorder.add("a", scan_result(scan_id="a2", status="unreachable"), at_ms=2)
    await recorder.add("b", scan_result(scan_id="b1", status="partial"), at_ms=3)

    assert ids(await history.newest_of_pages(ScanFilter(status=("scanned", "partial")))) == ["b1", "a1"]
    assert ids(await history.newest_of_pages(ScanFilter(status="unreachable"))) == ["a2"]


async def test_more_than_ten_pages_are_found_up_to_the_limit(history: History, recorder: Recorder):
    for number in range(30):
        await recorder.add(f"p{number}", scan_result(scan_id=f"s{number}"), at_ms=number)

    assert len(await history.newest_of_pages()) == 30
    assert ids(await history.newest_of_pages(limit=3)) == ["s29", "s28", "s27"]


async def test_no_scans_are_no_pages(history: History):
    assert await history.newest_of_pages() == []


async def test_a_page_without_an_address_or_a_barrier_is_a_page_too(history: History, recorder: Recorder):
    await recorder.add("html-1", scan_result(scan_id="h1", url="", title=""), at_ms=1)

    (state,) = await history.newest_of_pages()

    assert (state.url, state.title, state.rules, state.barriers.total) == ("", "", frozenset(), 0)


async def test_an_index_dropped_under_a_running_worker_is_built_again(
    redis: Redis, keys: Keys, history: History, recorder: Recorder
):
    await recorder.add("a", scan_result(scan_id="a1"), at_ms=1)
    await cast("Any", redis).execute_command("FT.DROPINDEX", keys.scans_index)

    assert ids(await history.newest_of_pages()) == ["a1"]


async def test_many_scans_come_in_the_order_asked_for_and_lost_ones_not_at_all(history: History, recorder: Recorder):
    for name in ("s1", "s2", "s3"):
        await recorder.add(name, scan_result(scan_id=name), at_ms=1)

    assert [one.scan_id for one in await history.get_many(["s3", "gone", "s1"])] == ["s3", "s1"]
    assert await history.get_many([]) == []


async def test_each_state_of_a_page_has_a_newest_record(history: History, recorder: Recorder):
    def of(scan_id: str, state: str = "") -> ScanResult:
        return scan_result(scan_id=scan_id).model_copy(update={"page_state": state})

    await recorder.add("a", of("old"), at_ms=1)
    await recorder.add("a", of("light"), at_ms=2)
    await recorder.add("a", of("dark", "dark"), at_ms=3)
    await cast("Any", recorder.redis).hset(recorder.keys.scan("dark"), "terms", "other")

    states = await history.newest_of_pages()

    assert [(state.scan_id, state.page_state) for state in states] == [("dark", "dark"), ("light", "")]
    assert ids(one_a_page(states)) == ["dark"]


def test_a_width_that_an_earlier_release_recorded_is_not_the_default_state():
    def state(scan_id: str, terms: str, at_ms: int, name: str = "") -> PageState:
        url, none = "https://a.example/", frozenset[str]()
        return PageState(
            scan_id, terms, url, "", "", none, none, Counts(), at_ms, page="p", at_ms=at_ms, page_state=name
        )

    found = [state("narrow-now", "narrow", 9, "390 px"), state("narrow-then", "narrow", 7), state("wide", "wide", 5)]

    assert ids(newest_by_state(found)) == ["narrow-now", "wide"]
    assert ids(newest_by_state(found[1:])) == ["narrow-then"]  # as every release took it


async def test_two_applications_on_one_host_are_two_sites(history: History, recorder: Recorder):
    for port in (3000, 4000):
        page = scan_result(scan_id=f"s{port}", url=f"http://localhost:{port}/")
        await recorder.add(f"p{port}", page, at_ms=port)

    found = {site: ids(await history.newest_of_pages(ScanFilter(host=site))) for site in
             ("localhost:3000", "localhost:4000", "localhost", "localhost:*")}  # fmt: skip

    assert found == {
        "localhost:3000": ["s3000"], "localhost:4000": ["s4000"], "localhost": [], "localhost:*": ["s4000", "s3000"],
    }  # fmt: skip


async def test_a_record_without_its_port_is_given_it(redis: Redis, keys: Keys, history: History, recorder: Recorder):
    url = "http://localhost:3000/"
    await recorder.add(page_id(url), scan_result(scan_id="old", url=url), at_ms=1)
    await cast("Any", redis).hset(keys.scan("old"), mapping={"host": "localhost", "host_name": "localhost"})

    assert ids(await history.newest_of_pages(ScanFilter(host="localhost:*"))) == ["old"]
    corrected = [await respell_in_turn(history.vectors, every_s=0.001) for _ in range(2)]

    assert corrected == [1, 0]
    assert [one.host for one in await history.find(ScanFilter(host="localhost:3000"))] == ["localhost:3000"]
