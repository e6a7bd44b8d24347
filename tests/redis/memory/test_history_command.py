"""``sightline history`` for people and programs, on recorded scans and without a worker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from functools import partial
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.command_line import Call, drawn_by_sightline
from tests.support.scan_worker import environment_for
from tests.support.seeded_history import DAY_MS, Nights, page
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

CART, FORM = "https://shop.example/cart", "https://blog.example/form"


@pytest.fixture
def history(call: Call) -> Call:
    return partial(call, "history")


@pytest.fixture
def seeded(redis_url: str, keys: Keys) -> None:
    """Ten nights until now: the cart gets worse on the fifth, the form stays."""

    async def seed() -> None:
        async with Redis.from_url(redis_url, protocol=2) as redis:
            await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
            nights = Nights(redis, keys, first_ms=round(time.time() * 1000) - 10 * DAY_MS)
            for night in range(10):
                nights.scan(night, page(CART, "checkout", critical=1 if night < 5 else 2))
                nights.scan(night, page(FORM, "help, new", minor=1, title="Order form for shoes"))
            await nights.commit()

    asyncio.run(seed())


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def seeded_by_the_release_before(redis_url: str, keys: Keys) -> None:
    """One record as 5e536ef wrote it of a job that was submitted as ``http://h.example/%7Eu/``: id and address."""

    async def seed() -> None:
        async with Redis.from_url(redis_url, protocol=2) as redis:
            await History(Embeddings(redis, keys, BuiltinEmbedder())).ensure_index()
            nights = Nights(redis, keys, first_ms=round(time.time() * 1000) - DAY_MS)
            scan_id = nights.scan(0, page("http://h.example/%7Eu/", "home", critical=1))
            await nights.commit()
            await cast("Any", redis.hset(keys.scan(scan_id), "page", "378773eed44d05d906092a60"))

    asyncio.run(seed())


@pytest.mark.usefixtures("seeded_by_the_release_before")
def test_a_record_of_the_previous_release_is_found_by_its_submitted_spelling(history: Call):
    [found] = lines(history("http://h.example/%7Eu/"))

    assert found["url"] == "http://h.example/%7Eu/"


@pytest.mark.usefixtures("seeded")
def test_the_history_of_a_page_tells_what_changed(history: Call):
    newest, oldest = lines(history(CART))

    assert (newest["scan_id"], oldest["scan_id"]) == ("cart-5", "cart-0")
    assert (newest["times_seen"], newest["barriers"]["critical"]) == (5, 2)
    assert (newest["changes"]["new"], newest["changes"]["unchanged"]) == (["c1"], 1)
    assert "changes" not in oldest
    assert lines(history("list", CART, "--limit", "1"))[0]["changes"] == newest["changes"]


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"form-0", "cart-5", "cart-0"}),
        (("--site", "BLOG.example", "--rule", "region"), {"form-0"}),
        (("--site", "BLOG.example:*", "--rule", "region"), {"form-0"}),
        (("--site", "blog.example:8443"), set[str]()),
        (("--group", "help, new"), {"form-0"}),
        (("--group", "help"), set[str]()),
        (("--impact", "critical"), {"cart-5", "cart-0"}),
        (("--since", "3 days ago"), {"form-0", "cart-5"}),
        (("--impact", "critical", "--limit", "1"), {"cart-5"}),
    ],
)
def test_past_scans_are_listed_by_filters(history: Call, options: tuple[str, ...], expected: set[str]):
    assert {one["scan_id"] for one in lines(history(*options))} == expected


@pytest.mark.usefixtures("seeded")
def test_a_search_goes_by_meaning_with_the_model_of_the_history(history: Call):
    found = lines(
        history("--search", "order form", EMBEDDING_MODEL="nomic-embed-text", OLLAMA_BASE_URL="http://127.0.0.1:1")
    )

    assert found[0]["scan_id"] == "form-0"
    assert found[0]["distance"] < found[1]["distance"]


