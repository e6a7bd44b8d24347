"""gpu_probe.lua and gpu_health.lua, each alone, on a real Redis; and what all scripts of the pool refuse."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producer.keys import Keys
from tests.support.gpu import GPU1, GPU2, ONE, RARELY, TWO, ask, host_record, listening, set_host
from tests.support.ollama_models import OpenPool
from tests.support.signals import Signal
from worker.gpu.health import HostReport
from worker.gpu.hosts import Host
from worker.gpu.scripts import PoolScripts, Timing


async def test_one_worker_of_all_makes_each_check(scripts: PoolScripts, redis: Redis, keys: Keys):
    other = PoolScripts(redis, keys, Timing())
    await scripts.tend(TWO, ())

    mine, theirs = await scripts.take_probes(TWO), await other.take_probes(TWO)

    assert (mine, theirs) == ({GPU1, GPU2}, frozenset())


async def test_a_check_is_due_again_after_its_interval(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.tend(ONE, ())
    await scripts.take_probes(ONE)
    await set_host(redis, keys, GPU1, probe_ms=1)

    assert await scripts.take_probes(ONE) == {GPU1}


async def test_a_check_is_due_when_redis_clock_is_set_back(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.tend(ONE, ())
    await scripts.take_probes(ONE)
    record = await host_record(redis, keys)
    await set_host(redis, keys, GPU1, probe_ms=record["probe_ms"] + 3_600_000)

    first, second = await scripts.take_probes(ONE), await scripts.take_probes(ONE)

    assert (first, second) == ({GPU1}, frozenset())


async def test_a_check_asked_for_early_is_made_unless_one_was_made_just_now(scripts: PoolScripts):
    await scripts.tend(ONE, ())
    await scripts.take_probes(ONE)

    at_once = await scripts.take_probes(ONE, early_s=60)
    later = await scripts.take_probes(ONE, early_s=0)

    assert (at_once, later) == (frozenset(), {GPU1})


async def test_a_worker_looks_for_due_checks_at_its_interval(open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch):
    looks, every_s = Signal("a look for due checks"), 0.1
    monkeypatch.setattr(PoolScripts, "take_probes", looks.after(PoolScripts.take_probes))
    await open_pool("w1", probe=healthy, timing=replace(RARELY, probe_down_s=every_s))

    await looks.times(1)
    began = time.monotonic()
    await looks.times(5)

    assert time.monotonic() - began >= 4 * every_s


async def healthy(_: Host) -> HostReport:
    return HostReport()


async def test_a_host_that_is_down_gets_no_calls_until_it_is_back(scripts: PoolScripts, redis: Redis, keys: Keys):
    async with listening(redis, keys) as ear:
        await scripts.tend(ONE, ())
        down = await scripts.report(GPU1, reason="no answer")
        answer = await scripts.acquire(ask("a"))

        up = await scripts.report(GPU1, reason="")

        assert (down, up) == ((True, 1), (True, 0))
        assert answer.verdict == "waiting"
        assert await ear.next() == "a"


async def test_a_second_failure_changes_no_state_but_is_counted(scripts: PoolScripts, redis: Redis, keys: Keys):
    await scripts.tend(ONE, ())
    await scripts.report(GPU1, reason="no answer")
    first = await host_record(redis, keys)

    again = await scripts.report(GPU1, reason="still none")

    record = await host_record(redis, keys)
    assert again == (False, 2)
    assert (record["since_ms"], record["reason"]) == (first["since_ms"], "still none")


async def test_a_report_on_an_unknown_host_is_dropped(scripts: PoolScripts, redis: Redis, keys: Keys):
    assert await scripts.report("http://nowhere:1", reason="") == (False, -1)
    assert not await cast("Any", redis).exists(keys.gpu_hosts)


@pytest.mark.parametrize("place", range(9))
async def test_a_key_of_the_wrong_type_stops_a_script_before_it_writes(
    scripts: PoolScripts, redis: Redis, keys: Keys, place: int
):
    client = cast("Any", redis)
    await client.set(keys.gpu_pool[place], "somebody's")

    for call in (
        scripts.acquire(ask("a")),
        scripts.release("a"),
        scripts.tend(ONE, ["a"]),
        scripts.report(GPU1, reason=""),
    ):
        with pytest.raises(ResponseError, match="WRONGKEY"):
            await call

    assert [key async for key in client.scan_iter(match=f"{keys.prefix}*")] == [keys.gpu_pool[place].encode()]


async def test_a_check_meets_keys_of_the_wrong_type_in_words(scripts: PoolScripts, redis: Redis, keys: Keys):
    for key in (keys.gpu_calls, keys.gpu_hosts):
        await cast("Any", redis).set(key, "somebody's")

    for call in (scripts.check(ask("a")), scripts.take_probes(ONE)):
        with pytest.raises(ResponseError, match="WRONGKEY"):
            await call
