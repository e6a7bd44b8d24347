"""A host's slots are shared by all workers, spaced in time, and freed automatically."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from producer.contract import ScanRequest, TriedFix
from producer.errors import HostBusy
from producer.keys import Keys
from producer.redis.scripts import run_script
from tests.support.queue import DEADLINE_S, until
from tests.support.scans import scan_result
from worker.limits.host_gate import ENTER, HostGate, PoliteEngine
from worker.queue.outcome import Retried, decide
from worker.scan.settings import Audit

HOST = "shop.example"


def gates(redis: Redis, keys: Keys, count: int = 2, *, slots: int = 2, gap_ms: int = 0) -> list[HostGate]:
    """One gate for each of ``count`` workers."""
    return [HostGate(redis, keys, slots=slots, gap_ms=gap_ms) for _ in range(count)]


class WatchedGate(HostGate):
    """Keeps what Redis said."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.answers: list[tuple[float, float]] = []

    async def _ask(self, *args: Any, **options: Any) -> tuple[float, float]:
        self.answers.append(await super()._ask(*args, **options))
        return self.answers[-1]


async def enter(
    redis: Redis, keys: Keys, token: str, *, slots: int = 9, gap_ms: int = 0, hold_ms: int = 60_000, left_ms: int = 0
) -> list[int]:
    """Ask as a gate does, for a scan that can wait for ``left_ms``."""
    named = (keys.host_slots(HOST), keys.host_began(HOST), keys.host_away(HOST), keys.host_closed(HOST))
    names = (f"host:{HOST}", f"site:{HOST}", f"limits:{HOST}", 0)
    args = (token, slots, gap_ms, hold_ms, left_ms, 30_000, 3_600_000, *names)
    return await run_script(redis, ENTER, (*named, keys.controls), args)


async def send_away(redis: Redis, keys: Keys, count: int, *, gap_ms: int) -> list[int]:
    """Let this number of scans be refused; return the times, in ms, over which they spread their return."""
    return [(await enter(redis, keys, f"scan {n}", gap_ms=gap_ms))[1] for n in range(count)]


async def plant_away(redis: Redis, keys: Keys, count: int) -> None:
    """Let this number of scans be due an hour from now."""
    due_ms = int((await redis.time())[0]) * 1000 + 3_600_000
    await redis.zadd(keys.host_away(HOST), {f"planted {n}": due_ms for n in range(count)})


async def test_two_workers_keep_the_hosts_limit_together(redis: Redis, keys: Keys):
    inside, most = 0, 0

    async def scan(gate: HostGate) -> None:
        nonlocal inside, most
        async with gate.slot(HOST):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    first, second = gates(redis, keys)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(scan(gate) for gate in (first, second) * 3))

    assert most == 2
    assert await redis.zcard(keys.host_slots(HOST)) == 0


async def test_hosts_do_not_wait_for_each_other(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, slots=1)

    async with asyncio.timeout(DEADLINE_S), gate.slot(HOST), gate.slot("other.example"):
        held = [await redis.zcard(keys.host_slots(host)) for host in (HOST, "other.example")]

    assert held == [1, 1]


async def test_starts_of_scans_are_kept_apart(redis: Redis, keys: Keys):
    first, second = gates(redis, keys, slots=10, gap_ms=300)
    all_in = asyncio.Barrier(3)

    async def scan(gate: HostGate) -> list[float]:
        async with gate.slot(HOST):
            await all_in.wait()
            held = [until_ms for _, until_ms in await redis.zrange(keys.host_slots(HOST), 0, -1, withscores=True)]
            await all_in.wait()
        return held

    async with asyncio.timeout(DEADLINE_S):
        held, *_ = await asyncio.gather(scan(first), scan(second), scan(first))

    assert held[1] - held[0] >= 300
    assert held[2] - held[1] >= 300


async def test_a_killed_workers_slot_comes_free_when_its_time_is_up(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, slots=1)
    await redis.zadd(keys.host_slots(HOST), {"a dead worker's": 1})

    async with asyncio.timeout(DEADLINE_S), gate.slot(HOST):
        held = await redis.zrange(keys.host_slots(HOST), 0, -1)

    assert b"a dead worker's" not in held


async def test_a_killed_workers_slot_comes_free_although_redis_clock_was_set_back(redis: Redis, keys: Keys):
    await enter(redis, keys, "dead", hold_ms=30_000)
    ((token, ends),) = await redis.zrange(keys.host_slots(HOST), 0, -1, withscores=True)
    await redis.zadd(keys.host_slots(HOST), {token: ends + 3_600_000})

    await enter(redis, keys, "next", slots=1, hold_ms=30_000)

    assert abs(await redis.zscore(keys.host_slots(HOST), "dead") - ends) < 10_000


