"""Reads one environment's queue from Redis, and from the model, into comparable values."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from producer.contract import JobState, Lane
from producer.keys import GROUP, Keys
from tests.support.queue_model import ModelBatch, ModelJob, QueueModel

JOB_FIELDS: Final = ["state", "fence", "attempt", "batch", "progress"]
BATCH_FIELDS: Final = ["total", "done", "succeeded", "cancelled", "dead", "sealed", "finished_ms"]


@dataclass(frozen=True)
class Picture:
    """``lanes``: job id and owner of each entry, oldest first; ``commits``: a counter incremented by each success."""

    lanes: dict[Lane, list[tuple[str, str]]]
    scheduled: list[str]
    events: list[tuple[str, str]]
    dead: list[str]
    commits: int
    jobs: dict[str, tuple[Any, ...]]
    results: dict[str, JobState | None]
    batches: dict[str, tuple[Any, ...]]
    entry_ids: dict[Lane, list[str]] = field(compare=False)


async def found_in(redis: Redis, keys: Keys, model: QueueModel) -> Picture:
    """Read everything that the model covers, in one round trip."""
    jobs, batches = list(model.jobs), list(model.batches)
    async with redis.pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.xrange(keys.lane(lane))
            pipe.xpending_range(keys.lane(lane), GROUP, "-", "+", 100)
        pipe.zrange(keys.scheduled, 0, -1)
        pipe.xrange(keys.events)
        pipe.xrange(keys.dead)
        pipe.hget(keys.site("x"), "commits")
        for job_id in jobs:
            pipe.hmget(keys.job(job_id), JOB_FIELDS)
            pipe.get(keys.result(job_id))
        for batch in batches:
            pipe.hmget(keys.batch(batch), BATCH_FIELDS)
        rows = iter(await pipe.execute())
    lanes = {lane: (next(rows), next(rows)) for lane in Lane}
    return Picture(
        lanes={lane: _lane_rows(lane, *replies) for lane, replies in lanes.items()},
        entry_ids={lane: [entry_id.decode() for entry_id, _ in entries] for lane, (entries, _) in lanes.items()},
        scheduled=sorted(job_id.decode() for job_id in next(rows)),
        events=[_event_row(fields[b"event"]) for _, fields in next(rows)],
        dead=[fields[b"id"].decode() for _, fields in next(rows)],
        commits=int(next(rows) or 0),
        **_job_rows(jobs, rows),
        batches={batch: _batch_row(*next(rows)) for batch in batches},
    )


def expected_by(model: QueueModel) -> Picture:
    return Picture(
        lanes={lane: [(entry.job_id, entry.owner) for entry in entries] for lane, entries in model.lanes.items()},
        entry_ids={},
        scheduled=sorted(job.job_id for job in model.in_state(JobState.SCHEDULED)),
        events=model.events,
        dead=model.dead,
        commits=model.commits,
        jobs={job.job_id: _expected_job(job) for job in model.jobs.values()},
        results={job.job_id: job.state if job.has_ended else None for job in model.jobs.values()},
        batches={name: _expected_batch(batch) for name, batch in model.batches.items()},
    )


def _lane_rows(lane: Lane, entries: Any, pending: Any) -> list[tuple[str, str]]:
    owners = {row["message_id"]: row["consumer"].decode() for row in pending}
    assert owners.keys() <= {entry_id for entry_id, _ in entries}, "an entry is pending that is not in the stream"
    by_hand = f"{lane}-".encode()
    return [(fields.get(b"id", by_hand + name).decode(), owners.get(name, "")) for name, fields in entries]


def _event_row(line: bytes) -> tuple[str, str]:
    event = json.loads(line)
    return event["event"], event.get("job_id") or event["batch"]


def _job_rows(jobs: list[str], rows: Any) -> dict[str, Any]:
    pairs = {job_id: (next(rows), next(rows)) for job_id in jobs}
    return {
        "jobs": {job_id: _job_row(*fields) for job_id, (fields, _) in pairs.items()},
        "results": {
            job_id: JobState(json.loads(text)["state"]) if text else None for job_id, (_, text) in pairs.items()
        },
    }


def _job_row(state: bytes | None, fence: bytes, attempt: bytes, batch: bytes, progress: bytes) -> tuple[Any, ...]:
    found = JobState(state.decode()) if state else None
    return found, int(fence or 0), int(attempt or 0), (batch or b"").decode(), (progress or b"").decode()


def _expected_job(job: ModelJob) -> tuple[Any, ...]:
    return (job.state, job.fence, job.attempt, job.batch, job.progress) if job.state else (None, 0, 0, "", "")


def _batch_row(*values: bytes | None) -> tuple[Any, ...]:
    *counts, sealed, finished = values
    return (*(int(value or 0) for value in counts), sealed == b"1", finished is not None)


def _expected_batch(batch: ModelBatch) -> tuple[Any, ...]:
    ends = Counter(batch.ends)
    counts = (ends[state] for state in (JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD))
    return (batch.total, len(batch.ends), *counts, batch.is_sealed, batch.is_finished)
