from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.component_scans import Site, component, issue_id
from tests.support.redis_server import StartServer
from tests.support.seeded_history import Nights, page
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.prune import PRUNE, PRUNE_BARRIERS, prune

URL = "https://shop.example/cart"


async def ids(history: History) -> set[str]:
    return {record.scan_id for record in await history.find(ScanFilter(), limit=1_000)}


async def test_old_states_go_and_the_newest_of_each_page_stays(redis: Redis, keys: Keys, history: History):
    nights = Nights(redis, keys, first_ms=1_000)
    for night in range(10):
        nights.scan(night, page(URL, "", critical=night))
    nights.scan(0, page("https://shop.example/old", ""))
    await nights.commit()

    done = await prune(redis, keys, older_than_ms=nights.at(7))

    assert (done.looked_at, done.dropped) == (11, 7)
    assert await ids(history) == {"cart-7", "cart-8", "cart-9", "old-0"}


async def test_what_the_next_scan_is_compared_with_stays(redis: Redis, keys: Keys, history: History):
    nights = Nights(redis, keys, first_ms=1_000)
    nights.scan(0, page(URL, "", critical=1))
    nights.scan(1, page(URL, "", critical=2))
    nights.scan(2, page(URL, "", status="blocked"))
    nights.scan(3, page(URL, "", status="unreachable"))
    await nights.commit()

    done = await prune(redis, keys, older_than_ms=nights.at(100))

    assert done.dropped == 2
    assert await ids(history) == {"cart-1", "cart-3"}


async def test_many_records_go_in_batches_and_a_second_call_finds_nothing(redis: Redis, keys: Keys, history: History):
    nights = Nights(redis, keys, first_ms=1_000)
    for night in range(60):
        nights.scan(night, page(URL, "", critical=night))
    await nights.commit()

    first = await prune(redis, keys, older_than_ms=nights.at(1_000), batch=7)
    second = await prune(redis, keys, older_than_ms=nights.at(1_000), batch=7)

    assert (first.dropped, second.dropped) == (59, 0)
    assert await ids(history) == {"cart-59"}


async def test_a_record_that_was_seen_again_meanwhile_stays(redis: Redis, keys: Keys, history: History):
    nights = Nights(redis, keys, first_ms=1_000)
    nights.scan(5, page(URL, "", critical=1))
    await nights.commit()

    dropped = await run_script(redis, PRUNE, [keys.scan("cart-5"), keys.scan("gone")], [nights.at(5)])

    assert dropped == 0
    assert await ids(history) == {"cart-5"}


async def test_a_key_of_another_type_stops_the_script_before_it_drops_anything(
    redis: Redis, keys: Keys, history: History
):
    nights = Nights(redis, keys, first_ms=1_000)
    nights.scan(0, page(URL, "", critical=1))
    await nights.commit()
    await redis.set(keys.scan("strange"), "x")

    with pytest.raises(ResponseError, match="expected a hash"):
        await run_script(redis, PRUNE, [keys.scan("cart-0"), keys.scan("strange")], [nights.at(9)])

    assert await ids(history) == {"cart-0"}


async def test_another_environment_is_left_alone(redis: Redis, keys: Keys, history: History):
    nights = Nights(redis, other := Keys(f"{keys.environment}-b"), first_ms=1_000)
    for night in range(3):
        nights.scan(night, page(URL, "", critical=night))
    await nights.commit()

    done = await prune(redis, keys, older_than_ms=10**15)

    assert (done.looked_at, done.dropped) == (0, 0)
    assert len([key async for key in redis.scan_iter(match=f"{other.scan_prefix}*")]) == 3
    assert await ids(history) == set()


async def test_a_full_redis_can_be_pruned(redis_server: StartServer, keys: Keys):
    async with Redis.from_url(redis_server().url, protocol=2) as redis:
        nights = Nights(redis, keys, first_ms=1_000)
        for night in range(3):
            nights.scan(night, page(URL, "", critical=night))
        await nights.commit()
        await redis.config_set("maxmemory", "1")

        done = await prune(redis, keys, older_than_ms=nights.at(9))

        assert done.dropped == 2


LOGO, CARD = component("1090"), component("ca4d", rule="label")


async def kept(site: Site) -> set[str]:
    wanted = [issue_id(name) for name in ("1090", "ca4d")]
    return set(await site.history.barriers.get_many(wanted))


async def test_component_barriers_fixed_long_ago_are_deleted_and_those_of_a_page_stay_however_old(
    redis: Redis, keys: Keys, history: History
):
    site = Site(redis, keys, history)
    await site.scan(LOGO, CARD, at_ms=1_000)
    await site.scan(CARD, at_ms=2_000)

    early = await prune(redis, keys, older_than_ms=2_000)
    late = await prune(redis, keys, older_than_ms=10**15)

    assert (early.barriers, late.barriers) == (0, 1)
    assert await kept(site) == {issue_id("ca4d")}
    again = await site.scan(LOGO, CARD, at_ms=3_000)
    assert again.changes is not None
    assert [one.issue_id for one in again.changes.new_components or ()] == [issue_id("1090")]
    [back] = (await history.barriers.get_many([issue_id("1090")])).values()
    assert (back.pages, back.first_ms, back.returned_ms) == (1, 3_000, 0)


async def test_a_component_barrier_that_a_scan_has_found_again_meanwhile_stays(
    redis: Redis, keys: Keys, history: History
):
    site = Site(redis, keys, history)
    await site.scan(LOGO, CARD, at_ms=1_000)
    await site.scan(at_ms=2_000)
    old = [keys.barrier(issue_id(name)) for name in ("1090", "ca4d", "gone")]  # as the command found them
    await site.scan(LOGO, at_ms=3_000)

    dropped = await run_script(redis, PRUNE_BARRIERS, old, [9_000])

    assert dropped == 1
    assert await kept(site) == {issue_id("1090")}