async def test_a_slot_is_released_whatever_ends_the_scan(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)
    entered = asyncio.Event()

    async def scan() -> None:
        async with gate.slot(HOST):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(scan())
    await asyncio.wait_for(entered.wait(), DEADLINE_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await redis.zcard(keys.host_slots(HOST)) == 0


async def test_asking_again_after_a_lost_reply_takes_one_slot(redis: Redis, keys: Keys):
    answers = [await enter(redis, keys, "token", slots=1, gap_ms=1000) for _ in range(2)]
    other, _ = await enter(redis, keys, "other", slots=1)

    assert answers == [[0, 0], [0, 0]]
    assert other > 0


async def test_what_a_host_leaves_in_redis_expires(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)

    async with gate.slot(HOST):
        ttls = [await redis.pttl(key) for key in (keys.host_slots(HOST), keys.host_began(HOST))]

    assert all(0 < ttl <= 30_000 for ttl in ttls)


async def test_a_short_hold_does_not_end_anothers_longer_one(redis: Redis, keys: Keys):
    await enter(redis, keys, "long", hold_ms=60_000)
    await enter(redis, keys, "short", hold_ms=1_000)

    assert await redis.pttl(keys.host_slots(HOST)) > 30_000


async def test_a_scan_that_takes_longer_than_its_hold_keeps_its_slot(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=0.6)
    other = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=0.6, patience_s=1.0)

    async with gate.slot(HOST):
        with pytest.raises(HostBusy):
            async with other.slot(HOST):
                pass

    async with asyncio.timeout(DEADLINE_S), other.slot(HOST):
        pass


async def test_a_scan_that_cannot_begin_for_long_is_requeued(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)
    async with gate.slot(HOST):
        pass

    with pytest.raises(HostBusy, match=HOST) as busy:
        async with gate.slot(HOST, gap_ms=60_000):
            pass
    outcome = decide(busy.value, attempt=3, tries=3, random=lambda: 0.5)

    assert isinstance(outcome, Retried)
    assert outcome.attempt_returned
    assert 30 < outcome.delay_s < 95


async def test_the_gap_a_site_asks_for_counts_where_it_is_the_larger_one(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1, slots=10, gap_ms=1)
    began: list[int] = []

    for _ in range(2):
        async with gate.slot(HOST, gap_ms=300):
            began.append(int(await redis.get(keys.host_began(HOST)) or 0))

    assert began[1] - began[0] >= 300


async def test_the_more_scans_wait_for_a_host_the_later_each_returns(redis: Redis, keys: Keys):
    await enter(redis, keys, "the one that runs", gap_ms=60_000)

    first = await send_away(redis, keys, 5, gap_ms=60_000)
    await plant_away(redis, keys, 95)
    [later] = await send_away(redis, keys, 1, gap_ms=60_000)
    await plant_away(redis, keys, 400)
    [last] = await send_away(redis, keys, 1, gap_ms=60_000)

    assert first == [30_000, 30_000, 30_000, 60_000 * 3 / 4, 60_000 * 4 / 4]
    assert later == 60_000 * 100 / 4
    assert last == 3_600_000
    assert 3_600_000 < await redis.pttl(keys.host_away(HOST)) <= 3_660_000


async def test_scans_that_did_not_return_in_time_delay_no_other(redis: Redis, keys: Keys):
    await enter(redis, keys, "the one that runs", gap_ms=60_000)
    await redis.zadd(keys.host_away(HOST), {f"cancelled {n}": 1 for n in range(400)})

    spreads = await send_away(redis, keys, 1, gap_ms=60_000)

    assert spreads == [30_000]


async def test_a_scan_that_can_wait_in_its_worker_is_not_sent_away(redis: Redis, keys: Keys):
    await enter(redis, keys, "the one that runs", gap_ms=20_000)

    wait_ms, spread_ms = await enter(redis, keys, "the next", gap_ms=20_000, left_ms=30_000)

    assert 0 < wait_ms <= 20_000
    assert spread_ms == 0
    assert await redis.zcard(keys.host_away(HOST)) == 0


async def test_a_scan_that_runs_without_its_slot_is_not_counted_as_away(redis: Redis, keys: Keys):
    gate = WatchedGate(redis, keys, slots=1, gap_ms=0, hold_s=0.15)
    async with gate.slot(HOST):
        await redis.delete(keys.host_slots(HOST))
        await enter(redis, keys, "another's", slots=1)
        await until(lambda: len([wait_s for wait_s, _ in gate.answers if wait_s]) > 1, what="renewals in vain")

        assert await redis.zcard(keys.host_away(HOST)) == 0
        assert await redis.zrange(keys.host_slots(HOST), 0, -1) == [b"another's"]


