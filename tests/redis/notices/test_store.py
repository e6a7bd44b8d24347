"""Notices in a real Redis: made once, sent by one worker at a time, never lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.keys import Keys
from tests.support.key_types import assert_refused, typed_keys
from worker.notices import store as store_module
from worker.notices.store import AGE_MS, LEASE_MS, NoticeStore

KINDS = ("scan.regressed", "job.dead")


def store_of(redis: Redis, keys: Keys, *channels: str) -> NoticeStore:
    return NoticeStore(redis, keys, channels=channels or ("mail",), kinds=KINDS)


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> NoticeStore:
    store = store_of(redis, keys)
    await store.take()
    return store


async def add(redis: Redis, keys: Keys, event: str, **fields: Any) -> str:
    line = json.dumps({"v": 1, "event": event, **fields})
    return cast("bytes", await cast("Any", redis).xadd(keys.events, {"event": line})).decode()


async def age(redis: Redis, keys: Keys, *, by_ms: int) -> None:
    """Move what is due into the past, as waiting would."""
    raw = cast("Any", redis)
    for name, score in await raw.zrange(keys.notices_due, 0, -1, withscores=True):
        await raw.zadd(keys.notices_due, {name: score - by_ms})


async def test_events_before_the_first_look_are_no_notices_and_those_after_are(redis: Redis, keys: Keys) -> None:
    store = store_of(redis, keys, "mail", "webhook:1")
    await add(redis, keys, "job.dead", job_id="old")
    assert (await store.take()).made == 0
    first = await add(redis, keys, "job.dead", job_id="a")
    await add(redis, keys, "job.succeeded", job_id="b")
    await add(redis, keys, "job.dead", job_id="c", error={"message": 'of a page: "event": "scan.regressed"'})

    taken = await store.take()
    notices, _ = await store.claim(limit=10)

    assert (taken.read, taken.made) == (3, 2)
    assert {one.channel for one in notices} == {"mail", "webhook:1"}
    assert {(one.notice_id, one.event, one.count) for one in notices} == {(first, "job.dead", 2)}
    assert [event["job_id"] for event in notices[0].events] == ["a", "c"]


async def test_many_workers_take_and_claim_each_event_once(redis: Redis, keys: Keys, store: NoticeStore) -> None:
    workers = [store, *(store_of(redis, keys) for _ in range(9))]
    for number in range(40):
        await add(redis, keys, "job.dead", job_id=str(number))
        if number % 4 == 0:
            await asyncio.gather(*(one.take() for one in workers))
    await store.take()

    claimed = await asyncio.gather(*(one.claim(limit=3) for one in workers))

    notices = [notice for some, _ in claimed for notice in some]
    assert sorted(int(event["job_id"]) for one in notices for event in one.events) == list(range(40))


async def test_a_flood_is_one_notice_that_names_some_and_counts_all(
    redis: Redis, keys: Keys, store: NoticeStore
) -> None:
    for number in range(100):
        await add(redis, keys, "job.dead", job_id=str(number))

    await store.take()
    [notice], _ = await store.claim(limit=10)

    assert (notice.count, len(notice.events)) == (100, store_module.LINES)


async def test_a_killed_workers_notice_is_sent_by_another_and_its_late_word_counts_nothing(
    redis: Redis, keys: Keys, store: NoticeStore
) -> None:
    await add(redis, keys, "job.dead", job_id="a")
    await store.take()
    [first], _ = await store.claim(limit=10)
    other = store_of(redis, keys)
    assert await other.claim(limit=10) == ([], [])

    await age(redis, keys, by_ms=LEASE_MS + 1)
    [second], _ = await other.claim(limit=10)

    assert (first.claim, second.claim) == (1, 2)
    assert await store.settle(first, "later", delay_ms=0) is False
    assert await other.settle(second, "sent")
    assert await other.settle(second, "sent") is False, "a repeat after a lost reply counts nothing"
    assert await cast("Any", redis).hgetall(keys.notices_open) == {}
    assert (await cast("Any", redis).hget(keys.notices, "sent")) == b"1"


async def test_a_postponed_notice_is_due_later_and_an_abandoned_one_is_kept_with_its_reason(
    redis: Redis, keys: Keys, store: NoticeStore
) -> None:
    await add(redis, keys, "job.dead", job_id="a")
    await store.take()
    [notice], _ = await store.claim(limit=10)
    await store.settle(notice, "later", delay_ms=60_000)
    assert await store.claim(limit=10) == ([], [])

    await age(redis, keys, by_ms=60_001)
    [notice], _ = await store.claim(limit=10)
    await store.settle(notice, "failed", why="mail: it is gone")

    state = await store.state()
    assert (state.waiting, state.failed, state.why) == (0, 1, "mail: it is gone")
    assert 0 < await cast("Any", redis).ttl(keys.notices_failed) <= 604_800


async def test_a_notice_of_a_channel_that_no_worker_has_ends_by_its_age(
    redis: Redis, keys: Keys, store: NoticeStore
) -> None:
    seconds, _ = await cast("Any", redis).time()
    old = f"{int(seconds) * 1000 - AGE_MS - 5_000}-0/webhook:gone"
    await cast("Any", redis).zadd(keys.notices_due, {old: 1})
    await cast("Any", redis).hset(keys.notices_open, old, "{}")

    assert await store.claim(limit=10) == ([], [old])
    assert (await store.state()).failed == 1


async def test_with_a_clock_that_was_set_back_notices_are_due_and_events_are_read(
    redis: Redis, keys: Keys, store: NoticeStore
) -> None:
    raw = cast("Any", redis)
    await raw.hset(keys.notices, "cursor", "99999999999999-0")
    await add(redis, keys, "job.dead", job_id="before it is noticed")
    await store.take()
    await add(redis, keys, "job.dead", job_id="a")
    await store.take()
    await raw.zadd(keys.notices_due, dict.fromkeys(await raw.zrange(keys.notices_due, 0, -1), 90000000000000.0))

    [notice], _ = await store.claim(limit=10)

    assert [event["job_id"] for event in notice.events] == ["a"]


async def test_beyond_what_may_wait_new_notices_are_dropped_and_counted(
    redis: Redis, keys: Keys, store: NoticeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_OPEN", 1)
    await add(redis, keys, "job.dead")
    first = await store.take()
    await add(redis, keys, "job.dead")
    second = await store.take()

    assert [(one.made, one.dropped) for one in (first, second)] == [(1, 0), (0, 1)]
    assert await cast("Any", redis).hget(keys.notices, "dropped") == b"1"


async def test_lines_that_are_no_events_are_passed_over(redis: Redis, keys: Keys, store: NoticeStore) -> None:
    raw = cast("Any", redis)
    for line in ("", "no json", '["event"]', '{"event": 5}', '{"event": "job.dead", broken'):
        await raw.xadd(keys.events, {"event": line})
    await raw.xadd(keys.events, {"other": "field"})

    taken = await store.take()
    [notice], _ = await store.claim(limit=10)

    assert taken.read == 6
    assert (notice.count, notice.events) == (1, ())


SCRIPTS = {
    "take": "events:stream about:hash due:zset open:hash",
    "claim": "due:zset open:hash about:hash failed:list",
    "settle": "due:zset open:hash about:hash failed:list",
}
ARGS = {"take": (1, 1, 1, 0), "claim": (1, 1, 1), "settle": ("1-0/mail", 1, "sent", 0, "")}


@pytest.mark.parametrize(("script", "position", "expected"), [one for one in typed_keys(SCRIPTS) if one[2] != "list"])
async def test_a_key_of_another_type_stops_a_script_before_it_writes(
    redis: Redis, keys: Keys, script: str, position: int, expected: str
) -> None:
    await assert_refused(
        redis,
        keys,
        ("worker.notices", script),
        ARGS[script],
        names=SCRIPTS[script],
        position=position,
        expected=expected,
    )


@pytest.mark.parametrize("text", ['{"event": "job.dead", "count": "x", "lines": ["{}"]}', '{"count": null}', "[1]", ""])
async def test_a_malformed_notice_does_not_end_the_loop(
    redis: Redis, keys: Keys, store: NoticeStore, text: str
) -> None:
    name = "1-0/mail"  # not the one of an event of this millisecond
    await redis.execute_command("HSET", keys.notices_open, name, text)
    await redis.execute_command("ZADD", keys.notices_due, 1, name)
    await add(redis, keys, "job.dead", job_id="a")
    await store.take()

    claimed, given_up = await store.claim(limit=10)

    assert len(claimed) + len(given_up) == 2
