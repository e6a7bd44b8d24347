"""Commits scans through the real finish.lua, without a worker: provides a running job."""

from __future__ import annotations

from typing import cast

from redis.asyncio import Redis

from producer.contract import Lane
from producer.keys import GROUP, Keys
from worker.queue.delivery import Delivery


async def started(redis: Redis, keys: Keys, job_id: str, *, consumer: str = "w1", fence: int = 1) -> Delivery:
    """A running job: its entry is pending for ``consumer``. The lane needs its group (see ``open_stream``)."""
    lane = keys.lane(Lane.BATCH)
    entry = cast("bytes", await redis.xadd(lane, {"id": job_id, "kind": "scan"})).decode()
    await redis.xreadgroup(GROUP, consumer, {lane: ">"})
    await redis.execute_command(
        "HSET", keys.job(job_id), "state", "running", "entry", entry, "fence", fence, "kind", "scan", "attempt", 1
    )
    return Delivery(
        job_id=job_id, kind="scan", lane=Lane.BATCH, entry=entry, fence=fence, attempt=1, tries=3,
        payload=b"{}", args=b"", batch="", enqueued_ms=1,
    )  # fmt: skip
