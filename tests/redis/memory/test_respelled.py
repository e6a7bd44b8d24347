"""Records that release 5e536ef stored under another spelling of an address are found under the one spelling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from functools import partial
from itertools import chain
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.contract import ScanRequest
from producer.contract.addresses import page_id, page_ids, site_of, without_port
from producer.contract.scan_terms import terms_of
from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.queue import until
from tests.support.scans import scan_result, write_scan
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.respelled import RESPELL
from worker.memory.history.scan_record import page_of
from worker.memory.vectors.backfill import keep_backfilled, respell_in_turn

OLD = {
    "http://shop.example/%7Eu/": ("f16182ca0c5c7abd89d03b50", "http://shop.example/%7Eu/", "http://shop.example/~u/"),
    "HTTP://Shop.Example:80/a": ("046965bc222d4191282dfaf3", "http://Shop.Example:80/a", "http://shop.example/a"),
    "http://shop.example": ("15357c367b63c5719c02ff97", "http://shop.example", "http://shop.example/"),
    "http://shop.example/b?": ("df777a4bef2ac3a7432cc4f4", "http://shop.example/b", "http://shop.example/b"),
    "http://shop.example/%c3%a9": (
        "955e9075e2bbf2555fbac54a",
        "http://shop.example/%c3%a9",
        "http://shop.example/%C3%A9",
    ),
    "http://shop.example/é b": (
        "29c16d35f3df8d563a46cd9d",
        "http://shop.example/é b",
        "http://shop.example/%C3%A9%20b",
    ),
    "http://shop.example./c": ("dffb9606f2cd2d111076bb27", "http://shop.example./c", "http://shop.example/c"),
    "http://user:pw@shop.example/x/../d": (
        "4a9a204aa7c12b22ae63a794",
        "http://shop.example/x/../d",
        "http://shop.example/d",
    ),
    "http://shop.example/e#part": ("83646d14e98f2ef09a8c1095", "http://shop.example/e", "http://shop.example/e"),
    "https://bücher.example/": (
        "733a08b8b65167dc27974ee9",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
    ),
    "http://shop.example/f": ("9f2844fdb8fd849b48b3b8b1", "http://shop.example/f", "http://shop.example/f"),
}
"""By the address that was submitted: page and address as 5e536ef wrote them, and the address today."""
HOSTS = {
    "http://shop.example./c": "shop.example.",
    "https://bücher.example/": "~c6b737c4a99ba7144d39b05fbb7fc0429b069e14",
}
"""What it filed those under that today have another host."""
KEPT = {
    "terms": "29f75b1b4892f9f1",
    "standard": "wcag22aa",
    "status": "scanned",
    "title": "Home",
    "at_ms": "1",
    "last_seen_ms": "1",
    "total": "0",
    "elements": "0",
    "signature": "b562ff778be02eb8c43a8bb038b81cc5",
    "counts": '{"critical":0,"serious":0,"moderate":0,"minor":0}',
    "barriers": '{"critical":0,"serious":0,"moderate":0,"minor":0}',
    "findings": "[]",
    "text": "Home shop.example  %7Eu\nscanned\nno barriers found",
    "embedded": "",
    "times_seen": "1",
}
"""The other fields of such a record; its vector was not made yet."""
TILDE, TODAY = "http://shop.example/%7Eu/", "http://shop.example/~u/"


async def write_old(redis: Redis, keys: Keys, submitted: str, scan_id: str) -> None:
    """Write the record that 5e536ef committed of a scan of ``submitted``."""
    page, url, _ = OLD[submitted]
    fields = {
        **KEPT,
        "job": scan_id,
        "page": page,
        "url": url,
        "host": HOSTS.get(submitted, without_port(site_of(url))),
    }
    await redis.execute_command("HSET", keys.scan(scan_id), *chain.from_iterable(fields.items()))


async def fields_of(redis: Redis, key: str) -> dict[str, str]:
    found = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(key))
    return {name.decode(): value.decode() for name, value in found.items()}


async def found(history: History, url: str) -> list[str]:
    """The scans that ``sightline history URL`` lists."""
    return [record.scan_id for record in await history.find(ScanFilter(page=page_ids(url)))]


@pytest.mark.parametrize("submitted", OLD)
async def test_a_record_of_an_earlier_release_is_found_under_the_one_spelling(
    redis: Redis, keys: Keys, history: History, submitted: str
):
    page, _, today = OLD[submitted]
    await write_old(redis, keys, submitted, "old")
    assert await found(history, submitted) == ["old"]

    corrected = [await respell_in_turn(history.vectors, every_s=0.001) for _ in range(2)]

    assert corrected == [int(page != page_id(today)), 0]
    (record,) = await history.find(ScanFilter(page=page_of(ScanRequest(url=submitted)), host=site_of(today)))
    assert (record.scan_id, record.url) == ("old", today)
    assert await found(history, today) == await found(history, submitted) == ["old"]
    assert KEPT.items() <= (await fields_of(redis, keys.scan("old"))).items()


async def test_before_the_correction_only_the_submitted_spelling_finds_all_records_and_afterwards_both_do(
    redis: Redis, keys: Keys, history: History
):
    await write_old(redis, keys, TILDE, "old")
    await write_scan(redis, keys, scan_result(url=TODAY, scan_id="new"), page=page_id(TODAY), at_ms=2)
    between = await found(history, TILDE), await found(history, TODAY)

    await respell_in_turn(history.vectors)

    assert between == (["new", "old"], ["new"])
    assert await found(history, TILDE) == await found(history, TODAY) == ["new", "old"]


async def test_the_next_scan_of_the_page_is_compared_with_it(redis: Redis, keys: Keys, history: History):
    await write_old(redis, keys, TILDE, "old")
    request = ScanRequest(url=TILDE)
    assert await history.previous(page_of(request), terms=terms_of(request), before_job="next") is None

    async with keep_backfilled(history.vectors):
        await until(partial(found, history, TODAY), what="the record under the one spelling")

    last = await history.previous(page_of(request), terms=terms_of(request), before_job="next", status="scanned")
    assert last is not None
    assert last.scan_id == "old"


async def test_no_other_record_is_touched(redis: Redis, keys: Keys, history: History):
    await write_scan(redis, keys, scan_result(url=f"{TODAY}#/pay", scan_id="route"), page=page_id(f"{TODAY}#/pay"))
    await write_scan(redis, keys, scan_result(url="", scan_id="text"), page="html-1")
    await write_scan(redis, keys, scan_result(url=TILDE, scan_id="other"), page="somebody's own id")
    await write_scan(redis, keys, scan_result(url="no address", scan_id="broken"), page=page_id("no address"))
    await redis.set(keys.scan("strange"), "x")
    names = [keys.scan(name) for name in ("route", "text", "other", "broken")]
    before = [await redis.dump(name) for name in (*names, keys.scan("strange"))]

    assert await respell_in_turn(history.vectors) == 0

    assert [await redis.dump(name) for name in (*names, keys.scan("strange"))] == before


async def test_one_worker_of_all_corrects_and_what_a_killed_one_left_is_done_within_a_minute(
    redis: Redis, keys: Keys, history: History
):
    for number in range(60):
        await write_old(redis, keys, TILDE, f"old-{number}")
    doomed = asyncio.create_task(respell_in_turn(history.vectors))
    await until(partial(found, history, TODAY), what="the first record", every_s=0)
    doomed.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doomed
    left = 60 - len(await history.find(ScanFilter(page=page_id(TODAY)), limit=100))

    assert await respell_in_turn(history.vectors) == 0
    assert 0 < await redis.pttl(keys.respelled) <= 60_000
    await redis.delete(keys.respelled)  # the minute is over
    done = await asyncio.gather(*(respell_in_turn(history.vectors) for _ in range(4)))

    assert left > 0
    assert sorted(done) == [0, 0, 0, left]
    assert len(await history.find(ScanFilter(page=page_id(TODAY)), limit=100)) == 60
    assert 60_000 < await redis.pttl(keys.respelled) <= 3_600_000


async def test_the_script_corrects_only_the_record_that_was_looked_at(redis: Redis, keys: Keys):
    await write_old(redis, keys, TILDE, "old")
    await redis.set(keys.scan("strange"), "x")

    async def run(name: str, page: str) -> int:
        return int(await run_script(redis, RESPELL, [keys.scan(name)], [page, "page", "right", "url", TODAY]))

    page = OLD[TILDE][0]
    done = [await run("old", "another"), await run("gone", page), await run("old", page), await run("old", page)]
    with pytest.raises(ResponseError, match="expected a hash"):
        await run("strange", page)

    assert done == [0, 0, 1, 0]
    assert {"page": "right", "url": TODAY}.items() <= (await fields_of(redis, keys.scan("old"))).items()
    assert not await redis.exists(keys.scan("gone"))