@pytest.mark.usefixtures("seeded")
def test_trends_tell_groups_and_days(history: Call):
    groups = lines(history("--trend", "--since", "8 days ago"))
    days = lines(history("--trend", "--site", "shop.example", "--since", "8 days ago"))

    assert [(one["group"], one["verdict"]) for one in groups] == [("checkout", "worse"), ("help, new", "same")]
    (changed,) = groups[0]["changed"]
    assert (changed["before"]["scan_id"], changed["after"]["scan_id"]) == ("cart-0", "cart-5")
    assert groups[1]["changed"] == []
    assert {day["per_page"] for day in days} == {1.0, 2.0}


@pytest.mark.usefixtures("seeded")
def test_old_records_are_dropped_and_counted(history: Call):
    done = history("prune", "--older-than", "3 days")

    assert done.returncode == 0
    assert done.stdout == "deleted 1 of 3 records; the newest of each page stay\n"
    assert [one["scan_id"] for one in lines(history(CART))] == ["cart-5"]


@pytest.mark.usefixtures("seeded")
def test_a_person_is_shown_text(redis_url: str, keys: Keys):
    environment = environment_for(redis_url, keys)

    code, drawn = drawn_by_sightline(environment, "history", "--trend", "--since", "8 days ago")

    shown = drawn.splitlines()
    assert code == 0
    assert shown[0] == "worse   checkout: 1 element (1 critical) then, 2 elements (2 critical) now, on 1 page"
    assert shown[1].split() == ["1", "→", "2", CART]
    assert shown[2].split() == ["scans", "cart-0", "and", "cart-5"]


@pytest.mark.usefixtures("seeded")
def test_a_person_is_told_that_the_list_may_go_on(redis_url: str, keys: Keys):
    environment = environment_for(redis_url, keys)

    _, cut = drawn_by_sightline(environment, "history", "--limit", "1")
    _, whole = drawn_by_sightline(environment, "history")

    assert "Only 1 record shown (--limit); there may be more." in cut
    assert "--limit" not in whole


def test_looking_at_an_empty_history_makes_no_index_that_would_shut_workers_out(
    history: Call, redis_url: str, keys: Keys
):
    for options in (("--search", "x"), ("--trend", "--since", "yesterday")):
        assert lines(history(*options, EMBEDDING_MODEL="nomic-embed-text", OLLAMA_BASE_URL="http://127.0.0.1:1")) == []

    async def left() -> list[bytes]:
        async with Redis.from_url(redis_url) as redis:
            found = [key async for key in redis.scan_iter(match=f"{keys.prefix}*")]
            indexes = cast("list[bytes]", await redis.execute_command("FT._LIST"))
            return found + [name for name in indexes if name.startswith(keys.prefix.encode())]

    assert asyncio.run(left()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shop.example",), "--site HOST"),
        (("--site", "https://shop.example"), "is not a site"),
        (("--trend", "--since", "yesterday", "--site", "shop.example:http"), "is not a site"),
        (("--since", "the day of the cat"), "is not a time"),
        (("--trend",), "add --since, such as --since '4 weeks ago'"),
        (("--trend", "--since", "yesterday", "--site", "a", "--group", "b"), "it takes no other option"),
        (("prune",), "--older-than"),
        (("prune", "--older-than", "soon"), "is not a time"),
    ],
)
def test_a_wrong_call_exits_64_and_says_what_was_expected(history: Call, arguments: tuple[str, ...], said: str):
    done = history(*arguments)

    assert done.returncode == 64
    assert said in done.stderr


@pytest.mark.usefixtures("seeded")
def test_the_history_of_a_time_has_the_states_that_had_begun_by_then(history: Call):
    then = lines(history(CART, "--until", "6 days ago"))
    trend = lines(history("--trend", "--since", "9 days ago", "--until", "7 days ago"))

    assert [one["barriers"]["critical"] for one in then] == [1]
    assert {one["verdict"] for one in trend} == {"same"}
