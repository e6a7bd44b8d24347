"""The options of cron lines and of a worker's own connections, on arq's worker and on Sightline's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings
from arq.connections import create_pool as arq_create_pool
from arq.cron import cron
from arq.jobs import JobStatus
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.arq_flavours import Flavour, burst, enqueued, program
from worker.queue.arq_pool import create_pool

NEW_YEAR = datetime(2130, 1, 1, tzinfo=UTC)  # a Sunday
TIMES: dict[str, tuple[Any, datetime]] = {
    "month": (3, datetime(2130, 3, 1, tzinfo=UTC)),
    "day": (5, datetime(2130, 1, 5, tzinfo=UTC)),
    "weekday": ("fri", datetime(2130, 1, 6, tzinfo=UTC)),
    "hour": (7, datetime(2130, 1, 1, 7, tzinfo=UTC)),
    "minute": (9, datetime(2130, 1, 1, 0, 9, tzinfo=UTC)),
    "second": (30, datetime(2130, 1, 1, 0, 0, 30, tzinfo=UTC)),
    "microsecond": (500_000, datetime(2130, 1, 1, 0, 1, 0, 500_000, tzinfo=UTC)),
}
Ctx = dict[str, Any]


async def works(ctx: Ctx) -> int:
    return int(ctx["job_try"])


async def waits(ctx: Ctx) -> None:
    ctx["notes"].append("waits")
    await asyncio.Event().wait()


async def of_its_pool(ctx: Ctx) -> list[Any]:
    return [ctx["redis"].expires_extra_ms, ctx["redis"].default_queue_name]


async def test_a_cron_line_is_queued_for_its_time(flavour: Flavour, pool: ArqRedis):
    given: dict[str, dict[str, Any]] = {name: {"microsecond": 0, name: value} for name, (value, _) in TIMES.items()}
    lines = [cron(works, name=name, **options) for name, options in given.items()]
    worker: Any = program(flavour, pool, cron_jobs=lines, timezone=UTC).worker

    await worker.run_cron(NEW_YEAR, 0.5)  # the first time, each line finds out when it is due
    for _, when in TIMES.values():
        await worker.run_cron(when, 0.0001)

    first: dict[str, int | None] = {}
    for job in await pool.queued_jobs():
        first.setdefault(job.function, job.score)
    assert first == {option: int(when.timestamp() * 1000) for option, (_, when) in TIMES.items()}


async def test_a_cron_line_has_a_functions_options(flavour: Flavour, pool: ArqRedis):
    def at_start(function: Callable[..., Any], name: str, **options: Any) -> Any:
        return cron(function, name=name, job_id=f"{name}:id", hour=3, run_at_startup=True, **options)

    lines = [
        at_start(waits, "slow", timeout=0.05),
        at_start(works, "tried", max_tries=2),
        at_start(works, "kept", keep_result=60),
        at_start(works, "forever", keep_result_forever=True),
        at_start(works, "gone", keep_result=0),
    ]
    await enqueued(pool, "tried", _job_id="tried:id", _job_try=3)
    done = await burst(flavour, cron_jobs=lines)

    kept = {
        name: [key for key in await pool.keys("*result:*") if name in key.decode()]
        for name in ("kept", "forever", "gone")
    }
    assert (done.worker.jobs_complete, done.worker.jobs_failed) == (3, 2)
    assert 0 < await pool.ttl(kept["kept"][0]) <= 60
    assert await pool.ttl(kept["forever"][0]) == -1
    assert await flavour.job("kept:id", pool).status() is JobStatus.complete
    assert not kept["gone"]


async def test_a_workers_own_pool_has_its_options(flavour: Flavour, pool: ArqRedis):
    pool.default_queue_name = "test:own"
    job = await enqueued(pool, "of_its_pool")
    settings = RedisSettings.from_dsn(flavour.url)
    options: dict[str, Any] = {"redis_settings": settings, "queue_name": "test:own", "expires_extra_ms": 5}
    made = program(flavour, None, functions=[of_its_pool], burst=True, **options)
    await made.worker.async_run()
    await made.worker.close()

    assert await job.result(timeout=60) == [5, "test:own"]


@pytest.mark.parametrize("create", [arq_create_pool, create_pool])
async def test_a_pool_counts_the_tries_to_connect(create: Callable[..., Any]):
    settings = RedisSettings(host="127.0.0.1", port=1, conn_retries=3, conn_retry_delay=600)

    with pytest.raises((RedisConnectionError, OSError)):
        await create(settings, retry=3)


@pytest.mark.parametrize(
    ("options", "expected_s"),
    [({"keep_result": 60}, 60), ({"keep_result": 0}, None), ({"keep_result_forever": True}, -1)],
)
async def test_a_worker_says_how_long_results_are_kept(
    flavour: Flavour, pool: ArqRedis, options: dict[str, Any], expected_s: int | None
):
    await enqueued(pool, "works", _job_id="kept")
    await burst(flavour, works, **options)

    ttls = [await pool.ttl(key) for key in await pool.keys("*result:kept")]
    assert ttls == ([] if expected_s is None else [pytest.approx(expected_s, abs=10)])
