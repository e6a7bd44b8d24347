"""gpu_check.lua, gpu_release.lua and gpu_tend.lua, each alone, on a real Redis."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.gpu import (
    GPU1,
    GPU2,
    ONE,
    TWO,
    ask,
    expire,
    holders,
    host_record,
    lease_ms,
    listening,
    set_clock_back,
    set_host,
)
from worker.gpu.hosts import parse_hosts
from worker.gpu.scripts import PoolScripts, Timing

# ---------------------------------------------------------------------------------------------- gpu_check


async def test_a_grant_holds_for_a_second_and_a_confirmed_one_for_the_whole_lease(
    scripts: PoolScripts, redis: Redis, keys: Keys
):
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("a"))
        await scripts.acquire(ask("b"))
        await scripts.release("a")
        await ear.next()
        granted = await scripts.check(ask("b"))

        _, verdicts = await scripts.tend(ONE, ["b"])

        assert (granted.verdict, granted.host) == ("granted", GPU1)
        assert 0 < granted.left_s <= 1.0
        assert verdicts == {"b": "held"}
        assert 5.0 < (await scripts.check(ask("b"))).left_s <= 6.0


async def test_asking_again_confirms_a_grant_too(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys):
        await scripts.acquire(ask("a"))
        await scripts.acquire(ask("b"))
        await scripts.release("a")

        answer = await scripts.acquire(ask("b"))

        assert (answer.verdict, answer.left_s) == ("granted", 6.0)
        assert await lease_ms(redis, keys, "b") > 5000


async def test_a_worker_with_shorter_leases_shortens_no_other_s(scripts: PoolScripts, redis: Redis, keys: Keys):
    longer = PoolScripts(redis, keys, Timing(lease_s=60.0))
    async with listening(redis, keys):
        for token in ("a", "b"):
            await longer.acquire(ask(token))

        await scripts.acquire(ask("c"))
        await scripts.tend(ONE, [], ["c"])

        assert await lease_ms(redis, keys, "a") > 50_000
        waits_ms = cast("float", await redis.zscore(keys.gpu_waiters, "b")) - (await redis.time())[0] * 1000
        assert waits_ms > 50_000


async def test_a_grant_that_nobody_confirms_passes_on(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        for token in ("a", "frozen", "c"):
            await scripts.acquire(ask(token))
        await scripts.release("a")
        assert await ear.next() == "frozen"
        await expire(redis, keys.gpu_holders, "frozen")

        late = await scripts.check(ask("frozen"))
        _, verdicts = await scripts.tend(ONE, ["frozen"], ["c"])

        assert late.verdict == "gone"
        assert verdicts == {"frozen": "gone", "c": "granted"}
        assert await ear.next() == "c"


async def test_a_waiting_call_is_notified(scripts: PoolScripts):
    await scripts.acquire(ask("a"))
    await scripts.acquire(ask("b"))

    assert (await scripts.check(ask("b"))).verdict == "waiting"


async def test_a_check_writes_nothing(scripts: PoolScripts, redis: Redis):
    client = cast("Any", redis)
    await scripts.acquire(ask("a"))
    await scripts.check(ask("a"))
    before = (await client.info("persistence"))["rdb_changes_since_last_save"]

    await scripts.check(ask("a"))

    assert (await client.info("persistence"))["rdb_changes_since_last_save"] == before


# ---------------------------------------------------------------------------------------------- gpu_release


async def test_a_released_slot_goes_to_the_next_in_the_same_step(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys):
        await scripts.acquire(ask("a"))
        await scripts.acquire(ask("b"))

        verdict, at_ms = await scripts.release("a")

        assert verdict == "released"
        assert at_ms > 1_700_000_000_000
        assert await holders(redis, keys) == {"b": GPU1}


async def test_a_lease_that_has_ended_cannot_be_released(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.acquire(ask("a"))
    await expire(redis, keys.gpu_holders, "a")

    verdict, _ = await scripts.release("a")

    assert verdict == "lost"


async def test_a_waiter_that_withdraws_is_not_served(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        for token in ("a", "b", "c"):
            await scripts.acquire(ask(token))

        verdict, _ = await scripts.release("b")
        await scripts.release("a")

        assert verdict == "withdrawn"
        assert await ear.next() == "c"


async def test_the_time_that_calls_hold_a_slot_is_smoothed(scripts: PoolScripts, redis: Redis, keys: Keys):
    client = cast("Any", redis)
    await client.hset(keys.gpu_state, "hold_ms_chat", 1000)
    await scripts.acquire(ask("a"))

    await scripts.release("a")

    assert 800 <= int(await client.hget(keys.gpu_state, "hold_ms_chat")) < 900


# ---------------------------------------------------------------------------------------------- gpu_tend


async def test_tending_renews_what_is_held_and_what_waits(scripts: PoolScripts, redis: Redis, keys: Keys):
    client = cast("Any", redis)
    await scripts.acquire(ask("a"))
    await scripts.acquire(ask("b"))
    soon = int((await client.time())[0]) * 1000 + 3000
    await client.zadd(keys.gpu_holders, {"a": soon})
    await client.zadd(keys.gpu_waiters, {"b": soon})

    due_ms, verdicts = await scripts.tend(ONE, ["a"], ["b"])

    assert verdicts == {"a": "held", "b": "waiting"}
    assert 5000 < due_ms <= 6000
    assert await client.zscore(keys.gpu_waiters, "b") > soon


async def test_tending_passes_on_a_dead_holders_slot(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        await scripts.acquire(ask("dead", worker="w2"))
        await scripts.acquire(ask("b"))
        await expire(redis, keys.gpu_holders, "dead")

        due_ms, verdicts = await scripts.tend(ONE, ["dead"], ["b"])

        assert await ear.next() == "b"
        assert verdicts == {"dead": "gone", "b": "granted"}
        assert 0 <= due_ms <= 1000


async def test_a_dead_holder_keeps_its_slot_no_longer_when_redis_clock_is_set_back(
    scripts: PoolScripts, redis: Redis, keys: Keys
):
    await scripts.acquire(ask("dead"))
    await scripts.acquire(ask("silent"))
    await set_clock_back(redis, keys.gpu_holders, keys.gpu_waiters)
    known = await scripts.check(ask("dead"))

    await scripts.tend(ONE, ())

    assert known.left_s == 6.0
    assert 5_000 < await lease_ms(redis, keys, "dead") <= 6_000
    assert 5_000 < await lease_ms(redis, keys, "silent", of=keys.gpu_waiters) <= 6_000


async def test_tending_does_not_renew_a_grant_that_was_not_confirmed(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys):
        await scripts.acquire(ask("a"))
        await scripts.acquire(ask("b"))
        await scripts.release("a")

        await scripts.tend(ONE, [], ["b"])

        assert await lease_ms(redis, keys, "b") <= 1000


async def test_calls_on_a_host_that_failed_twice_are_cut_off(scripts: PoolScripts):
    await scripts.acquire(ask("a"))

    await scripts.report(GPU1, reason="no answer")
    _, once = await scripts.tend(ONE, ["a"])
    await scripts.report(GPU1, reason="no answer")
    _, twice = await scripts.tend(ONE, ["a"])

    assert (once["a"], twice["a"]) == ("held", "cut")


async def test_a_waiter_learns_that_its_hosts_stay_down(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.acquire(ask("a"))
    await scripts.acquire(ask("b"))
    await scripts.report(GPU1, reason="no answer")
    await set_host(redis, keys, GPU1, since_ms=1)

    _, verdicts = await scripts.tend(ONE, [], ["b"])

    assert verdicts["b"] == "unserved"


async def test_a_host_that_no_worker_names_is_removed_once_it_is_free(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.tend(TWO, ())
    await scripts.acquire(ask("a", hosts=TWO[1:]))
    await set_host(redis, keys, GPU2, seen_ms=1)

    await scripts.tend(ONE, ["a"])
    in_use = await cast("Any", redis).hexists(keys.gpu_hosts, GPU2)
    await scripts.release("a")
    await scripts.tend(ONE, ())

    assert in_use
    assert await cast("Any", redis).hkeys(keys.gpu_hosts) == [GPU1.encode()]


async def test_the_worker_that_opened_last_decides_on_the_slots(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.enrol(ONE)
    await scripts.enrol(parse_hosts(f"{GPU1}#chat=3"))

    await scripts.tend(ONE, ())

    assert (await host_record(redis, keys))["chat"] == 3


async def test_no_key_outlives_the_workers_by_more_than_a_minute(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.acquire(ask("a"))
    await scripts.acquire(ask("b"))

    await scripts.tend(ONE, ["a"], ["b"])

    client = cast("Any", redis)
    found = [key async for key in client.scan_iter(match=f"{keys.prefix}gpu:*")]
    assert len(found) == 6
    assert all([0 < await client.pttl(key) <= 60_000 for key in found])
