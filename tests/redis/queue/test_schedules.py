"""Schedules fire exactly once each time, whichever workers check or die."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self, cast

import pytest
from redis.asyncio import Redis

from producer.client.client import Client
from producer.errors import InvalidJob, UnknownJob
from producer.keys import Keys
from producer.stored.due_times import latest_time
from producer.stored.schedules import Schedule, Schedules, read_schedules
from tests.support.queue import events_of
from worker.doctor.line import Level
from worker.doctor.schedule_health import schedule_lines

NOW = datetime(2026, 5, 4, 12, 30, 20, tzinfo=UTC)  # a Monday
NIGHTLY = Schedule("nightly", "0 3 * * *", "scan", ({"url": "https://example.org/1"}, {"url": "https://example.org/2"}))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("* * * * *", datetime(2026, 5, 4, 12, 30, tzinfo=UTC)),
        ("0 3 * * *", datetime(2026, 5, 4, 3, 0, tzinfo=UTC)),
        ("45 12 * * *", datetime(2026, 5, 3, 12, 45, tzinfo=UTC)),
        ("*/20 9-17 * * 1-5", datetime(2026, 5, 4, 12, 20, tzinfo=UTC)),
        ("0 0 * * 0", datetime(2026, 5, 3, 0, 0, tzinfo=UTC)),
        ("0 0 * * 7", datetime(2026, 5, 3, 0, 0, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2024, 2, 29, 0, 0, tzinfo=UTC)),
        ("0 0 1 * 6", datetime(2026, 5, 2, 0, 0, tzinfo=UTC)),
        ("0 0 */2 * 1", datetime(2026, 4, 27, 0, 0, tzinfo=UTC)),
        ("0 0 1 jan,feb *", datetime(2026, 2, 1, 0, 0, tzinfo=UTC)),
        ("30 8 * * MON-FRI", datetime(2026, 5, 4, 8, 30, tzinfo=UTC)),
        ("0 0 L * *", datetime(2026, 4, 30, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_latest_time_a_cron_line_names(line: str, expected: datetime):
    assert latest_time(line, NOW) == expected


@pytest.mark.parametrize(
    "line",
    [
        *("", "* * * *", "0 * * * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "a * * * *"),
        *("0 0 31 2 *", "1,, * * * *", "\u0663 * * * *", f"{'9' * 5_000} * * * *"),
    ],
)
def test_a_cron_line_that_makes_no_sense_is_refused(line: str):
    with pytest.raises(InvalidJob, match=r"cron line .* expected five fields"):
        latest_time(line, NOW)


async def test_a_schedule_fires_once_when_its_time_has_come(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)

    early = await schedules.fire_due(now=NOW + timedelta(hours=1))
    due = await schedules.fire_due(now=NOW + timedelta(hours=15))
    again = await schedules.fire_due(now=NOW + timedelta(hours=16))

    info = await client.batch("nightly-20260505T0300")
    assert (early, due, again) == ([], ["nightly-20260505T0300"], [])
    assert (info.total, info.sealed) == (2, True)
    assert await redis.xlen(keys.lane("batch")) == 2


async def test_redis_clock_decides_though_this_machines_is_an_hour_ahead(
    client: Client, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    monkeypatch.setattr("producer.stored.schedules.datetime", Ahead)
    soon = datetime.now(UTC) + timedelta(minutes=30)
    schedules = Schedules(client)
    later = Schedule("later", f"{soon:%M %H} * * *", "scan", NIGHTLY.payloads)
    await schedules.add(later, now=soon - timedelta(hours=1))

    assert await schedules.fire_due() == []
    assert await redis.xlen(keys.lane("batch")) == 0


async def test_several_workers_that_look_at_once_submit_each_job_once(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)
    later = NOW + timedelta(hours=15)

    await asyncio.gather(*(schedules.fire_due(now=later) for _ in range(5)))

    assert await redis.xlen(keys.lane("batch")) == 2
    assert (await client.batch("nightly-20260505T0300")).total == 2


async def test_a_worker_that_died_half_way_is_completed_by_the_next(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)
    due = datetime(2026, 5, 5, 3, 0, tzinfo=UTC)
    await client.submit("scan", NIGHTLY.payloads[0], job_id=NIGHTLY.job_id(due, 0), batch=NIGHTLY.batch_id(due))

    await schedules.fire_due(now=due + timedelta(minutes=1))

    assert await redis.xlen(keys.lane("batch")) == 2
    assert (await client.batch(NIGHTLY.batch_id(due))).sealed


async def test_a_batch_that_another_worker_has_closed_counts_as_fired(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)
    due = datetime(2026, 5, 5, 3, 0, tzinfo=UTC)
    await client.submit("scan", NIGHTLY.payloads[0], job_id=NIGHTLY.job_id(due, 0), batch=NIGHTLY.batch_id(due))
    await client.seal_batch(NIGHTLY.batch_id(due))

    fired = [await schedules.fire_due(now=due + timedelta(minutes=1)) for _ in range(2)]

    assert fired == [[NIGHTLY.batch_id(due)], []]
    assert await redis.xlen(keys.lane("batch")) == 1


async def test_missed_times_fire_once_not_once_for_every_miss(client: Client):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)

    fired = await schedules.fire_due(now=NOW + timedelta(days=10))

    assert fired == ["nightly-20260514T0300"]


async def test_a_removed_schedule_is_gone_and_removing_it_again_is_an_error(client: Client):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)

    await schedules.remove("nightly")

    assert await schedules.all() == []
    with pytest.raises(UnknownJob, match="nightly"):
        await schedules.remove("nightly")


@pytest.mark.parametrize("name", ["", "a:b", "ü", "x" * 65])
async def test_a_name_that_cannot_be_part_of_an_id_is_refused(client: Client, name: str):
    with pytest.raises(InvalidJob, match="schedule name"):
        await Schedules(client).add(Schedule(name, "* * * * *", "scan", ({"url": "https://example.org/"},)), now=NOW)


async def test_an_ended_batch_is_announced_for_a_schedule_too(client: Client, redis: Redis, keys: Keys):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)
    await schedules.fire_due(now=NOW + timedelta(hours=15))

    for number in range(2):
        await client.cancel(f"nightly-20260505T0300.{number}")

    assert json.loads((await events_of(redis, keys))[-1])["event"] == "batch.finished"


@pytest.mark.parametrize(
    "written",
    [
        "not json",
        "[]",
        '{"name": "abc", "cron": "* * * * *"}',
        "\\xff",
        '{"name": "other"}',
        '{"name": "abc", "cron": "* * * * *", "kind": "find_pages", "payloads": ["https://example.org/"]}',
        '{"name": "abc", "cron": "* * * * *", "kind": "find_pages", "payloads": []}',
    ],
)
async def test_a_schedule_that_cannot_be_read_keeps_no_other_from_firing(
    client: Client, redis: Redis, keys: Keys, written: str
):
    schedules = Schedules(client)
    await schedules.add(NIGHTLY, now=NOW)
    await cast("Any", redis).hset(keys.schedules, "abc", written)

    with pytest.raises(InvalidJob, match=r"'abc'.*cannot be read.*schedule add"):
        await schedules.fire_due(now=NOW + timedelta(hours=15))

    assert await redis.xlen(keys.lane("batch")) == 2
    assert [schedule.name for schedule in await schedules.all()] == ["nightly"]


async def test_a_schedule_of_an_earlier_release_with_a_password_is_not_fired_and_the_password_goes(
    client: Client, redis: Redis, keys: Keys
):
    pages = ({"url": "https://ann:t0ken@example.org/1", "group": "shop"}, {"url": "https://example.org/2"}, "no page")
    kept = json.dumps(asdict(replace(NIGHTLY, payloads=cast("Any", pages))))
    await cast("Any", redis).hset(keys.schedules, "nightly", kept)
    schedules = Schedules(client)

    for _ in range(2):
        with pytest.raises(InvalidJob, match=r"schedule 'nightly': '.*/1' has a name and password"):
            await schedules.fire_due(now=NOW)

    (left,) = await schedules.all()
    assert left.payloads == ({"url": "https://\u2026@example.org/1", "group": "shop"}, *pages[1:])
    assert b"t0ken" not in await cast("Any", redis).hget(keys.schedules, "nightly")
    assert await events_of(redis, keys) == []
    (line,) = schedule_lines(await read_schedules(redis, keys))
    assert line.level is Level.WARNING
    assert "'nightly' is not run: 'https://example.org/1' has a name and password" in line.text
    assert "sightline scan --header-file" in line.todo
