"""The metrics of a real worker, over HTTP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from tests.support.metrics import Samples, scraped, total
from tests.support.queue import until
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite
from worker.own_redis.server import free_port

WAIT_S = 60


async def test_jobs_scans_and_questions_are_counted_whatever_the_log_level_is(
    client: Client, start_worker: StartScanWorker, site: SmallSite, keys: Keys
):
    port = free_port()
    start_worker(METRICS_PORT=str(port), LOG_LEVEL="error")
    pages = [await client.submit("scan", {"url": f"{site.url}{path}"}) for path in ("/guilty", "/guilty", "/gone")]
    for job in pages:
        await client.wait(job.job_id, timeout_s=WAIT_S)
    question = await client.submit("query", {"question": "Which page has the worst barriers?"})
    await client.wait(question.job_id, timeout_s=WAIT_S)

    async def counted() -> bool:
        return total(await scraped(port), "sightline_deliveries_total", outcome="succeeded") == 4

    await until(counted, what="four jobs counted")

    seen = await scraped(port)
    assert total(seen, "sightline_scans_total", status="scanned") == 2
    assert total(seen, "sightline_scans_total", status="unreachable") == 1
    assert total(seen, "sightline_queries_total", cached="no") == 1
    assert total(seen, "sightline_job_pickup_seconds_count", lane="batch") == 3
    assert 0 < total(seen, "sightline_job_run_seconds_sum", kind="scan") < 60
    assert total(seen, "sightline_worker_info", environment=keys.environment) == 1
    assert total(seen, "sightline_browser_memory_bytes") > 50 << 20
    assert total(seen, "sightline_redis_up") == 1
    assert total(seen, "process_resident_memory_bytes") > 30 << 20


async def test_waiting_jobs_are_measured_with_their_age_and_an_unknown_kind_makes_no_label(
    client: Client, start_worker: StartScanWorker, site: SmallSite, redis: Redis, keys: Keys
):
    port = free_port()
    start_worker(METRICS_PORT=str(port), MAX_JOBS="2", KIND_WAIT_S="0")
    site.gate.clear()
    await redis.xadd(keys.lane("batch"), {"kind": 'strange"} 1', "payload": "{}"}, id="1-1")
    for _ in range(3):
        await client.submit("scan", {"url": f"{site.url}/guilty"})

    async def all_seen() -> bool:
        seen = await scraped(port)
        return _waits(seen) == (2, 1) and total(seen, "sightline_dead_letters") == 1

    await until(all_seen, what="one scan running, two waiting, one dead letter")

    seen = await scraped(port)
    assert 0 <= total(seen, "sightline_queue_oldest_seconds", lane="batch") < 60
    assert total(seen, "sightline_deliveries_total", kind="other", outcome="dead") == 1
    assert total(seen, "sightline_worker_running") == 1


async def test_a_record_that_cannot_be_read_makes_neither_the_worker_nor_redis_look_dead(
    start_worker: StartScanWorker, redis: Redis, keys: Keys
):
    port = free_port()
    start_worker(METRICS_PORT=str(port))
    await redis.zadd(keys.batches, {"by-hand": int(time.time() * 1000)})
    await cast("Any", redis).hset(keys.batch("by-hand"), "total", "many")

    async def noted() -> bool:
        return total(await scraped(port), "sightline_events_total", event="background.failed") > 0

    await until(noted, what="the error as an event")

    seen = await scraped(port)
    assert (total(seen, "sightline_worker_info"), total(seen, "sightline_redis_up")) == (1, 1)
    assert total(seen, "sightline_dead_letters") == -1


async def test_a_port_in_use_ends_the_start_in_one_line_with_what_to_do(
    start_worker: StartScanWorker, tmp_path: Path, site: SmallSite
):
    taken = site.url.rpartition(":")[2]

    worker = start_worker(METRICS_PORT=taken)
    await until(lambda: worker.poll() is not None, what="the worker's end")

    said = (tmp_path / "workers.log").read_text()
    assert worker.returncode == 64
    assert f"METRICS_PORT is {taken}: 127.0.0.1:{taken} cannot be used" in said
    assert "Traceback" not in said


def _waits(seen: Samples) -> tuple[float, float]:
    about = {"lane": "batch"}
    return (
        total(seen, "sightline_queue_jobs", state="waiting", **about),
        total(seen, "sightline_queue_jobs", state="running", **about),
    )
