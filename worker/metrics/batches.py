"""Outcomes of batches and schedules, read from Redis: pages by outcome, and schedules that did not run.

A schedule's newest batch is shown as long as it is kept, others while they run and for ``ENDED_SHOWN_MS``: a few
series, however many batches there are. Next: ``shared.py``, which serves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from prometheus_client.core import Metric
from redis.asyncio import Redis

from producer.client.queue_info import BatchInfo
from producer.errors import InvalidJob
from producer.keys import Keys
from producer.stored.due_times import next_time, zone_of
from producer.stored.schedules import FIRED, Schedule, read_schedules

BATCHES_SHOWN: Final = 50
ENDED_SHOWN_MS: Final = 6 * 3_600_000
"""Time for which an alert on a batch lasts after its end: someone looks within a night's shift."""

_DUE: Final = re.compile(r"\d{8}T\d{4}")


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """The batches shown, each with its schedule, ``''`` for none; by schedule, its delay in s."""

    batches: tuple[tuple[BatchInfo, str], ...]
    late_s: Mapping[str, float]


async def read_batches(redis: Redis, keys: Keys) -> BatchFacts:
    """Read the facts in four round trips. Raises redis-py's errors."""
    call = cast("Any", redis)
    schedules = {name: one for name, one in (await read_schedules(redis, keys)).items() if one is not None}
    async with call.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.zrange(keys.batches, -BATCHES_SHOWN, -1)
        pipe.hmget(keys.schedules, [name + FIRED for name in schedules] or [FIRED])
        (seconds, micros), recent, fired = await pipe.execute()
    now = datetime.fromtimestamp(seconds + micros / 1_000_000, tz=UTC)
    times = zip(schedules, fired, strict=False)
    fired_ms = {name: int(value) if value and value.isdigit() else 0 for name, value in times}
    newest = {
        schedules[name].batch_id(datetime.fromtimestamp(at_ms / 1000, tz=UTC)): name for name, at_ms in fired_ms.items()
    }
    others = (name for name in (raw.decode("utf-8", "replace") for raw in recent) if not _is_run_of(name, schedules))
    names = list(dict.fromkeys([*newest, *others]))
    async with call.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(keys.batch(name))
        found = await pipe.execute() if names else []
    batches = (BatchInfo.of(name, fields) for name, fields in zip(names, found, strict=True) if fields)
    least_ms = now.timestamp() * 1000 - ENDED_SHOWN_MS
    return BatchFacts(
        tuple(
            (batch, newest.get(batch.batch_id, ""))
            for batch in batches
            if batch.batch_id in newest or (batch.pages.total and (batch.finished_ms or least_ms) >= least_ms)
        ),
        {name: late_s(schedule, fired_ms[name], now) for name, schedule in schedules.items()},
    )


def _is_run_of(batch: str, schedules: Container[str]) -> bool:
    name, _, due = batch.rpartition("-")
    return name in schedules and bool(_DUE.fullmatch(due))


def late_s(schedule: Schedule, fired_ms: int, now: datetime) -> float:
    """Return the time in s since the schedule should have run again, 0 if it did. Pure."""
    try:
        due = next_time(schedule.cron, datetime.fromtimestamp(fired_ms / 1000, tz=zone_of(schedule.time_zone)))
    except (InvalidJob, StopIteration):  # the doctor reports an unreadable line
        return 0.0
    return max(0.0, (now - due).total_seconds())


def batch_families(gauge: Callable[..., Metric], facts: BatchFacts) -> Iterator[Metric]:
    """Yield the metrics of ``facts``. Pure."""
    pages = {
        (batch.batch_id, schedule, status): float(number)
        for batch, schedule in facts.batches
        for status, number in (
            ("scanned", batch.pages.scanned),
            ("partial", batch.pages.partial),
            ("unreachable", batch.pages.unreachable),
            ("blocked", batch.pages.blocked),
            ("dead", batch.dead),
        )
    }
    ended = {(batch.batch_id, schedule): float(bool(batch.finished_ms)) for batch, schedule in facts.batches}
    late = {(name,): seconds for name, seconds in facts.late_s.items()}
    yield gauge("batch_pages", "Pages of a batch by outcome", pages, "batch", "schedule", "status")
    yield gauge("batch_ended", "Whether a batch has ended", ended, "batch", "schedule")
    yield gauge("schedule_late_seconds", "Time since a schedule should have run; 0 if it did", late, "schedule")
