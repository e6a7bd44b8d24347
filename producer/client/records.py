"""What the client tells about jobs, batches, lanes and workers: read-only views of Redis hashes. Times are Redis ms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producer.contract import JobState


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One job's hash. ``position`` is how many entries of its lane were added before it; None unless it is queued."""

    job_id: str
    kind: str
    lane: str
    state: JobState
    attempt: int
    batch: str
    worker: str
    enqueued_ms: int
    started_ms: int | None
    finished_ms: int | None
    progress: str
    error: str
    position: int | None = None

    @classmethod
    def of(cls, job_id: str, fields: Mapping[bytes, bytes], *, position: int | None = None) -> JobInfo:
        """Read the hash; fields that are missing are empty."""

        def text(name: str) -> str:
            return fields.get(name.encode(), b"").decode("utf-8", "replace")

        return cls(
            job_id=job_id,
            kind=text("kind"),
            lane=text("lane"),
            state=JobState(text("state") or "queued"),
            attempt=int(text("attempt") or 0),
            batch=text("batch"),
            worker=text("worker"),
            enqueued_ms=int(text("enqueued_ms") or 0),
            started_ms=int(text("started_ms") or 0) or None,
            finished_ms=int(text("finished_ms") or 0) or None,
            progress=text("progress"),
            error=_error_text(text("error")),
            position=position,
        )


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """One batch's counters. It is finished when it is sealed and ``done`` equals ``total``."""

    batch_id: str
    total: int
    done: int
    succeeded: int
    cancelled: int
    dead: int
    sealed: bool
    finished_ms: int | None

    @classmethod
    def of(cls, batch_id: str, fields: Mapping[bytes, bytes]) -> BatchInfo:
        """Read the hash."""

        def number(name: str) -> int:
            return int(fields.get(name.encode(), b"0"))

        return cls(
            batch_id=batch_id,
            total=number("total"),
            done=number("done"),
            succeeded=number("succeeded"),
            cancelled=number("cancelled"),
            dead=number("dead"),
            sealed=number("sealed") == 1,
            finished_ms=number("finished_ms") or None,
        )


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """One lane: jobs that wait, and jobs that workers hold; ``oldest_ms`` is the age of the first that waits."""

    queued: int
    running: int
    oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker's last heartbeat; ``at_ms`` is its own clock's."""

    name: str
    host: str
    pid: int
    at_ms: int
    max_jobs: int
    jobs: tuple[str, ...]
    complete: int
    failed: int
    retried: int

    @classmethod
    def of(cls, heartbeat: Mapping[str, Any]) -> WorkerInfo:
        """Read the heartbeat's JSON."""
        return cls(
            name=str(heartbeat.get("name", "")),
            host=str(heartbeat.get("host", "")),
            pid=int(heartbeat.get("pid", 0)),
            at_ms=int(heartbeat.get("at_ms", 0)),
            max_jobs=int(heartbeat.get("max_jobs", 0)),
            jobs=tuple(str(job) for job in heartbeat.get("jobs", ())),
            complete=int(heartbeat.get("complete", 0)),
            failed=int(heartbeat.get("failed", 0)),
            retried=int(heartbeat.get("retried", 0)),
        )


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """The whole queue of one environment."""

    lanes: Mapping[str, LaneInfo]
    scheduled: int
    dead: int
    workers: tuple[WorkerInfo, ...]


def _error_text(text: str) -> str:
    """Return the last failure as a line; a retry keeps it as JSON."""
    if not text.startswith("{"):
        return text
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    return f"{fields.get('type', 'Error')}: {fields.get('message', '')}"