async def test_a_scan_that_lost_its_slot_has_one_again_when_there_is_one(redis: Redis, keys: Keys):
    gate = HostGate(redis, keys, slots=1, gap_ms=0, hold_s=0.15)
    async with gate.slot(HOST):
        await redis.delete(keys.host_slots(HOST))

        async def is_back() -> bool:
            return await redis.zcard(keys.host_slots(HOST)) == 1

        await until(is_back, what="a slot for the scan that runs")


class Asked:
    """An engine whose server asks scanners to wait for as long as the next of ``waits_s`` says; None is a page."""

    def __init__(self, *waits_s: float | None) -> None:
        self.waits_s = list(waits_s)

    async def audit(self, request: ScanRequest, **_: Any) -> Audit:
        wait_s = self.waits_s.pop(0)
        status = "scanned" if wait_s is None else "unreachable"
        return Audit(scan_result(url=str(request.url), status=status), come_again_s=wait_s)

    async def try_fixes(self, *_: Any, **__: Any) -> tuple[TriedFix, ...]:
        raise AssertionError


PAGE = ScanRequest(url=f"https://{HOST}/cart")


async def test_a_host_that_sends_retry_after_is_closed_to_all_workers_and_uses_no_attempt(redis: Redis, keys: Keys):
    first, second = gates(redis, keys)

    with pytest.raises(HostBusy, match=f"host '{HOST}' asks clients to wait for 120 s") as busy:
        await PoliteEngine(Asked(120), first).audit(PAGE)
    outcome = decide(busy.value, attempt=3, tries=3, random=lambda: 0.5)
    with pytest.raises(HostBusy) as other:
        await PoliteEngine(Asked(), second).audit(ScanRequest(url=f"https://{HOST}/other"))

    assert isinstance(outcome, Retried)
    assert outcome.attempt_returned
    assert 110 < outcome.delay_s <= 122
    assert other.value.delay_s > 110
    assert await redis.zcard(keys.host_slots(HOST)) == 0
    async with asyncio.timeout(DEADLINE_S):
        elsewhere = await PoliteEngine(Asked(None), first).audit(ScanRequest(url="https://other.example/"))
    assert elsewhere.result.status == "scanned"


async def test_a_host_is_open_again_when_its_time_is_up(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)
    engine = PoliteEngine(Asked(0.0, None), gate)

    with pytest.raises(HostBusy):
        await engine.audit(PAGE)
    async with asyncio.timeout(DEADLINE_S):  # one second is the least
        audit = await engine.audit(PAGE)

    assert audit.result.status == "scanned"


@pytest.mark.parametrize("waits_s", [(3_600.0,), (250.0,) * 3, (1.0,) * 21], ids=["one", "three", "many"])
async def test_a_page_is_waited_for_ten_minutes_in_all(redis: Redis, keys: Keys, waits_s: tuple[float, ...]):
    (gate,) = gates(redis, keys, 1)
    engine = PoliteEngine(Asked(*waits_s), gate)

    for _ in waits_s[1:]:
        with pytest.raises(HostBusy):
            await engine.audit(PAGE)
        await redis.delete(keys.host_closed(HOST))  # its time is up
    audit = await engine.audit(PAGE)

    assert audit.result.status == "unreachable"
    assert audit.result.reason.endswith("the total wait for a page is limited to 600 s")
    assert not await redis.exists(keys.host_closed(HOST)), "another page may be given at once"


async def test_a_shorter_wait_opens_no_host_sooner(redis: Redis, keys: Keys):
    (gate,) = gates(redis, keys, 1)

    for wait_s in (300, 20):
        with pytest.raises(HostBusy) as busy:
            await gate.close(HOST, page="/cart", wait_s=wait_s)

    assert busy.value.delay_s > 290
    assert 290_000 < await redis.pttl(keys.host_closed(HOST)) <= 300_000


async def test_scans_of_a_large_site_with_a_long_crawl_delay_come_again_within_the_hour_not_all_the_time(
    redis: Redis, keys: Keys
):
    gate = HostGate(redis, keys, slots=4, gap_ms=0, random=lambda: 1.0)
    async with gate.slot(HOST):
        pass
    await plant_away(redis, keys, 400)

    with pytest.raises(HostBusy) as busy:
        async with gate.slot(HOST, gap_ms=60_000):
            pass

    assert 3_600 < busy.value.delay_s <= 3_660
